//! How threads are kept apart: compiled in, so that no operation asks which scheme it runs under.

use std::fmt::Debug;

use crate::sync::{Mutex, RwLock};

/// Locks over buckets. Work runs with the lock held; nothing in this crate asks for a second lock in it.
pub trait LockScheme: Debug + Send + Sync + 'static {
    /// For [`crate::TableInfo::locking`].
    const LOCKING: &'static str;

    /// All locks, open.
    fn new() -> Self;

    /// Runs `work` with the chain of `bucket` safe to read; connections may be touched.
    fn read<R>(&self, bucket: u32, work: impl FnOnce() -> R) -> R;

    /// Runs `work` with both chains safe to change.
    fn write<R>(&self, bucket: u32, other: u32, work: impl FnOnce() -> R) -> R;

    /// Bytes of memory beyond the value itself.
    fn memory_bytes(&self) -> usize;
}

/// `CONNTRACK_LOCKS`, since 2014.
#[cfg(not(loom))]
const LOCKS: usize = 1024;
/// Few, so that a model has both: chains that share a lock, and chains that don't.
#[cfg(loom)]
const LOCKS: usize = 2;

/// The kernel's `spinlock_t` takes four bytes, of which sixteen share a cache line; so do these.
#[derive(Debug)]
#[repr(align(4))]
struct BucketLock(Mutex<()>);

/// 1024 locks, a bucket's number modulo 1024 naming its own, as since 2014. The kernel spins; these spin for a while and then
/// sleep, since a thread in user space may lose its processor while it holds one.
#[derive(Debug)]
pub struct HashedLocks(Box<[BucketLock]>);

impl HashedLocks {
    #[inline]
    fn index(bucket: u32) -> usize {
        bucket as usize % LOCKS
    }
}

impl LockScheme for HashedLocks {
    const LOCKING: &'static str = "1024 hashed bucket locks, one to read, two in order to write (kernel since 2014, readers locked too)";

    fn new() -> Self {
        Self((0..LOCKS).map(|_| BucketLock(Mutex::new(()))).collect())
    }

    #[inline]
    fn read<R>(&self, bucket: u32, work: impl FnOnce() -> R) -> R {
        let _held = self.0[Self::index(bucket)].0.lock();
        work()
    }

    #[inline]
    fn write<R>(&self, bucket: u32, other: u32, work: impl FnOnce() -> R) -> R {
        let (a, b) = (Self::index(bucket), Self::index(other));
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        let _first = self.0[first].0.lock();
        let _second = (second != first).then(|| self.0[second].0.lock());
        work()
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// One reader-writer lock over everything (`ip_conntrack_lock`), as in 2005.
#[derive(Debug)]
pub struct GlobalLock(RwLock<()>);

impl LockScheme for GlobalLock {
    const LOCKING: &'static str = "one reader-writer lock (kernel of 2005)";

    fn new() -> Self {
        Self(RwLock::new(()))
    }

    #[inline]
    fn read<R>(&self, _: u32, work: impl FnOnce() -> R) -> R {
        let _held = self.0.read();
        work()
    }

    #[inline]
    fn write<R>(&self, _: u32, _: u32, work: impl FnOnce() -> R) -> R {
        let _held = self.0.write();
        work()
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}
