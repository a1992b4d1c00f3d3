//! The one place that names atomics, cells and locks, so that loom can take their place.
//!
//! Built with `RUSTFLAGS="--cfg loom"`, the same code runs under the model checker. loom's atomics are not
//! zero-sized shims: they can't be made by zeroing memory, which is why [`crate::entry`] builds its slab
//! differently there.

#[cfg(loom)]
pub use loom::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(not(loom))]
pub use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// Keeps the compiler from moving accesses across it; costs no instruction. See `tables::rcu::barrier`.
pub use std::sync::atomic::compiler_fence;

/// A cell written once. loom has none: under it the threads of a model run on one thread, so std's works there, and
/// what it holds (loom's own atomics) is modelled all the same.
pub use std::sync::OnceLock;

#[cfg(loom)]
pub use loom::thread;
#[cfg(not(loom))]
pub use std::thread;

#[cfg(not(loom))]
pub use parking_lot::{Mutex, MutexGuard, RwLock};

#[cfg(loom)]
pub use self::loom_locks::{Mutex, MutexGuard, RwLock};

/// One turn of waiting for a lock word: a few pauses of doubling length first, then the processor is given away, because
/// the holder may be waiting for it. `turns` starts at zero.
#[inline]
pub fn spin_or_yield(turns: &mut u32) {
    /// Turns that pause; as in crossbeam's `Backoff`, the last pauses 2^6 times.
    const PAUSING_TURNS: u32 = 7;
    if cfg!(not(loom)) && *turns < PAUSING_TURNS {
        for _ in 0..1u32 << *turns {
            std::hint::spin_loop();
        }
        *turns += 1;
    } else {
        thread::yield_now();
    }
}

/// loom's locks with `parking_lot`'s signatures (no poisoning).
#[cfg(loom)]
mod loom_locks {
    pub use loom::sync::MutexGuard;

    /// `parking_lot::Mutex` over loom's.
    #[derive(Debug)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// A mutex holding `value`.
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        /// Locks; a poisoned lock means the model has already failed.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a thread of the model panicked")
        }
    }

    /// `parking_lot::RwLock` over loom's.
    #[derive(Debug)]
    pub struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        /// A lock holding `value`.
        pub fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        /// Locks for reading.
        pub fn read(&self) -> loom::sync::RwLockReadGuard<'_, T> {
            self.0.read().expect("a thread of the model panicked")
        }

        /// Locks for writing.
        pub fn write(&self) -> loom::sync::RwLockWriteGuard<'_, T> {
            self.0.write().expect("a thread of the model panicked")
        }
    }
}
