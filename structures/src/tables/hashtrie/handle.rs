//! A thread's access to the flows of a trie: the operations of the contract.
//!
//! Locks are taken in here, and in [`super::dump`] and [`super::evict`]. Whatever needs the locks of a third hash (an expired
//! connection in the newcomer's way, a victim) is done before or between, with the first two given back.

use crate::counters::Counters;
use crate::entry::{Entry, SlotCache, prefetch_read};
use crate::hash::TupleHasher;
use crate::sync::Ordering;
use crate::table::{
    ConnectionId, DumpCursor, Dumped, Evicted, EvictionSink, FlowHandle, Found, Insert, MAX_BATCH,
    PacketMeta, Status, VirtualTime,
};
use crate::tuple::{Direction, Tuple};

use super::HashTrie;
use super::arena::NodeCache;
use super::evict::{Candidate, choose_near, may_go};
use super::link::{Link, store_hashes, stored_hash, stored_hashes};
use super::root::Locked;
use super::trie::NODE_BITS;

/// Levels below the root that a batch prefetches: four lead to the entries of 2^20 connections under the largest
/// default root; deeper paths are rare, and the locked walk finds them all the same.
const PREFETCHED_LEVELS: usize = 4;

/// Slots that an insert into a full table searches for expired connections before it evicts. The search goes on where
/// the last one stopped.
const EXPIRY_PROBES: u32 = 4;

/// And after nothing evictable was found.
const LAST_EXPIRY_PROBES: u32 = 60;

/// Victims an insert loses to other threads before it gives up.
const EVICTION_ATTEMPTS: usize = 4;

/// One thread's access to a [`HashTrie`].
#[derive(Debug)]
pub struct TrieHandle<'t, H: TupleHasher> {
    table: &'t HashTrie<H>,
    slots: SlotCache,
    nodes: NodeCache,
    counters: Counters,
}

/// Nodes that went into and came out of the trie through one handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeMoves {
    /// Nodes that splits put in.
    pub taken: u64,
    /// Nodes that deletes gave back.
    pub given: u64,
}

/// What stands in a newcomer's way.
enum Obstacle {
    /// Nothing.
    None,
    /// A live connection with one of its tuples.
    Live,
    /// An expired one.
    Expired(Candidate),
}

impl<'t, H: TupleHasher> TrieHandle<'t, H> {
    pub(crate) fn new(table: &'t HashTrie<H>) -> Self {
        Self {
            table,
            slots: SlotCache::default(),
            nodes: NodeCache::default(),
            counters: Counters::default(),
        }
    }

    /// What the handle's operations did to the trie so far.
    #[must_use]
    pub fn node_moves(&self) -> NodeMoves {
        NodeMoves {
            taken: self.nodes.taken,
            given: self.nodes.given,
        }
    }

    /// Takes a connection out unless `allow` refuses it under its locks, or it is gone. Its slot is the caller's then,
    /// and it still counts against the limit.
    fn take_out(&mut self, candidate: Candidate, allow: impl Fn(&Entry) -> bool) -> Option<Evicted> {
        let Candidate { slot, hashes } = candidate;
        let trie = &self.table.trie;
        self.prefetch_paths::<2>(&hashes);
        let _locked = trie.root.lock_pair(hashes);
        let entry = trie.slab.entry(slot);
        // The hashes were read without locks. If the original's leaf is linked under its hash, the slot holds a
        // connection that cannot go while we hold that lock, and then its hashes are stable.
        let linked = trie.contains(Link::leaf(slot, Direction::Original), hashes[0]);
        if !linked || stored_hashes(entry) != hashes || !allow(entry) {
            return None;
        }
        let evicted = entry.as_evicted();
        self.unlink_both(slot, hashes);
        Some(evicted)
    }

    /// Unlinks a connection whose locks are held, which makes its slot the caller's.
    fn unlink_both(&mut self, slot: u32, hashes: [u64; 2]) {
        let before = self.nodes.given;
        for (direction, hash) in [Direction::Original, Direction::Reply].into_iter().zip(hashes) {
            let linked = self
                .table
                .trie
                .unlink(Link::leaf(slot, direction), hash, &mut self.nodes);
            debug_assert!(linked, "both tuples of a connection are linked, or neither");
        }
        self.table.trie.slab.entry(slot).clear_live();
        if let Some(clock) = &self.table.clock {
            clock.clear(slot);
        }
        let collapsed = self.nodes.given - before;
        self.counters.count(|c| c.resize += collapsed);
    }

