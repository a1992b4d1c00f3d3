//! Deferred reclamation: when may a slot that was unlinked be written again?
//!
//! Each handle has a record with one word, `active`: zero between operations, inside one the epoch it was
//! entered in. A writer keeps what it unlinked (its *waiting* slots) and after a batch of them *seals* the
//! batch with the current epoch, which moves the epoch on. A sealed batch is free when every record is idle
//! or entered in a later epoch.
//!
//! # Why that is enough
//! Let a batch be sealed with epoch `s`; all its unlinks come before. The writer then raises the heavy
//! barrier and reads every record. For each reader one of three holds:
//! * It was seen active with an epoch above `s`. It read that epoch from the seal or from a later one
//!   (Acquire), so it came after the unlinks and cannot find the slots.
//! * It was seen idle, and it had left: the Release of its leaving makes all its reads come before the reuse.
//! * It was seen idle, and it enters later: it announces itself, passes the light barrier, reads links. The
//!   writer did not see the announcement, so by the barriers the reader sees the unlinks.
//!
//! A reader that announces an epoch that is old by then only delays batches it could not have harmed.
//!
//! # Why nobody waits for ever
//! A handle is idle between operations by its own last store: it need not be used, polled or told anything
//! (`quiescent()` has nothing to do). Readers wait for nobody. An insert takes its slot before anything else:
//! if it must wait for one, it is idle and holds no lock, no slot and no place in the count. There are more
//! slots than connections can be counted, so one is always free, or waiting, or on its way between an
//! operation of another thread and either: that operation ends without waiting for a slot. What is kept for a
//! handle is behind a lock that anybody may take, so that slots kept for an idle (or dropped) handle are
//! found by whoever runs out of them.
//!
//! What a reader pays: one load of a word that changes once per batch, two stores to its own cache line, and
//! the light half of the barrier.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::entry::SlotCache;
use crate::sync::{AtomicU64, Mutex, Ordering};

use super::barrier::ReaderBarrier;
use super::fault::{self, Fault};

/// `active` of a handle that is between operations. Epochs start at 1.
const IDLE: u64 = 0;

/// Set in a token that is an overflow line; slots are below 2^30 (see [`crate::entry::MAX_SLOTS`]) and lines
/// below 2^31.
const LINE: u32 = 1 << 31;

/// Something unlinked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retired {
    /// A slot of the slab.
    Slot(u32),
    /// An overflow line.
    Line(u32),
}

impl Retired {
    const fn token(self) -> u32 {
        match self {
            Self::Slot(slot) => slot,
            Self::Line(line) => line | LINE,
        }
    }

    const fn of(token: u32) -> Self {
        if token & LINE == 0 {
            Self::Slot(token)
        } else {
            Self::Line(token & !LINE)
        }
    }
}

/// All readers of one table, and its epoch.
pub(super) struct Domain {
    epoch: CachePadded<AtomicU64>,
    barrier: ReaderBarrier,
    batch: usize,
    registry: Mutex<Vec<Registration>>,
}

struct Registration {
    record: Arc<Record>,
    taken: bool,
}

/// What a handle shares with writers.
pub(super) struct Record {
    active: CachePadded<AtomicU64>,
    /// How many records there were before it.
    pub number: u64,
    /// What the handle keeps.
    pub keep: Mutex<Keep>,
}

/// Slots and lines kept for a handle.
#[derive(Debug, Default)]
pub(super) struct Keep {
    /// Slots that are free.
    pub cache: SlotCache,
    waiting: VecDeque<u32>,
    batches: VecDeque<Batch>,
    open: usize,
}

#[derive(Debug)]
struct Batch {
    seal: u64,
    length: usize,
}

/// Batches sealed before this epoch are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Horizon(u64);

/// Inside an operation for as long as it lives.
pub(super) struct Inside<'r>(&'r AtomicU64);

