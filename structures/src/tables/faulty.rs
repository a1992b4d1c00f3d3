//! `faulty`: tables with planted faults, to show that the suite and the harness notice. Test-only, behind the feature
//! `faulty`; never in a registry that measures.
//!
//! Each wraps a correct table and goes wrong seldom, as real faults do. Apart from its fault it is the table it wraps.
//!
//! # Guarantees
//! * **G1** [`LosesInserts`] reports every 10,000th insert (counted per table) as done and does not store it.
//!   (`conformance_catches_a_lost_insert_in_ten_thousand`)
//! * **G2** [`StaleEntries`] goes on finding every 100th removed connection by the tuple it was removed by, until that tuple
//!   is inserted again or 64 others followed. (`conformance_catches_stale_entries`)

use crate::counters::Counters;
use crate::entry::NO_SLOT;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::table::{
    BuildError, ConnectionId, DumpCursor, Dumped, EvictionSink, FlowHandle, FlowTable, Found, Insert,
    PacketMeta, Sizing, Status, TableInfo, VirtualTime,
};
use crate::tuple::Tuple;

/// Reports one insert in `EVERY` as done without storing it.
#[derive(Debug)]
pub struct LosesInserts<T, const EVERY: u64 = 10_000> {
    table: T,
    inserts: AtomicU64,
}

/// Handle of [`LosesInserts`].
#[derive(Debug)]
pub struct LosingHandle<'t, H, const EVERY: u64> {
    handle: H,
    inserts: &'t AtomicU64,
}

impl<T: FlowTable, const EVERY: u64> FlowTable for LosesInserts<T, EVERY> {
    type Options = T::Options;
    type Handle<'t> = LosingHandle<'t, T::Handle<'t>, EVERY>;

    const INFO: TableInfo = TableInfo {
        summary: "test only: loses one insert in 10,000",
        ..T::INFO
    };

    fn new(sizing: &Sizing, options: &T::Options) -> Result<Self, BuildError> {
        Ok(Self {
            table: T::new(sizing, options)?,
            inserts: AtomicU64::new(0),
        })
    }

    fn handle(&self) -> Self::Handle<'_> {
        LosingHandle {
            handle: self.table.handle(),
            inserts: &self.inserts,
        }
    }

    fn len(&self) -> usize {
        self.table.len()
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
    }
}

impl<H: FlowHandle, const EVERY: u64> FlowHandle for LosingHandle<'_, H, EVERY> {
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.handle.hash(tuple)
    }

    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found> {
        self.handle.lookup(packet, hash)
    }

    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        self.handle.lookup_batch(packets, found);
    }

    fn insert(
        &mut self,
        packet: &PacketMeta,
        reply: &Tuple,
        hash: u64,
        evictions: &mut impl EvictionSink,
    ) -> Insert {
        let outcome = self.handle.insert(packet, reply, hash, evictions);
        if outcome == Insert::Inserted {
            // Relaxed: a count.
            let before = self.inserts.fetch_add(1, Ordering::Relaxed);
            if (before + 1).is_multiple_of(EVERY) {
                self.handle.remove(&packet.tuple, hash, packet.now);
            }
        }
        outcome
    }

    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId> {
        self.handle.remove(tuple, hash, now)
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        self.handle.expire(now)
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        self.handle.dump(cursor, budget, sink)
    }

    fn quiescent(&mut self) {
        self.handle.quiescent();
    }

    fn counters(&self) -> Counters {
        self.handle.counters()
    }
}

/// Stale entries remembered at once.
const REMEMBERED: usize = 64;

/// Goes on finding one removed connection in `EVERY`.
#[derive(Debug)]
pub struct StaleEntries<T, const EVERY: u64 = 100> {
    table: T,
    stale: Stale,
}

#[derive(Debug)]
struct Stale {
    removals: AtomicU64,
    remembered: AtomicUsize,
    entries: Mutex<Vec<(Tuple, Found)>>,
}

impl Stale {
    fn find(&self, tuple: &Tuple) -> Option<Found> {
        // Relaxed: saves the lock while there is nothing; a fault may come late.
        if self.remembered.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let entries = self.entries.lock();
        entries
            .iter()
            .find(|(stale, _)| stale == tuple)
            .map(|(_, found)| *found)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(Tuple, Found)>)) {
        let mut entries = self.entries.lock();
        change(&mut entries);
        // Relaxed: see find().
        self.remembered.store(entries.len(), Ordering::Relaxed);
    }
}

