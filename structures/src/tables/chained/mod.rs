//! `chained`: the hash table with chains, as `ip_conntrack` and `nf_conntrack` have it.
//!
//! # Source, and what differs from it
//! Linux 6.18 `nf_conntrack_core.c` for the default, Linux 2.6.14 `ip_conntrack_core.c` for [`Options::kernel_2005`] with
//! [`GlobalLock`]; described and re-derived, nothing copied.
//! * Readers take the lock of the scheme here (a bucket lock, or the shared side of the global lock). The kernel's have walked
//!   under RCU since 2008: that design is the `rcu` table. What is compared here is chains, load, locks and eviction.
//! * Links are 32-bit slot numbers that carry 32 bits of the target's hash, where the kernel has 64-bit pointers and
//!   compares tuples at every node: a node that does not match costs its link line, one that does not match and
//!   is the last costs nothing.
//! * Both hashes are kept in the entry; the kernel hashes again to delete.
//! * The duplicate check comes before eviction (contract C3); the kernel makes room first.
//! * Lookups step over expired connections and leave them to the next insert into their chain and to `expire`; the
//!   kernel's kill them. Where an expired connection made room for a newcomer nobody is evicted.
//! * `expire` and `dump` walk the slab in slot order, where the kernel walks buckets (and had timers until 2016).
//! * Buckets are numbered by multiplication (`reciprocal_scale`) in all configurations; 2005 divided.
//!
//! # Layout
//! ```text
//! heads: 8 bytes per bucket      slab: 128 bytes per connection
//! +-----+-----------------+      +--------------------------------------------------------------------+
//! |  0  | node | tag      |----> | line 0: original tuple, expires, last seen, id, status               |
//! |  1  | node | tag      |      | line 1: reply tuple | o.next o.tag | r.next r.tag | o.hash | r.hash |
//! | ... |                 |      +--------------------------------------------------------------------+
//! +-----+-----------------+      node = slot << 1 | direction: each entry is in two chains
//! locks: 1024 of 4 bytes, bucket % 1024; two taken in ascending order to insert or remove
//! ```
//! `tag` is the low half of the hash of the node pointed *to*, `o.hash` and `r.hash` are the high halves, which number the
//! buckets. So a chain is searched without touching an entry until the tags agree, except for its next link.
//!
//! Cache lines of a hit on the first node: lock, head, line 0 (original) or lines 1 and 0 (reply); each node before it adds
//! its line 1. A miss in an empty bucket: lock, head. Insert: two locks, two heads, both lines of the new entry, line 1 of each
//! node passed. Atomic read-modify-writes: two per lookup (lock and unlock), four per insert and one for the count and one
//! for the live mark, six per remove and the same two.
//!
//! # Bytes per connection
//! 128 for the entry + 8 per bucket: 136 at the default of one bucket per connection, 129 at 2005's eight
//! connections per bucket. Free slots cost 4 more in the free list.
//!
//! # Progress and complexity
//! Every operation blocks on its locks. At load a (nodes per bucket; 2 when full at the default), expected: hit 1 + a/2
//! nodes, miss and insert 1 + a, remove as two hits. `expire` and a whole dump: one step per slot ever used.
//! Eviction looks at no more than [`EVICTION_RANGE`] buckets.
//!
//! # Guarantees
//! * **G1** A node is linked and unlinked only under the locks of both its chains; whoever holds the lock of a chain may read
//!   all of its entries. (models `a_lookup_beside_a_remove_and_a_reuse`, `one_of_two_crossing_inserts_wins`; conformance, C8)
//! * **G2** Locks are taken in ascending order, and no lock is asked for with a greater one held: no deadlock.
//!   (model `one_of_two_crossing_inserts_wins`; `threads_crossing_in_both_directions_do_not_deadlock`)
//! * **G3** Eviction decides under both locks of the victim: a connection that became ASSURED before is spared.
//!   (`eviction_today_takes_all_of_the_first_bucket_that_has_one`, conformance C4)
//! * **G4** With a chain cap no chain grows past 81 nodes. (`the_chain_cap_refuses_within_its_random_range`)
//!
//! # Known limits
//! * 16 locks share a cache line, as the kernel's do: writers to different buckets disturb each other.
//! * No resize: buckets are sized once, as the kernel's are unless the user asks.
//! * `expire` takes two locks per connection it gives back.
//! * More than 32 handles may hold back so many free slots in their caches that an insert at the limit is refused early.

mod chain;
mod evict;
mod locks;
#[cfg(test)]
mod models;
mod options;
#[cfg(test)]
mod tests;