    fn give_back(&mut self, slot: u32) {
        self.table.trie.slab.free(slot, &mut self.slots);
        self.table.trie.slab.unreserve();
    }

    fn obstacle(&mut self, tuples: [&Tuple; 2], hashes: [u64; 2], now: VirtualTime) -> Obstacle {
        for (tuple, hash) in tuples.into_iter().zip(hashes) {
            let trie = &self.table.trie;
            if let Some((slot, _)) = trie.find(tuple, hash, &mut self.counters) {
                let entry = trie.slab.entry(slot);
                if !entry.is_expired(now) {
                    return Obstacle::Live;
                }
                return Obstacle::Expired(Candidate {
                    slot,
                    hashes: stored_hashes(entry),
                });
            }
        }
        Obstacle::None
    }

    /// Takes out an expired connection that is in the way; whether it, and not somebody else, took it.
    fn reap(&mut self, candidate: Candidate, now: VirtualTime) -> bool {
        let reaped = self.take_out(candidate, |entry| entry.is_expired(now)).is_some();
        if reaped {
            self.counters.count(|c| c.expired += 1);
        }
        reaped
    }

    /// Looks at the next `probes` slots for an expired connection and takes the first out.
    fn reap_some(&mut self, probes: u32, now: VirtualTime) -> Option<u32> {
        let slab = &self.table.trie.slab;
        let used = slab.used_slots().max(1);
        // Relaxed: only spreads the searches.
        let first = self.table.sweep_hand.fetch_add(probes, Ordering::Relaxed);
        (0..probes.min(used))
            .map(|step| first.wrapping_add(step) % used)
            .find(|&slot| {
                let entry = slab.entry(slot);
                entry.is_live()
                    && entry.is_expired(now)
                    && self.reap(
                        Candidate {
                            slot,
                            hashes: stored_hashes(entry),
                        },
                        now,
                    )
            })
    }

    /// Makes room in a full table: the slot of a connection that was taken out, still counted.
    fn make_room(&mut self, packet: &PacketMeta, hash: u64, sink: &mut impl EvictionSink) -> Option<u32> {
        let now = packet.now;
        if let Some(slot) = self.reap_some(EXPIRY_PROBES, now) {
            return Some(slot);
        }
        if self.table.evicts {
            for _ in 0..EVICTION_ATTEMPTS {
                let table = self.table;
                let candidate = match &table.clock {
                    Some(clock) => clock.choose(&table.trie.slab, now),
                    None => choose_near(&table.trie, hash, now),
                };
                let Some(candidate) = candidate else { break };
                if self.evict(candidate, now, sink) {
                    return Some(candidate.slot);
                }
            }
        }
        self.reap_some(LAST_EXPIRY_PROBES, now)
    }

    fn evict(&mut self, candidate: Candidate, now: VirtualTime, sink: &mut impl EvictionSink) -> bool {
        if self.table.trie.slab.entry(candidate.slot).is_expired(now) && self.reap(candidate, now) {
            return true;
        }
        let victim = self.take_out(candidate, |entry| may_go(entry, now) && !entry.is_expired(now));
        if let Some(victim) = victim {
            self.counters.count(|c| c.early_drop += 1);
            sink.evicted(victim);
        }
        victim.is_some()
    }

    /// Fills `slot` and links it under both hashes, whose locks are held. False where nodes have run out.
    fn link_both(&mut self, slot: u32, packet: &PacketMeta, reply: &Tuple, hashes: [u64; 2]) -> bool {
        let trie = &self.table.trie;
        let entry = trie.slab.entry(slot);
        // SAFETY: the slot came from the slab's free list or from take_out(): nothing links to it, and who walked over it
        // held one of its locks, which it gave back before the slot was unlinked.
        unsafe { entry.fill(packet, reply) };
        store_hashes(entry, hashes);
        let before = self.nodes.taken;
        let original = Link::leaf(slot, Direction::Original);
        if !trie.link(original, hashes[0], &mut self.nodes) {
            return false;
        }
        if !trie.link(Link::leaf(slot, Direction::Reply), hashes[1], &mut self.nodes) {
            trie.unlink(original, hashes[0], &mut self.nodes);
            return false;
        }
        entry.set_live();
        if let Some(clock) = self
            .table
            .clock
            .as_ref()
            .filter(|_| packet.set_status.is_evictable())
        {
            clock.set(slot);
        }
        let split = self.nodes.taken - before;
        self.counters.count(|c| c.resize += split);
        true
    }

