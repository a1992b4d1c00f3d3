//! One thread's access: lookups first, then what changes the table.

use std::sync::Arc;

use crate::counters::Counters;
use crate::entry::{Entry, SlotCache, prefetch_read};
use crate::hash::TupleHasher;
use crate::sync::thread;
use crate::table::{
    ConnectionId, DumpCursor, Dumped, EvictionSink, FlowHandle, Found, Insert, MAX_BATCH, PacketMeta,
    VirtualTime,
};
use crate::tuple::{Direction, Tuple};

use super::fault::{self, Fault};
use super::grace::{Record, Retired};
use super::index::{Address, First};
use super::{Rcu, buckets_of, link_to, note_buckets, note_positions, slot_of};

/// Slots ahead of a sweep whose lines are fetched: as many as there are line fill buffers in a core of this
/// decade.
const SWEEP_AHEAD: u32 = 12;

/// One thread's access to an [`Rcu`] table.
///
/// It counts as quiescent between operations, so [`FlowHandle::quiescent`] has nothing to do.
#[derive(Debug)]
pub struct RcuHandle<'t, H: TupleHasher> {
    pub(super) table: &'t Rcu<H>,
    pub(super) record: Arc<Record>,
    pub(super) counters: Counters,
    /// State of the sampling sequence of `room`.
    pub(super) random: u64,
}

/// A connection on its way into the table.
#[derive(Debug)]
pub(super) struct Newcomer<'p> {
    pub packet: &'p PacketMeta,
    reply: &'p Tuple,
    /// Where its tuples belong, the original first.
    pub at: [Address; 2],
    /// Its slot, filled and not linked.
    slot: u32,
    /// Whether it is counted already.
    reserved: bool,
}

impl Newcomer<'_> {
    fn tuples(&self) -> [&Tuple; 2] {
        [&self.packet.tuple, self.reply]
    }
}

/// What became of an attempt to link a filled entry.
enum Linked {
    Done,
    Duplicate,
    /// No duplicate, but no place either.
    NoRoom,
    /// The connection in this slot has one of the tuples, but expired.
    Expired(u32),
}

impl<'t, H: TupleHasher> RcuHandle<'t, H> {
    pub(super) fn new(table: &'t Rcu<H>) -> Self {
        let record = table.domain.register();
        Self {
            table,
            random: table.seed.wrapping_add(record.number),
            record,
            counters: Counters::default(),
        }
    }

    /// At most [`MAX_BATCH`] lookups: all home lines are fetched, then all entries, then all are read.
    fn lookup_chunk(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        let table = self.table;
        let mut hashes = [0; MAX_BATCH];
        for (hash, packet) in hashes.iter_mut().zip(packets) {
            *hash = table.hasher.hash(&packet.tuple);
            prefetch_read(table.index.home(table.index.address(*hash).bucket));
        }
        let hashes = &hashes[..packets.len()];
        let _inside = table.domain.enter(&self.record);
        let mut firsts = [First::NOTHING; MAX_BATCH];
        for (first, &hash) in firsts.iter_mut().zip(hashes) {
            *first = table.index.first(table.index.address(hash));
            if let Some(link) = first.link() {
                table.prefetch_entry(link);
            }
        }
        for (((packet, found), &hash), first) in packets.iter().zip(found).zip(hashes).zip(&firsts) {
            let link = match first.link() {
                Some(link) if table.leads_to(link, &packet.tuple) => Some(link),
                None if *first == First::NOTHING => None,
                _ => table.find(&packet.tuple, table.index.address(hash), &mut self.counters),
            };
            *found = link.and_then(|link| table.hit(packet, link, &mut self.counters));
        }
    }

    /// A free slot; see R5. The caller holds no other slot and no lock, and is not inside an operation.
    fn take_slot(&mut self) -> u32 {
        let slab = &self.table.slab;
        loop {
            if let Some(slot) = slab.allocate(&mut self.record.keep.lock().cache) {
                return slot;
            }
            self.reclaim_everywhere();
        }
    }

    /// Seals what all handles keep, frees what no reader can see any more, and puts it where all handles find
    /// it.
    #[cold]
    fn reclaim_everywhere(&mut self) {
        let table = self.table;
        let records = table.domain.records();
        for record in &records {
            table.domain.seal(&mut record.keep.lock());
        }
        let horizon = table.domain.horizon();
        for record in &records {
            let mut keep = record.keep.lock();
            keep.release(horizon, |cache, what| table.free(cache, what));
            table.slab.return_cache(&mut keep.cache);
        }
        // Where that freed nothing, a reader or another insert is on its way, or waits for this processor.
        thread::yield_now();
    }

    /// Retires what was unlinked. The caller holds no lock and is not inside an operation.
    pub(super) fn retire(&mut self, unlinked: [Option<Retired>; 3]) {
        let table = self.table;
        let mut keep = self.record.keep.lock();
        for what in unlinked.into_iter().flatten() {
            if let (Retired::Line(line), true) = (what, fault::planted(Fault::LineWithoutGracePeriod)) {
                table.index.give_line(line);
                continue;
            }
            if let Some(horizon) = table.domain.retire(&mut keep, what) {
                keep.release(horizon, |cache, what| table.free(cache, what));
            }
        }
    }

