//! Configuration, with the kernel's two fixed points.

#[cfg(doc)]
use super::{Chained, GlobalLock};
use crate::table::BuildError;
#[cfg(doc)]
use crate::table::Insert;

/// Buckets that today's `early_drop` looks at (`NF_CT_EVICTION_RANGE`, since 2016).
pub const EVICTION_RANGE: u32 = 8;

/// Shortest chain at which an insert may be refused (`MIN_CHAINLEN`, raised from 8 to 50 in 2023).
pub(super) const MIN_CHAINLEN: u64 = 50;
/// Width of the random part of the cap (`MAX_CHAINLEN`).
pub(super) const CHAINLEN_SPREAD: u64 = 30;

/// How many buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buckets {
    /// One for that many connections at the limit: 1 since 2021, 4 before, 8 in 2005.
    OnePer(u32),
    /// That many per connection.
    PerConnection(u32),
    /// That many (`nf_conntrack_buckets`).
    Exactly(u32),
}

/// Who goes for a newcomer when the table is full (`early_drop`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// 2005: the oldest non-ASSURED connection of the newcomer's bucket.
    OldestOfBucket,
    /// Since 2016 (and right since 2018): of [`EVICTION_RANGE`] buckets from the newcomer's on, the first that has any
    /// non-ASSURED connection loses all of them.
    AllOfFirstBucket,
}

/// Configuration of [`Chained`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many buckets.
    pub buckets: Buckets,
    /// Whether an insert into a chain of more than 50 + rand(30) nodes is refused (since 2021), which counts
    /// `chaintoolong` and returns [`Insert::Full`].
    pub chain_cap: bool,
    /// Who goes for a newcomer.
    pub eviction: Eviction,
}

impl Default for Options {
    /// As Linux 6.18 is without sysctls.
    fn default() -> Self {
        Self {
            buckets: Buckets::OnePer(1),
            chain_cap: true,
            eviction: Eviction::AllOfFirstBucket,
        }
    }
}

impl Options {
    /// As Linux 2.6.14 was; with [`GlobalLock`].
    #[must_use]
    pub const fn kernel_2005() -> Self {
        Self {
            buckets: Buckets::OnePer(8),
            chain_cap: false,
            eviction: Eviction::OldestOfBucket,
        }
    }

    pub(super) fn bucket_count(&self, max_connections: usize) -> Result<u32, BuildError> {
        let buckets = match self.buckets {
            Buckets::OnePer(0) | Buckets::PerConnection(0) | Buckets::Exactly(0) => 0,
            Buckets::OnePer(n) => max_connections.div_ceil(n as usize),
            Buckets::PerConnection(n) => max_connections.saturating_mul(n as usize),
            Buckets::Exactly(n) => n as usize,
        };
        match u32::try_from(buckets) {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(BuildError::Option {
                name: "buckets",
                problem: format!(
                    "{:?} makes {buckets} buckets for {max_connections} connections; 1 to 2^32 - 1 will do",
                    self.buckets
                ),
            }),
        }
    }
}
