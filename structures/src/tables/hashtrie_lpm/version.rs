//! A sequence lock's version: readers repeat what a writer disturbed.
//!
//! What it guards must be atomics, read and written relaxed; writers exclude one another by other means.
//!
//! # Guarantees
//! * **V1** What [`Version::read`] returns was read while no writer was at work, or before it wrote, or after it was done.

use crate::sync::{AtomicU32, Ordering, fence};

/// Odd while a writer is at work.
#[derive(Debug)]
pub(crate) struct Version(AtomicU32);

impl Version {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// What `read` returns, or `None` where a writer may have disturbed it.
    #[inline]
    pub(crate) fn read<T>(&self, read: impl FnOnce() -> T) -> Option<T> {
        // Acquire: pairs with the Release in end(); what that writer wrote is visible.
        let before = self.0.load(Ordering::Acquire);
        if before & 1 != 0 {
            return None;
        }
        let value = read();
        // Acquire: pairs with the Release fence in begin(); if read() saw a word of a later writer, the load below sees that
        // writer's odd version or a later one.
        fence(Ordering::Acquire);
        // Relaxed: ordered by the fence.
        (self.0.load(Ordering::Relaxed) == before).then_some(value)
    }

    /// A writer, the only one, begins.
    pub(crate) fn begin(&self) {
        // Relaxed: writers exclude one another.
        let version = self.0.load(Ordering::Relaxed);
        // Relaxed: ordered by the fence below.
        self.0.store(version.wrapping_add(1), Ordering::Relaxed);
        // Release: pairs with the Acquire fence in read(); the odd version is visible before any word of the writer.
        fence(Ordering::Release);
    }

    /// The writer is done.
    pub(crate) fn end(&self) {
        // Relaxed: writers exclude one another.
        let version = self.0.load(Ordering::Relaxed);
        // Release: pairs with the first Acquire in read(); publishes what the writer wrote.
        self.0.store(version.wrapping_add(1), Ordering::Release);
    }
}

/// Every interleaving of two writes and a read: some thousand, in under a second.
#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;

    use super::*;
    use crate::sync::thread;

    #[test]
    fn v1_a_read_is_never_torn() {
        loom::model(|| {
            let shared = Arc::new((Version::new(), AtomicU32::new(0), AtomicU32::new(0)));
            let writer = Arc::clone(&shared);
            let writing = thread::spawn(move || {
                for value in 1..=2 {
                    writer.0.begin();
                    // Relaxed: what is under test orders these.
                    writer.1.store(value, Ordering::Relaxed);
                    // Relaxed: as above.
                    writer.2.store(value, Ordering::Relaxed);
                    writer.0.end();
                }
            });
            let (version, a, b) = &*shared;
            // Relaxed: as above.
            let read = version.read(|| (a.load(Ordering::Relaxed), b.load(Ordering::Relaxed)));
            if let Some((a, b)) = read {
                assert_eq!(a, b);
            }
            writing.join().unwrap();
        });
    }
}