use chain::{Chains, Link, Node};
use evict::Noted;
pub use locks::{GlobalLock, HashedLocks, LockScheme};
pub use options::{Buckets, EVICTION_RANGE, Eviction, Options};
use options::{CHAINLEN_SPREAD, MIN_CHAINLEN};

use crate::counters::Counters;
use crate::entry::{Entry, Slab, SlotCache};
use crate::hash::{FoldHasher, TupleHasher};
use crate::table::{
    BuildError, ConnectionId, DumpCursor, Dumped, EvictionSink, FlowHandle, FlowTable, Found, Insert,
    MAX_BATCH, PacketMeta, Sharing, Sizing, TableInfo, VirtualTime,
};
use crate::tuple::{Direction, Tuple};

/// Slots more than the limit, for the caches of 32 handles (each keeps at most two batches of 32).
#[cfg(not(loom))]
const SLACK_SLOTS: usize = 32 * 64;
/// Few, so that slots are used again at once, and models stay small.
#[cfg(loom)]
const SLACK_SLOTS: usize = 2;

/// Times an insert makes room before it gives up: others may take the room it made.
const ROOM_ATTEMPTS: usize = 4;

/// The table. `H` hashes, `L` keeps threads apart; both are compiled in.
#[derive(Debug)]
pub struct Chained<H = FoldHasher, L = HashedLocks> {
    hasher: H,
    locks: L,
    chains: Chains,
    slab: Slab,
    options: Options,
    evict_when_full: bool,
}

/// One thread's access.
#[derive(Debug)]
pub struct ChainedHandle<'t, H, L> {
    table: &'t Chained<H, L>,
    cache: SlotCache,
    counters: Counters,
}

impl<H: TupleHasher, L: LockScheme> FlowTable for Chained<H, L> {
    type Options = Options;
    type Handle<'t> = ChainedHandle<'t, H, L>;

    const INFO: TableInfo = TableInfo {
        summary: "hash table with chains, as nf_conntrack has it",
        locking: L::LOCKING,
        sharing: Sharing::Shared,
        evicts: true,
        answers: true,
    };

    fn new(sizing: &Sizing, options: &Options) -> Result<Self, BuildError> {
        let buckets = options.bucket_count(sizing.max_connections)?;
        Ok(Self {
            hasher: H::with_seed(sizing.seed),
            locks: L::new(),
            chains: Chains::new(buckets),
            slab: Slab::new(sizing.max_connections, SLACK_SLOTS)?,
            options: *options,
            evict_when_full: sizing.evict_when_full,
        })
    }

    fn handle(&self) -> ChainedHandle<'_, H, L> {
        ChainedHandle {
            table: self,
            cache: SlotCache::default(),
            counters: Counters::default(),
        }
    }

    fn len(&self) -> usize {
        self.slab.len()
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.slab.memory_bytes() + self.chains.memory_bytes() + self.locks.memory_bytes()
    }
}

/// What a search of one chain for a newcomer's tuple met.
enum Scan {
    Clear,
    Live,
    TooLong,
}

/// What became of one attempt to insert.
enum Attempt {
    Inserted,
    Duplicate,
    ChainTooLong,
    NoRoom,
    /// No room, but an expired connection with one of the tuples was met and given back: there is some now.
    RoomMade,
}

impl<H: TupleHasher, L: LockScheme> Chained<H, L> {
    /// Calls `visit` on each node of a chain until it returns true; the caller holds the chain's lock.
    #[inline]
    fn walk(&self, bucket: u32, mut visit: impl FnMut(Link, &Entry) -> bool) {
        let mut link = self.chains.head(bucket);
        while let Some(node) = link.node() {
            let entry = self.slab.entry(node.slot());
            if visit(link, entry) {
                return;
            }
            link = node.next(entry);
        }
    }

    /// The live node of `tuple`; the caller holds the lock of its chain.
    #[inline]
    fn find(&self, tuple: &Tuple, hash: u64, now: VirtualTime, counters: &mut Counters) -> Option<Node> {
        let tag = chain::tag(hash);
        let mut link = self.chains.head(self.chains.bucket(hash));
        while let Some(node) = link.node() {
            let entry = self.slab.entry(node.slot());
            // SAFETY: the caller holds the lock of the chain that led here: nobody unlinks the entry, let alone refills it.
            if link.tag == tag && unsafe { entry.tuple(node.direction()) } == tuple && !entry.is_expired(now)
            {
                return Some(node);
            }
            counters.count(|c| c.extra_probes += 1);
            link = node.next(entry);
        }
        None
    }