impl Domain {
    /// A domain whose handles seal after `batch` retirements.
    pub(super) fn new(barrier: ReaderBarrier, batch: usize) -> Self {
        Self {
            epoch: CachePadded::new(AtomicU64::new(IDLE + 1)),
            barrier: barrier.available(),
            batch,
            registry: Mutex::new(Vec::new()),
        }
    }

    /// Starts an operation of `record`'s handle, which is not inside one.
    #[inline]
    pub(super) fn enter<'r>(&self, record: &'r Record) -> Inside<'r> {
        // Relaxed: only the handle itself writes its record.
        debug_assert_eq!(
            record.active.load(Ordering::Relaxed),
            IDLE,
            "operations do not nest"
        );
        // Acquire: pairs with the AcqRel in seal(); what was unlinked before that epoch began cannot be
        // found.
        let epoch = self.epoch.load(Ordering::Acquire);
        // Release: pairs with the Acquire in horizon(); whoever sees this epoch also sees the handle's
        // earlier operation as over.
        record.active.store(epoch, Ordering::Release);
        if !fault::planted(Fault::NoReaderBarrier) {
            self.barrier.light();
        }
        Inside(&record.active)
    }

    /// Notes that something was unlinked. Returns a horizon where this was the last of a batch: the caller
    /// then calls [`Keep::release`]. The caller is not inside an operation.
    #[must_use]
    pub(super) fn retire(&self, keep: &mut Keep, what: Retired) -> Option<Horizon> {
        keep.waiting.push_back(what.token());
        keep.open += 1;
        if keep.open < self.batch {
            return None;
        }
        self.seal(keep);
        Some(self.horizon())
    }

    /// Closes the open batch, so that it becomes free with the next horizon that finds no reader in its way.
    pub(super) fn seal(&self, keep: &mut Keep) {
        if keep.open == 0 {
            return;
        }
        // AcqRel: pairs with the Acquire in enter() and horizon() and with itself; publishes the unlinks of
        // this batch to everyone who sees a later epoch.
        let seal = self.epoch.fetch_add(1, Ordering::AcqRel);
        let length = std::mem::take(&mut keep.open);
        keep.batches.push_back(Batch { seal, length });
    }

    /// How far reclamation may go now. Costs a heavy barrier and a look at each record; never waits for a
    /// reader.
    pub(super) fn horizon(&self) -> Horizon {
        if fault::planted(Fault::NoGracePeriod) {
            return Horizon(u64::MAX);
        }
        // Acquire: pairs with the AcqRel in seal(); batches sealed before this epoch, by whomever, were
        // unlinked before the barrier below. Later ones are not covered by it.
        let sealed = self.epoch.load(Ordering::Acquire);
        self.barrier.heavy();
        let registry = self.registry.lock();
        let oldest = registry
            .iter()
            // Acquire: pairs with the Releases in enter() and in Inside's drop; the reads of operations that
            // are over come before the reuse.
            .map(|registration| registration.record.active.load(Ordering::Acquire))
            .filter(|&epoch| epoch != IDLE)
            .min();
        Horizon(oldest.map_or(sealed, |epoch| sealed.min(epoch)))
    }

    /// A record for a new handle: one that a dropped handle left, with what is kept in it, or a new one.
    pub(super) fn register(&self) -> Arc<Record> {
        let mut registry = self.registry.lock();
        if let Some(left) = registry.iter_mut().find(|registration| !registration.taken) {
            left.taken = true;
            return Arc::clone(&left.record);
        }
        let record = Arc::new(Record {
            active: CachePadded::new(AtomicU64::new(IDLE)),
            number: registry.len() as u64,
            keep: Mutex::new(Keep::default()),
        });
        registry.push(Registration {
            record: Arc::clone(&record),
            taken: true,
        });
        record
    }

    /// Leaves a dropped handle's record, and what waits in it, to the next handle or to whoever runs out of
    /// slots.
    pub(super) fn leave(&self, record: &Arc<Record>) {
        let mut registry = self.registry.lock();
        let mut mine = registry.iter_mut().filter(|r| Arc::ptr_eq(&r.record, record));
        if let Some(registration) = mine.next() {
            registration.taken = false;
        }
    }

    /// All records, those of dropped handles too.
    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        let registry = self.registry.lock();
        registry.iter().map(|r| Arc::clone(&r.record)).collect()
    }
}