    /// Unlinks and retires the connection in `slot` if it is live and `condition` holds of it; says what
    /// `condition` said. The connection stays counted: its place goes to the caller.
    pub(super) fn unlink_if<T>(
        &mut self,
        slot: u32,
        condition: impl FnOnce(&Entry) -> Option<T>,
    ) -> Option<T> {
        let table = self.table;
        let entry = table.slab.entry(slot);
        let (answer, unlinked) = {
            // Inside: the slot is not filled a second time while this looks at it, so that what is seen
            // before and under the locks is one connection's.
            let _inside = table.domain.enter(&self.record);
            if !entry.is_live() {
                return None;
            }
            let _locked = table.lock(buckets_of(entry));
            if !entry.is_live() {
                return None;
            }
            (condition(entry)?, table.unlink(slot))
        };
        self.retire(unlinked);
        Some(answer)
    }

    /// Gives back the connection in `slot` if it has expired. It stays counted, as in `unlink_if`.
    pub(super) fn unlink_expired(&mut self, slot: u32, now: VirtualTime) -> bool {
        let expired = self.unlink_if(slot, |entry| entry.is_expired(now).then_some(()));
        if expired.is_some() {
            self.counters.count(|c| c.expired += 1);
        }
        expired.is_some()
    }

    /// Links the entry of `newcomer` under both tuples, unless one of them is there already or the table is
    /// full.
    fn link(&mut self, newcomer: &Newcomer<'_>) -> Linked {
        let Newcomer { packet, at, slot, .. } = *newcomer;
        let table = self.table;
        let entry = table.slab.entry(slot);
        let _locked = table.lock(at.map(|address| address.bucket));
        for (tuple, address) in newcomer.tuples().into_iter().zip(at) {
            if let Some(link) = table.find(tuple, address, &mut self.counters) {
                let there = slot_of(link);
                return if table.slab.entry(there).is_expired(packet.now) {
                    Linked::Expired(there)
                } else {
                    Linked::Duplicate
                };
            }
        }
        // Only now, and under the locks: a newcomer that is a duplicate must not, even for a moment, take the
        // last place from one that is not.
        if !newcomer.reserved && !table.slab.reserve() {
            return Linked::NoRoom;
        }
        let links = [Direction::Original, Direction::Reply].map(|direction| link_to(slot, direction));
        let positions = [
            table.index.publish(at[0], links[0], &mut self.counters),
            table.index.publish(at[1], links[1], &mut self.counters),
        ];
        if fault::planted(Fault::FillAfterPublish) {
            // SAFETY: none: this is the fault.
            unsafe { entry.fill(packet, newcomer.reply) };
        }
        note_positions(entry, positions);
        entry.set_live();
        Linked::Done
    }

    /// Links `newcomer`, giving back expired connections in its way and making room where there is none.
    ///
    /// It holds a slot all the time, so nothing in here may wait for one.
    fn settle(&mut self, newcomer: &mut Newcomer<'_>, evictions: &mut impl EvictionSink) -> Insert {
        loop {
            match self.link(newcomer) {
                Linked::Done => return Insert::Inserted,
                Linked::Duplicate => return Insert::Duplicate,
                Linked::Expired(there) => {
                    if self.unlink_expired(there, newcomer.packet.now) {
                        // Its place goes to the newcomer, or back where the newcomer has one from before.
                        if newcomer.reserved {
                            self.table.slab.unreserve();
                        }
                        newcomer.reserved = true;
                    }
                }
                Linked::NoRoom => {
                    if !self.make_room(newcomer, evictions) {
                        return Insert::Full;
                    }
                    newcomer.reserved = true;
                }
            }
        }
    }
}

impl<H: TupleHasher> Rcu<H> {
    /// The link of `tuple`. The caller is inside an operation or holds the bucket's lock.
    #[inline]
    pub(super) fn find(&self, tuple: &Tuple, address: Address, counters: &mut Counters) -> Option<u32> {
        self.index
            .find(address, counters, |link| self.leads_to(link, tuple))
    }

    /// Whether `link`, which the caller read inside this operation or under the bucket's lock, leads to
    /// `tuple`.
    ///
    /// Compares all words before it decides: with the tag equal, the tuple nearly always is, and one branch
    /// is enough.
    #[inline]
    fn leads_to(&self, link: u32, tuple: &Tuple) -> bool {
        let (entry, direction) = self.follow(link);
        // SAFETY: the link was published, and the caller is inside an operation or holds the bucket's lock:
        // either keeps the slot from being filled again.
        let there = unsafe { entry.tuple(direction) }.words();
        let differing = there.into_iter().zip(tuple.words()).map(|(a, b)| a ^ b);
        differing.fold(0, |all, word| all | word) == 0
    }

    /// What a link that was found means for `packet`: touches the connection, unless it has expired.
    #[inline]
    fn hit(&self, packet: &PacketMeta, link: u32, counters: &mut Counters) -> Option<Found> {
        let (entry, direction) = self.follow(link);
        if entry.is_expired(packet.now) {
            return None;
        }
        entry.touch(packet);
        counters.count(|c| c.found += 1);
        Some(Found {
            id: entry.id(),
            direction,
        })
    }