/// Handle of [`StaleEntries`].
#[derive(Debug)]
pub struct StaleHandle<'t, H, const EVERY: u64> {
    handle: H,
    stale: &'t Stale,
}

impl<T: FlowTable, const EVERY: u64> FlowTable for StaleEntries<T, EVERY> {
    type Options = T::Options;
    type Handle<'t> = StaleHandle<'t, T::Handle<'t>, EVERY>;

    const INFO: TableInfo = TableInfo {
        summary: "test only: still finds one removed connection in 100",
        ..T::INFO
    };

    fn new(sizing: &Sizing, options: &T::Options) -> Result<Self, BuildError> {
        Ok(Self {
            table: T::new(sizing, options)?,
            stale: Stale {
                removals: AtomicU64::new(0),
                remembered: AtomicUsize::new(0),
                entries: Mutex::new(Vec::new()),
            },
        })
    }

    fn handle(&self) -> Self::Handle<'_> {
        StaleHandle {
            handle: self.table.handle(),
            stale: &self.stale,
        }
    }

    fn len(&self) -> usize {
        self.table.len()
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
    }
}

impl<H: FlowHandle, const EVERY: u64> FlowHandle for StaleHandle<'_, H, EVERY> {
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.handle.hash(tuple)
    }

    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found> {
        let found = self.handle.lookup(packet, hash);
        found.or_else(|| self.stale.find(&packet.tuple))
    }

    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        self.handle.lookup_batch(packets, found);
        for (packet, found) in packets.iter().zip(found) {
            *found = found.or_else(|| self.stale.find(&packet.tuple));
        }
    }

    fn insert(
        &mut self,
        packet: &PacketMeta,
        reply: &Tuple,
        hash: u64,
        evictions: &mut impl EvictionSink,
    ) -> Insert {
        let outcome = self.handle.insert(packet, reply, hash, evictions);
        if outcome == Insert::Inserted {
            let again = |tuple: &Tuple| *tuple == packet.tuple || tuple == reply;
            self.stale
                .change(|entries| entries.retain(|(tuple, _)| !again(tuple)));
        }
        outcome
    }

    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId> {
        // Relaxed: a count.
        let before = self.stale.removals.fetch_add(1, Ordering::Relaxed);
        let remember = (before + 1).is_multiple_of(EVERY);
        // Looked up only to learn the direction; the touch is of no matter to what is removed next.
        let asked = PacketMeta {
            tuple: *tuple,
            now,
            timeout_ms: 1,
            id: ConnectionId(NO_SLOT),
            user: 0,
            set_status: Status::NEW,
            action: 0,
        };
        let found = if remember {
            self.handle.lookup(&asked, hash)
        } else {
            None
        };
        let removed = self.handle.remove(tuple, hash, now);
        if let (Some(found), Some(_)) = (found, removed) {
            self.stale.change(|entries| {
                if entries.len() == REMEMBERED {
                    entries.remove(0);
                }
                entries.push((*tuple, found));
            });
        }
        removed
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        self.handle.expire(now)
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        self.handle.dump(cursor, budget, sink)
    }

    fn quiescent(&mut self) {
        self.handle.quiescent();
    }

    fn counters(&self) -> Counters {
        self.handle.counters()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::tables::chained::{Chained, Options};

    #[test]
    #[should_panic(expected = "conformance C1 random operations")]
    fn conformance_catches_a_lost_insert_in_ten_thousand() {
        conformance::check::<LosesInserts<Chained>>(&Options::default());
    }

    #[test]
    #[should_panic(expected = "conformance C")]
    fn conformance_catches_stale_entries() {
        conformance::check::<StaleEntries<Chained>>(&Options::default());
    }

    /// Wrapping alone changes nothing.
    #[test]
    fn without_their_faults_they_pass() {
        conformance::check::<LosesInserts<Chained, { u64::MAX }>>(&Options::default());
        conformance::check::<StaleEntries<Chained, { u64::MAX }>>(&Options::default());
    }
}