    /// Looks for `tuple` where it is to be inserted; the caller holds the chain's lock.
    fn scan(&self, tuple: &Tuple, hash: u64, now: VirtualTime, expired: &mut Noted) -> Scan {
        let (tag, cap) = (chain::tag(hash), self.chain_cap(hash));
        let (mut length, mut outcome) = (0u64, Scan::Clear);
        self.walk(self.chains.bucket(hash), |link, entry| {
            let node_matches = link.tag == tag
                && link.node().is_some_and(|node| {
                    // SAFETY: the caller holds the lock of the chain that led here, so the entry stays.
                    unsafe { entry.tuple(node.direction()) == tuple }
                });
            if node_matches && !entry.is_expired(now) {
                outcome = Scan::Live;
                return true;
            }
            if node_matches {
                link.node().into_iter().for_each(|node| expired.note(node.slot()));
            }
            // The kernel's test: `chainlen++ > max_chainlen`.
            if length > cap {
                outcome = Scan::TooLong;
            }
            length += 1;
            length > cap + 1
        });
        outcome
    }

    /// Nodes a chain may have for one more to be let in. Random, so that refusals don't show where tuples collide; the
    /// randomness is the keyed hash's own, where the kernel draws a new number.
    fn chain_cap(&self, hash: u64) -> u64 {
        if self.options.chain_cap {
            MIN_CHAINLEN + (((hash & 0xffff) * CHAINLEN_SPREAD) >> 16)
        } else {
            u64::MAX - 1
        }
    }

    /// Takes the connection in `slot` out of both chains if it is live and `verdict`, asked under both locks, says so. The
    /// slot is then the caller's.
    fn take_out<R>(&self, slot: u32, verdict: impl FnOnce(&Entry) -> Option<R>) -> Option<R> {
        let entry = self.slab.entry(slot);
        let hashes = chain::stored_hashes(entry);
        let [original, reply] = hashes.map(|high| self.chains.bucket_of_high(high));
        self.locks.write(original, reply, || {
            // Hashes are stored under the locks they name. With those held: a live entry that bears them is in these two
            // chains and stays there; one that was replaced since we looked bears others, and is left alone.
            if !entry.is_live() || chain::stored_hashes(entry) != hashes {
                return None;
            }
            let verdict = verdict(entry)?;
            self.chains
                .unlink(&self.slab, original, Node::new(slot, Direction::Original));
            self.chains
                .unlink(&self.slab, reply, Node::new(slot, Direction::Reply));
            entry.clear_live();
            Some(verdict)
        })
    }
}

impl<H: TupleHasher, L: LockScheme> ChainedHandle<'_, H, L> {
    /// Takes `slot` out as [`Chained::take_out`] does, and gives it back.
    fn release<R>(&mut self, slot: u32, verdict: impl FnOnce(&Entry) -> Option<R>) -> Option<R> {
        let verdict = self.table.take_out(slot, verdict)?;
        self.table.slab.free(slot, &mut self.cache);
        self.table.slab.unreserve();
        Some(verdict)
    }

    fn release_expired(&mut self, slot: u32, now: VirtualTime) -> bool {
        let gone = self
            .release(slot, |entry| entry.is_expired(now).then_some(()))
            .is_some();
        self.counters.count(|c| c.expired += u64::from(gone));
        gone
    }

    /// One attempt, with both locks held throughout.
    fn try_insert(&mut self, packet: &PacketMeta, reply: &Tuple, hash: u64, reply_hash: u64) -> Attempt {
        let (table, cache) = (self.table, &mut self.cache);
        let (bucket, reply_bucket) = (table.chains.bucket(hash), table.chains.bucket(reply_hash));
        let mut expired = Noted::default();
        let attempt = table.locks.write(bucket, reply_bucket, || {
            for (tuple, hash) in [(&packet.tuple, hash), (reply, reply_hash)] {
                match table.scan(tuple, hash, packet.now, &mut expired) {
                    Scan::Clear => {}
                    Scan::Live => return Attempt::Duplicate,
                    Scan::TooLong => return Attempt::ChainTooLong,
                }
            }
            if !table.slab.reserve() {
                return Attempt::NoRoom;
            }
            let Some(slot) = table.slab.allocate(cache) else {
                table.slab.unreserve();
                return Attempt::NoRoom;
            };
            let entry = table.slab.entry(slot);
            // SAFETY: the slot was just allocated. Its earlier connection was taken out of its chains under their locks,
            // and tuples are read under those only, so nobody reads them any more.
            unsafe { entry.fill(packet, reply) };
            chain::store_hashes(entry, hash, reply_hash);
            table
                .chains
                .push(bucket, Node::new(slot, Direction::Original), hash, entry);
            table
                .chains
                .push(reply_bucket, Node::new(slot, Direction::Reply), reply_hash, entry);
            entry.set_live();
            Attempt::Inserted
        });
        let released =
            (expired.slots().iter()).fold(false, |any, &slot| self.release_expired(slot, packet.now) | any);
        match attempt {
            Attempt::NoRoom if released => Attempt::RoomMade,
            _ => attempt,
        }
    }
}