    /// Notes a packet on its connection, one of whose locks is held.
    #[inline]
    fn touch(&self, slot: u32, entry: &Entry, packet: &PacketMeta) {
        if packet.set_status.contains(Status::ASSURED)
            && let Some(clock) = &self.table.clock
            && entry.status().is_evictable()
        {
            clock.clear(slot);
        }
        entry.touch(packet);
    }

    /// The connection of `tuple` that is live at `now`, with the locks of both its hashes.
    fn find_both(
        &mut self,
        tuple: &Tuple,
        hash: u64,
        now: VirtualTime,
    ) -> Option<(u32, [u64; 2], Locked<'t>)> {
        let table = self.table;
        let trie = &table.trie;
        // The hash of the other tuple is not known before the connection is found, so its lock may come out of order: tried
        // at first, and if somebody has it, both are taken in order and the search is repeated.
        let mut other = hash;
        loop {
            let mut locked = trie.root.lock_pair([hash, other]);
            let (slot, direction) = trie.find(tuple, hash, &mut self.counters)?;
            let entry = trie.slab.entry(slot);
            if entry.is_expired(now) {
                return None;
            }
            other = stored_hash(entry, direction.opposite());
            if locked.extend(other) {
                return Some((slot, stored_hashes(entry), locked));
            }
            self.counters.count(|c| c.search_restart += 1);
        }
    }

    /// Fetches what is on the way to these hashes (at most `N`), level by level, without a lock.
    #[inline]
    fn prefetch_paths<const N: usize>(&self, hashes: &[u64]) {
        let trie = &self.table.trie;
        // Nodes that were asked for, and the bits of the hash that lead on from each.
        let mut paths = [(Link::EMPTY, 0u64); N];
        let mut open = 0;
        for &hash in hashes.iter().take(N) {
            let link = trie.prefetch(Link::load(&trie.root.slot(hash).link));
            if link != Link::EMPTY {
                paths[open] = (link, trie.below_root(hash));
                open += 1;
            }
        }
        for _ in 0..PREFETCHED_LEVELS {
            let level = open;
            open = 0;
            for path in 0..level {
                let (link, rest) = paths[path];
                let link = trie.prefetch(trie.below(link, rest));
                if link != Link::EMPTY {
                    paths[open] = (link, rest << NODE_BITS);
                    open += 1;
                }
            }
        }
    }
}