    /// Asks for the lines of an entry that a lookup of `link` will touch: the first for the touch, and for a
    /// reply the second too, where its tuple is.
    #[inline]
    fn prefetch_entry(&self, link: u32) {
        let (entry, direction) = self.follow(link);
        prefetch_read(entry);
        if direction == Direction::Reply {
            prefetch_read(&entry.links);
        }
    }

    /// Gives back what no reader can see any more.
    fn free(&self, cache: &mut SlotCache, what: Retired) {
        match what {
            Retired::Slot(slot) => self.slab.free(slot, cache),
            Retired::Line(line) => self.index.give_line(line),
        }
    }
}

impl<H: TupleHasher> FlowHandle for RcuHandle<'_, H> {
    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.table.hasher.hash(tuple)
    }

    #[inline]
    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found> {
        let address = self.table.index.address(hash);
        let table = self.table;
        let _inside = table.domain.enter(&self.record);
        let link = table.find(&packet.tuple, address, &mut self.counters)?;
        table.hit(packet, link, &mut self.counters)
    }

    #[inline]
    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        for (packets, found) in packets.chunks(MAX_BATCH).zip(found.chunks_mut(MAX_BATCH)) {
            self.lookup_chunk(packets, found);
        }
    }

    fn insert(
        &mut self,
        packet: &PacketMeta,
        reply: &Tuple,
        hash: u64,
        evictions: &mut impl EvictionSink,
    ) -> Insert {
        let table = self.table;
        let at = [hash, table.hasher.hash(reply)].map(|hash| table.index.address(hash));
        for address in at {
            prefetch_read(table.index.home(address.bucket));
        }
        let slot = self.take_slot();
        let entry = table.slab.entry(slot);
        if !fault::planted(Fault::FillAfterPublish) {
            // SAFETY: the slot is this handle's until it is linked, and it came through a grace period:
            // nobody still reads the tuples of its earlier connection.
            unsafe { entry.fill(packet, reply) };
        }
        note_buckets(entry, at.map(|address| address.bucket));
        let mut newcomer = Newcomer {
            packet,
            reply,
            at,
            slot,
            reserved: false,
        };
        let outcome = self.settle(&mut newcomer, evictions);
        if outcome != Insert::Inserted {
            // Never linked, so free at once.
            table.slab.free(slot, &mut self.record.keep.lock().cache);
            if newcomer.reserved {
                table.slab.unreserve();
            }
        }
        self.counters.count(|c| match outcome {
            Insert::Inserted => c.insert += 1,
            Insert::Duplicate => c.insert_failed += 1,
            Insert::Full => c.drop += 1,
        });
        outcome
    }

    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId> {
        let table = self.table;
        let address = table.index.address(hash);
        loop {
            let removed = {
                let _inside = table.domain.enter(&self.record);
                let slot = slot_of(table.find(tuple, address, &mut self.counters)?);
                let entry = table.slab.entry(slot);
                if entry.is_expired(now) {
                    return None;
                }
                let _locked = table.lock(buckets_of(entry));
                // Not live: another thread removed it meanwhile, and the tuple may have come back in another
                // slot. Live: it is the connection that was found, since slots are not filled again while
                // this is inside.
                entry.is_live().then(|| (entry.id(), table.unlink(slot)))
            };
            let Some((id, unlinked)) = removed else {
                continue;
            };
            self.retire(unlinked);
            table.slab.unreserve();
            self.counters.count(|c| c.delete += 1);
            return Some(id);
        }
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        let table = self.table;
        let used = table.slab.used_slots();
        let mut given_back = 0;
        for slot in 0..used {
            table.slab.prefetch(slot + SWEEP_AHEAD);
            let entry = table.slab.entry(slot);
            if entry.is_live() && entry.is_expired(now) && self.unlink_expired(slot, now) {
                table.slab.unreserve();
                given_back += 1;
            }
        }
        given_back
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        let table = self.table;
        let used = u64::from(table.slab.used_slots());
        let end = cursor.position.saturating_add(budget as u64).min(used);
        while cursor.position < end {
            // Below `used`, which is a u32.
            let slot = u32::try_from(cursor.position).unwrap_or(u32::MAX);
            cursor.position += 1;
            let entry = table.slab.entry(slot);
            let shown = {
                let _inside = table.domain.enter(&self.record);
                // SAFETY: live, and inside an operation: the slot is not filled again before this has left.
                entry.is_live().then(|| unsafe { entry.as_dumped() })
            };
            if let Some(shown) = shown {
                sink(shown);
            }
        }
        cursor.position >= used
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl<H: TupleHasher> Drop for RcuHandle<'_, H> {
    fn drop(&mut self) {
        let table = self.table;
        {
            let mut keep = self.record.keep.lock();
            table.domain.seal(&mut keep);
            table.slab.return_cache(&mut keep.cache);
        }
        table.domain.leave(&self.record);
    }
}