impl<H: TupleHasher, L: LockScheme> FlowHandle for ChainedHandle<'_, H, L> {
    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.table.hasher.hash(tuple)
    }

    #[inline]
    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found> {
        let (table, counters) = (self.table, &mut self.counters);
        table.locks.read(table.chains.bucket(hash), || {
            let node = table.find(&packet.tuple, hash, packet.now, counters)?;
            let entry = table.slab.entry(node.slot());
            entry.touch(packet);
            counters.count(|c| c.found += 1);
            Some(Found {
                id: entry.id(),
                direction: node.direction(),
            })
        })
    }

    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        for (packets, found) in packets.chunks(MAX_BATCH).zip(found.chunks_mut(MAX_BATCH)) {
            let mut hashes = [0; MAX_BATCH];
            for (packet, hash) in packets.iter().zip(&mut hashes) {
                *hash = self.hash(&packet.tuple);
                self.table.chains.prefetch(*hash);
            }
            for hash in &hashes[..packets.len()] {
                // Read without the lock, as a hint only: what is fetched may be gone by the time it is searched.
                if let Some(node) = self.table.chains.head(self.table.chains.bucket(*hash)).node() {
                    self.table.slab.prefetch(node.slot());
                }
            }
            for ((packet, hash), found) in packets.iter().zip(hashes).zip(found) {
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
        let reply_hash = self.hash(reply);
        for _ in 0..ROOM_ATTEMPTS {
            match self.try_insert(packet, reply, hash, reply_hash) {
                Attempt::Inserted => {
                    self.counters.count(|c| c.insert += 1);
                    return Insert::Inserted;
                }
                Attempt::Duplicate => {
                    self.counters.count(|c| c.insert_failed += 1);
                    return Insert::Duplicate;
                }
                Attempt::ChainTooLong => {
                    self.counters.count(|c| c.chaintoolong += 1);
                    return Insert::Full;
                }
                Attempt::NoRoom if !self.make_room([hash, reply_hash], packet.now, evictions) => break,
                Attempt::NoRoom | Attempt::RoomMade => {}
            }
        }
        self.counters.count(|c| c.drop += 1);
        Insert::Full
    }

    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId> {
        let (table, counters) = (self.table, &mut self.counters);
        // As the kernel: found first, then deleted under the locks of both chains.
        let node = table.locks.read(table.chains.bucket(hash), || {
            table.find(tuple, hash, now, counters)
        })?;
        let id = self.release(node.slot(), |entry| {
            // SAFETY: asked under both locks of a live entry: it is not refilled meanwhile.
            let same = unsafe { entry.tuple(node.direction()) } == tuple;
            (same && !entry.is_expired(now)).then(|| entry.id())
        })?;
        self.counters.count(|c| c.delete += 1);
        Some(id)
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        let mut gone = 0;
        for slot in 0..self.table.slab.used_slots() {
            let entry = self.table.slab.entry(slot);
            // A look without locks; release_expired() looks again with them.
            if entry.is_live() && entry.is_expired(now) {
                gone += usize::from(self.release_expired(slot, now));
            }
        }
        gone
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        let table = self.table;
        let used = u64::from(table.slab.used_slots());
        let end = cursor.position.saturating_add(budget as u64).min(used);
        for slot in cursor.position..end {
            let Ok(slot) = u32::try_from(slot) else { break };
            if let Some(line) = table.show(slot) {
                sink(line);
            }
        }
        cursor.position = cursor.position.max(end);
        cursor.position >= used
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl<H: TupleHasher, L: LockScheme> Chained<H, L> {
    /// The connection in `slot` if there is one. A connection keeps its slot for life, so a walk over slots meets it once.
    fn show(&self, slot: u32) -> Option<Dumped> {
        let entry = self.slab.entry(slot);
        if !entry.is_live() {
            return None;
        }
        let hashes = chain::stored_hashes(entry);
        self.locks.read(self.chains.bucket_of_high(hashes[0]), || {
            if !entry.is_live() || chain::stored_hashes(entry) != hashes {
                // Replaced since we looked: neither was there throughout.
                return None;
            }
            // SAFETY: live and bearing the hash of the chain whose lock is held: it is in that chain, and stays.
            Some(unsafe { entry.as_dumped() })
        })
    }
}

impl<H, L> Drop for ChainedHandle<'_, H, L> {
    fn drop(&mut self) {
        self.table.slab.return_cache(&mut self.cache);
    }
}