impl<H: TupleHasher> FlowHandle for TrieHandle<'_, H> {
    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.table.hasher.hash(tuple)
    }

    #[inline]
    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found> {
        let trie = &self.table.trie;
        let _locked = trie.root.lock(hash);
        let (slot, direction) = trie.find(&packet.tuple, hash, &mut self.counters)?;
        let entry = trie.slab.entry(slot);
        if entry.is_expired(packet.now) {
            return None;
        }
        self.touch(slot, entry, packet);
        self.counters.count(|c| c.found += 1);
        Some(Found {
            id: entry.id(),
            direction,
        })
    }

    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        for (packets, found) in packets.chunks(MAX_BATCH).zip(found.chunks_mut(MAX_BATCH)) {
            let mut hashes = [0; MAX_BATCH];
            let hashes = &mut hashes[..packets.len()];
            for (hash, packet) in hashes.iter_mut().zip(packets) {
                *hash = self.hash(&packet.tuple);
                prefetch_read(self.table.trie.root.slot(*hash));
            }
            self.prefetch_paths::<MAX_BATCH>(hashes);
            for ((packet, &hash), found) in packets.iter().zip(&*hashes).zip(found) {
                *found = self.lookup(packet, hash);
            }
        }
    }

    fn insert(
        &mut self,
        packet: &PacketMeta,
        reply: &Tuple,
        hash: u64,
        evictions: &mut impl EvictionSink,
    ) -> Insert {
        let hashes = [hash, self.hash(reply)];
        let table = self.table;
        let slab = &table.trie.slab;
        // Both paths at once: walked one after the other they would cost twice the latency.
        self.prefetch_paths::<2>(&hashes);
        let mut slot = None;
        let outcome = loop {
            let locked = table.trie.root.lock_pair(hashes);
            match self.obstacle([&packet.tuple, reply], hashes, packet.now) {
                Obstacle::Live => break Insert::Duplicate,
                Obstacle::Expired(candidate) => {
                    drop(locked);
                    if self.reap(candidate, packet.now) {
                        self.give_back(candidate.slot);
                    }
                    continue;
                }
                Obstacle::None => {}
            }
            if slot.is_none() && slab.reserve() {
                slot = slab.allocate(&mut self.slots);
                if slot.is_none() {
                    // More slots lie in the caches of idle handles than there is slack.
                    slab.unreserve();
                }
            }
            if let Some(slot) = slot {
                if !self.link_both(slot, packet, reply, hashes) {
                    break Insert::Full;
                }
                self.counters.count(|c| c.insert += 1);
                return Insert::Inserted;
            }
            drop(locked);
            slot = self.make_room(packet, hash, evictions);
            if slot.is_none() {
                break Insert::Full;
            }
        };
        if let Some(slot) = slot {
            self.give_back(slot);
        }
        self.counters.count(|c| match outcome {
            Insert::Duplicate => c.insert_failed += 1,
            _ => c.drop += 1,
        });
        outcome
    }

    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId> {
        let (slot, hashes, locked) = self.find_both(tuple, hash, now)?;
        let id = self.table.trie.slab.entry(slot).id();
        self.unlink_both(slot, hashes);
        drop(locked);
        self.give_back(slot);
        self.counters.count(|c| c.delete += 1);
        Some(id)
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        let slab = &self.table.trie.slab;
        let mut given_back = 0;
        for slot in 0..slab.used_slots() {
            let entry = slab.entry(slot);
            if !entry.is_live() || !entry.is_expired(now) {
                continue;
            }
            let hashes = stored_hashes(entry);
            if self.reap(Candidate { slot, hashes }, now) {
                self.give_back(slot);
                given_back += 1;
            }
        }
        given_back
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        super::dump::dump(&self.table.trie, cursor, budget, sink)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl<H: TupleHasher> Drop for TrieHandle<'_, H> {
    fn drop(&mut self) {
        self.table.trie.slab.return_cache(&mut self.slots);
        self.table.trie.arena.return_cache(&mut self.nodes);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::hash::FoldHasher;
    use crate::table::{FlowTable, IgnoreEvictions, Sizing};
    use crate::tables::hashtrie::Options;

    fn packet(port: u16) -> PacketMeta {
        PacketMeta {
            tuple: Tuple::v4(17, [10, 0, 0, 1].into(), port, [10, 0, 0, 2].into(), 53),
            now: VirtualTime(0),
            timeout_ms: 10,
            id: ConnectionId(u32::from(port)),
            user: 0,
            set_status: Status::NEW,
            action: 0,
        }
    }

    /// What a thread holds that chose a victim, and then lost it to another before it had the locks.
    #[test]
    fn g5_a_victim_that_is_gone_or_has_changed_is_left_alone() {
        let sizing = Sizing {
            max_connections: 8,
            evict_when_full: true,
            seed: 1,
        };
        let table = HashTrie::<FoldHasher>::new(&sizing, &Options::default()).unwrap();
        let mut handle = table.handle();
        let open = |handle: &mut TrieHandle<'_, FoldHasher>, port| {
            let packet = packet(port);
            let hash = handle.hash(&packet.tuple);
            let outcome = handle.insert(&packet, &packet.tuple.mirrored(), hash, &mut IgnoreEvictions);
            assert_eq!(outcome, Insert::Inserted);
            let (slot, _) = table
                .trie
                .find(&packet.tuple, hash, &mut Counters::default())
                .unwrap();
            let hashes = stored_hashes(table.trie.slab.entry(slot));
            (packet, hash, Candidate { slot, hashes })
        };
        let (first, hash, candidate) = open(&mut handle, 1);
        handle.remove(&first.tuple, hash, VirtualTime(0)).unwrap();
        assert_eq!(handle.take_out(candidate, |_| true), None, "its slot is free");
        let (second, _, successor) = open(&mut handle, 2);
        assert_eq!(successor.slot, candidate.slot, "the slot is used again at once");
        assert_eq!(
            handle.take_out(candidate, |_| true),
            None,
            "its slot has a new owner"
        );
        assert_eq!(
            handle.take_out(successor, |_| false),
            None,
            "its status has changed"
        );
        let evicted = handle.take_out(successor, |_| true).unwrap();
        assert_eq!(evicted.id, second.id);
        handle.give_back(successor.slot);
        assert_eq!((table.len(), table.shape().leaves), (0, 0));
    }
}
