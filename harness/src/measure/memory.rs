//! What the allocator has handed out, by jemalloc's own account.

use tikv_jemalloc_ctl::{epoch, stats};

/// The allocator's account at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Bytes handed out and not given back.
    pub allocated: u64,
    /// Bytes of pages the allocator holds resident.
    pub resident: u64,
}

impl Account {
    /// Reads the account; zeros where jemalloc does not answer.
    #[must_use]
    pub fn now() -> Self {
        if epoch::advance().is_err() {
            return Self {
                allocated: 0,
                resident: 0,
            };
        }
        let read = |value: Result<usize, _>| value.map_or(0, |bytes: usize| bytes as u64);
        Self {
            allocated: read(stats::allocated::read()),
            resident: read(stats::resident::read()),
        }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            allocated: self.allocated.saturating_sub(earlier.allocated),
            resident: self.resident.saturating_sub(earlier.resident),
        }
    }
}
