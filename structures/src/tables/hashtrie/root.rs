//! The root: an array of links, each with the lock of everything below it.
//!
//! ```text
//! slot   | lock 4 | link 4 |      eight slots per cache line
//! ```
//! The lock sits beside the link it guards: whoever takes it has just fetched the line it needs next. A separate array of
//! lock stripes, as `nf_conntrack` has (1024), would cost every lookup one line more. A bit of the link itself would
//! do as well (the kernel's `hlist_bl`), but would halve the number of slots that links can name.
//!
//! # Guarantees
//! * **R1** Between lock and unlock of a slot nobody else holds it; what was written below it before is visible.
//! * **R2** Locks are waited for in index order only; out of order they are tried. So there is no deadlock.

use crate::sync::{AtomicU32, Ordering, spin_or_yield};

/// One slot of the root.
#[derive(Debug, Default)]
#[repr(C, align(8))]
pub(crate) struct RootSlot {
    lock: AtomicU32,
    pub(crate) link: AtomicU32,
}

/// The root array.
#[derive(Debug)]
pub(crate) struct Root {
    slots: Box<[RootSlot]>,
    bits: u32,
}

/// One or two locked slots; dropping it unlocks them.
#[derive(Debug)]
pub(crate) struct Locked<'t> {
    root: &'t Root,
    first: usize,
    second: Option<usize>,
}

impl Root {
    /// A root of two to the `bits` (1 to 32) empty slots.
    pub(crate) fn new(bits: u32) -> Self {
        Self {
            slots: (0..1usize << bits).map(|_| RootSlot::default()).collect(),
            bits,
        }
    }

    /// Leading bits of the hash that choose the slot.
    #[inline]
    pub(crate) const fn bits(&self) -> u32 {
        self.bits
    }

    /// Slots.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The number of the slot above `hash`.
    #[inline]
    pub(crate) const fn index(&self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits remain")]
        let index = (hash >> (64 - self.bits)) as usize;
        index
    }

    /// The slot above `hash`.
    #[inline]
    pub(crate) fn slot(&self, hash: u64) -> &RootSlot {
        &self.slots[self.index(hash)]
    }

    /// The slot numbered `index`.
    pub(crate) fn at(&self, index: usize) -> &RootSlot {
        &self.slots[index]
    }

    /// Bytes allocated.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// Locks the slot numbered `index`.
    #[inline]
    pub(crate) fn lock_at(&self, index: usize) -> Locked<'_> {
        self.slots[index].acquire();
        Locked {
            root: self,
            first: index,
            second: None,
        }
    }

    /// Locks the slot above `hash`.
    #[inline]
    pub(crate) fn lock(&self, hash: u64) -> Locked<'_> {
        self.lock_at(self.index(hash))
    }

    /// Locks the slots above both hashes.
    pub(crate) fn lock_pair(&self, hashes: [u64; 2]) -> Locked<'_> {
        let [a, b] = hashes.map(|hash| self.index(hash));
        let mut locked = self.lock_at(a.min(b));
        if a != b {
            self.slots[a.max(b)].acquire();
            locked.second = Some(a.max(b));
        }
        locked
    }
}

impl Locked<'_> {
    /// Also locks the slot above `hash` unless this holds it already. False where somebody else has it and
    /// waiting could be a deadlock. Only for a guard of one slot.
    pub(crate) fn extend(&mut self, hash: u64) -> bool {
        let index = self.root.index(hash);
        if index == self.first || self.second == Some(index) {
            return true;
        }
        if self.second.is_some() {
            return false;
        }
        let slot = &self.root.slots[index];
        if index > self.first {
            slot.acquire();
        } else if !slot.try_acquire() {
            return false;
        }
        self.second = Some(index);
        true
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        self.root.slots[self.first].release();
        if let Some(second) = self.second {
            self.root.slots[second].release();
        }
    }
}

impl RootSlot {
    #[inline]
    fn try_acquire(&self) -> bool {
        // Acquire: pairs with the Release in release(); all that was written below the slot is visible now.
        // Relaxed on failure: nothing is read then.
        self.lock
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[inline]
    fn acquire(&self) {
        if !self.try_acquire() {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        let mut spins = 0;
        loop {
            // Relaxed: only a hint that trying is worth it, so that waiting does not steal the line from the holder.
            if self.lock.load(Ordering::Relaxed) == 0 && self.try_acquire() {
                return;
            }
            spin_or_yield(&mut spins);
        }
    }

    #[inline]
    fn release(&self) {
        // Release: pairs with the Acquire in try_acquire(); publishes what was written below the slot.
        self.lock.store(0, Ordering::Release);
    }
}

/// Every interleaving of two threads that want two slots in opposite orders: some ten thousand, in a second.
#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;

    use super::*;
    use crate::sync::thread;

    /// Hashes above the two slots of a root of one bit.
    const HASHES: [u64; 2] = [0, u64::MAX];

    /// Adds one to the word below a locked slot, in two steps that another holder would come between.
    fn bump(slot: &RootSlot) {
        // Relaxed: the lock under test orders these.
        let value = slot.link.load(Ordering::Relaxed);
        // Relaxed: as above.
        slot.link.store(value + 1, Ordering::Relaxed);
    }

    fn both_get_their_turn(take: impl Fn(&Root, [u64; 2]) + Copy + Send + Sync + 'static) {
        loom::model(move || {
            let root = Arc::new(Root::new(1));
            let other = Arc::clone(&root);
            let turned = thread::spawn(move || take(&other, [HASHES[1], HASHES[0]]));
            take(&root, HASHES);
            turned.join().unwrap();
            for hash in HASHES {
                let _locked = root.lock(hash);
                // Relaxed: as in bump().
                assert_eq!(root.slot(hash).link.load(Ordering::Relaxed), 2);
            }
        });
    }

    #[test]
    fn r1_r2_pairs_in_any_order_exclude_one_another_and_end() {
        both_get_their_turn(|root, hashes| {
            let _locked = root.lock_pair(hashes);
            for hash in hashes {
                bump(root.slot(hash));
            }
        });
    }

    #[test]
    fn r1_r2_guards_that_are_extended_or_given_up_end() {
        both_get_their_turn(|root, hashes| {
            let mut locked = root.lock(hashes[0]);
            if !locked.extend(hashes[1]) {
                drop(locked);
                locked = root.lock_pair(hashes);
            }
            for hash in hashes {
                bump(root.slot(hash));
            }
            drop(locked);
        });
    }
}