impl Keep {
    /// Hands everything of batches within `horizon` to `free`.
    pub(super) fn release(&mut self, horizon: Horizon, mut free: impl FnMut(&mut SlotCache, Retired)) {
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.seal < horizon.0) {
            for token in self.waiting.drain(..batch.length) {
                free(&mut self.cache, Retired::of(token));
            }
        }
    }

    /// Bytes allocated.
    pub(super) fn memory_bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<u32>() + self.batches.capacity() * size_of::<Batch>()
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in horizon(); all reads of this operation come before any reuse of
        // what they saw. Relaxed only as a planted fault, which the models must find.
        let leaving = if fault::planted(Fault::RelaxedLeave) {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.0.store(IDLE, leaving);
    }
}

impl Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("barrier", &self.barrier)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

impl Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn free(record: &Record, horizon: Horizon) -> Vec<Retired> {
        let mut freed = Vec::new();
        record.keep.lock().release(horizon, |_, what| freed.push(what));
        freed
    }

    fn domain(batch: usize) -> (Domain, Arc<Record>, Arc<Record>) {
        let domain = Domain::new(ReaderBarrier::default(), batch);
        let (writer, reader) = (domain.register(), domain.register());
        (domain, writer, reader)
    }

    /// R4: an operation that was under way when a slot was retired holds it back; later operations and idle
    /// handles do not.
    #[test]
    fn r4_only_an_operation_that_may_have_seen_it_holds_a_slot_back() {
        let (domain, writer, reader) = domain(1);
        let early = domain.enter(&reader);
        let horizon = domain.retire(&mut writer.keep.lock(), Retired::Slot(7)).unwrap();
        assert_eq!(free(&writer, horizon), []);
        assert_eq!(free(&writer, domain.horizon()), []);
        drop(early);
        let late = domain.enter(&reader);
        assert_eq!(free(&writer, domain.horizon()), [Retired::Slot(7)]);
        drop(late);
    }

    #[test]
    fn r4_batches_become_free_in_order_and_each_once() {
        let (domain, writer, reader) = domain(2);
        let retire = |what| domain.retire(&mut writer.keep.lock(), what);
        assert_eq!(retire(Retired::Slot(1)), None);
        assert!(retire(Retired::Line(2)).is_some());
        let inside = domain.enter(&reader);
        assert_eq!(retire(Retired::Slot(3)), None);
        let horizon = retire(Retired::Slot(4)).unwrap();
        assert_eq!(free(&writer, horizon), [Retired::Slot(1), Retired::Line(2)]);
        drop(inside);
        assert_eq!(retire(Retired::Slot(5)), None);
        assert_eq!(
            free(&writer, domain.horizon()),
            [Retired::Slot(3), Retired::Slot(4)]
        );
        domain.seal(&mut writer.keep.lock());
        assert_eq!(free(&writer, domain.horizon()), [Retired::Slot(5)]);
    }

    /// A horizon says nothing of batches sealed after it was taken.
    #[test]
    fn r4_a_horizon_does_not_cover_what_came_after_it() {
        let (domain, writer, _reader) = domain(1);
        let horizon = domain.horizon();
        let _later = domain.retire(&mut writer.keep.lock(), Retired::Slot(9));
        assert_eq!(free(&writer, horizon), []);
    }

    /// R5: what a dropped handle kept goes on with its record.
    #[test]
    fn r5_records_are_used_again_with_what_they_keep() {
        let (domain, writer, _reader) = domain(8);
        let _ = domain.retire(&mut writer.keep.lock(), Retired::Slot(3));
        domain.leave(&writer);
        let next = domain.register();
        assert!(Arc::ptr_eq(&writer, &next));
        assert_eq!(domain.records().len(), 2);
        domain.seal(&mut next.keep.lock());
        assert_eq!(free(&next, domain.horizon()), [Retired::Slot(3)]);
    }
}
