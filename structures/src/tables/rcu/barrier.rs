//! The two halves of the store-load barrier between readers that enter and a writer that looks for them.
//!
//! ```text
//! reader:  active = epoch; LIGHT; read links        writer:  unlink; HEAVY; read active
//! ```
//! At least one of the two must see what the other stored. With a fence on both sides that costs each lookup
//! 6 ns and more. `membarrier(2)` moves the whole cost to the writer: the kernel makes every running thread
//! of the process pass a full barrier, and the reader's half is an order to the compiler alone. liburcu's
//! `memb` flavour and seize do the same. One call takes microseconds and interrupts the process's other
//! running threads; writers make one per batch of removals.
//!
//! Where the kernel has no `membarrier` (or this is not Linux, or a model checker runs), both halves are
//! fences.

use crate::sync::{Ordering, fence};

/// How readers tell writers that they are inside an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReaderBarrier {
    /// Readers pay a compiler barrier and writers a `membarrier` per batch of removals; as
    /// [`ReaderBarrier::Fence`] where the system has no `membarrier`.
    #[default]
    Membarrier,
    /// Both sides pay a fence.
    Fence,
}

impl ReaderBarrier {
    /// What this system can do: `Membarrier` becomes `Fence` where it must.
    pub(super) fn available(self) -> Self {
        match self {
            Self::Membarrier if system::register() => Self::Membarrier,
            _ => Self::Fence,
        }
    }

    /// The reader's half.
    #[inline(always)]
    pub(super) fn light(self) {
        match self {
            Self::Membarrier => system::compiler_barrier(),
            // SeqCst: pairs with heavy(); orders the reader's announcement before its reads of links.
            Self::Fence => fence(Ordering::SeqCst),
        }
    }

    /// The writer's half.
    pub(super) fn heavy(self) {
        // SeqCst: pairs with light(); orders the unlinking stores before the reads of announcements. Made in
        // both variants: it costs nothing beside the system call, and is the whole barrier where readers
        // fence too.
        fence(Ordering::SeqCst);
        if self == Self::Membarrier {
            system::process_barrier();
        }
    }
}

#[cfg(all(target_os = "linux", not(loom), not(miri)))]
mod system {
    use crate::sync::{OnceLock, Ordering, compiler_fence};

    static REGISTERED: OnceLock<bool> = OnceLock::new();

    /// Announces to the kernel, once per process, that `process_barrier` will be used.
    pub(super) fn register() -> bool {
        *REGISTERED.get_or_init(|| {
            membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
                && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        })
    }

    #[inline(always)]
    pub(super) fn compiler_barrier() {
        // SeqCst: pairs with process_barrier(), which turns this into a full barrier at the moment it is
        // called.
        compiler_fence(Ordering::SeqCst);
    }

    /// Makes every running thread of this process pass a full memory barrier.
    ///
    /// # Panics
    /// Where the kernel refuses what it granted in `register`: going on would give memory to two owners.
    pub(super) fn process_barrier() {
        let done = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        assert!(done, "membarrier refused after it was registered");
    }

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(not(all(target_os = "linux", not(loom), not(miri))))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn compiler_barrier() {}

    pub(super) fn process_barrier() {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_fence_stays_a_fence_and_barriers_can_be_called() {
        assert_eq!(ReaderBarrier::Fence.available(), ReaderBarrier::Fence);
        let best = ReaderBarrier::Membarrier.available();
        println!("this system offers {best:?}");
        for barrier in [best, ReaderBarrier::Fence] {
            barrier.light();
            barrier.heavy();
        }
    }
}
