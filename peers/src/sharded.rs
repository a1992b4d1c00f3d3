//! What a plain map needs around it to be a connection table: locks, slots, capacity, expiry, a dump.
//!
//! ```text
//! shard 0: RwLock<map: tuple -> node>   ----+
//! shard 1: RwLock<map: tuple -> node>   ----+--> slab of 128-byte entries (structures::entry)
//! ...                                            node = slot << 1 | direction
//! ```
//! The map is the peer's; everything else is the same for all peers, and the same slab as our own tables have, so that a
//! comparison shows the maps. A map finds one node per tuple, so a newcomer first has to give back an expired connection
//! that it shares a tuple with.
//!
//! Locks: the shared side of one shard's lock to look up, the exclusive side of both tuples' shards (ascending, once where
//! they are the same) to insert and remove: two atomic read-modify-writes per lookup, two or four per change.
//!
//! # Guarantees
//! * **G1** A connection is in both shards' maps and live, or in neither, whenever nobody holds their locks. (conformance,
//!   C1 and C8 parts)
//! * **G2** An entry's tuples are read only with the lock of a shard it is in held; its slot is not reused meanwhile.
//! * **G3** Locks are taken in ascending order: no deadlock. (conformance, `c8_racing_inserts`)
//!
//! # Known limits
//! No eviction. `expire` and a whole dump take one step per slot ever used. More than 32 handles may hold back so
//! many free slots that an insert at the limit is refused early.

use std::fmt::Debug;

use structures::entry::{Entry, Slab, SlotCache};
use structures::sync::{Ordering, RwLock};
use structures::{
    BuildError, ConnectionId, Direction, DumpCursor, Dumped, EvictionSink, FlowHandle, FlowTable, Found,
    Insert, MAX_BATCH, PacketMeta, Sizing, TableInfo, Tuple, VirtualTime,
};

/// Slots more than the limit, for the caches of 32 handles (each keeps at most two batches of 32).
const SLACK_SLOTS: usize = 32 * 64;

/// Expired connections that one insert gives back before it gives up: it meets two, others may expire meanwhile.
const EXPIRED_ATTEMPTS: usize = 8;

/// One direction of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(u32);

impl Node {
    #[inline]
    fn new(slot: u32, direction: Direction) -> Self {
        Self(slot << 1 | direction as u32)
    }

    /// The slot of the connection.
    #[inline]
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 >> 1
    }

    /// Which of its tuples.
    #[inline]
    #[must_use]
    pub const fn direction(self) -> Direction {
        if self.0 & 1 == 0 {
            Direction::Original
        } else {
            Direction::Reply
        }
    }
}

/// The entries, as a map may see them while its shard's lock is held.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'t>(&'t Slab);

impl Entries<'_> {
    /// Whether `node`, which the calling map holds, is of `tuple`.
    #[inline]
    pub(crate) fn is(self, node: Node, tuple: &Tuple) -> bool {
        let entry = self.0.entry(node.slot());
        // SAFETY: a map calls this for its own nodes, with its shard's lock held by its caller: the connection is in the
        // map, to take it out needs the lock exclusively, and its slot is not reused before that.
        unsafe { entry.tuple(node.direction()) == tuple }
    }

    /// The hash that `node` was inserted with.
    #[inline]
    pub(crate) fn hash(self, node: Node) -> u64 {
        stored_hashes(self.0.entry(node.slot()))[node.direction() as usize]
    }
}

/// Somebody's map from tuples to nodes. `hash` arguments are what [`TupleMap::hash`] gave for the same tuple.
pub trait TupleMap: Debug + Send + Sync + 'static {
    /// What a reader of the report must know of the table made of these maps.
    const INFO: TableInfo;
    /// How many of them share the tuples between them, by bits 48 to 55 of the hash. A power of two, at most 256.
    const SHARDS: usize;
    /// What hashes tuples.
    type Hasher: Debug + Clone + Send + Sync + 'static;

    /// The hasher for `seed`.
    fn hasher(seed: u64) -> Self::Hasher;

    /// Hashes a tuple; 0 where the map insists on doing so itself.
    fn hash(hasher: &Self::Hasher, tuple: &Tuple) -> u64;

    /// An empty map with room for `tuples`.
    fn with_capacity(tuples: usize, hasher: &Self::Hasher) -> Self;

    /// The node of `tuple`.
    fn find(&self, entries: Entries<'_>, tuple: &Tuple, hash: u64) -> Option<Node>;

    /// A node that may be that of `hash`, found without a look at any entry; for prefetching.
    fn guess(&self, hash: u64) -> Option<Node>;

    /// Adds a tuple that is not there.
    fn insert(&mut self, entries: Entries<'_>, tuple: &Tuple, hash: u64, node: Node);

    /// Takes a tuple away that is there.
    fn remove(&mut self, entries: Entries<'_>, tuple: &Tuple, hash: u64, node: Node);

    /// Bytes of memory.
    fn memory_bytes(&self) -> usize;
}

/// A shard on cache lines of its own: two, since adjacent ones are fetched together.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<M>(RwLock<M>);

/// Maps, locks and entries.
#[derive(Debug)]
pub struct Sharded<M: TupleMap> {
    hasher: M::Hasher,
    shards: Box<[Shard<M>]>,
    slab: Slab,
}

/// Both maps of a connection, exclusively.
struct Both<'m, M> {
    original: &'m mut M,
    /// `None` where it is the same map.
    reply: Option<&'m mut M>,
}

impl<M> Both<'_, M> {
    fn of(&mut self, direction: Direction) -> &mut M {
        match (&mut self.reply, direction) {
            (Some(reply), Direction::Reply) => reply,
            _ => self.original,
        }
    }
}

/// What became of one attempt to insert.
enum Attempt {
    Done(Insert),
    /// This slot's connection has expired and holds one of the tuples.
    MetExpired(u32),
}

impl<M: TupleMap> FlowTable for Sharded<M> {
    type Options = ();
    type Handle<'t> = ShardedHandle<'t, M>;

    const INFO: TableInfo = M::INFO;

    fn new(sizing: &Sizing, (): &()) -> Result<Self, BuildError> {
        Self::new(sizing)
    }

    fn handle(&self) -> Self::Handle<'_> {
        self.handle()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes()
    }
}

impl<M: TupleMap> Sharded<M> {
    /// Empty maps and entries for `sizing`.
    ///
    /// # Errors
    /// [`BuildError::Capacity`] where the slab refuses.
    pub fn new(sizing: &Sizing) -> Result<Self, BuildError> {
        let slab = Slab::new(sizing.max_connections, SLACK_SLOTS)?;
        let hasher = M::hasher(sizing.seed);
        let tuples = (2 * sizing.max_connections).div_ceil(M::SHARDS);
        let shard = |_| Shard(RwLock::new(M::with_capacity(tuples, &hasher)));
        let shards = (0..M::SHARDS).map(shard).collect();
        Ok(Self { hasher, shards, slab })
    }

    /// A handle.
    pub fn handle(&self) -> ShardedHandle<'_, M> {
        ShardedHandle {
            table: self,
            cache: SlotCache::default(),
        }
    }

    /// Connections present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let maps: usize = self
            .shards
            .iter()
            .map(|shard| shard.0.read().memory_bytes())
            .sum();
        size_of::<Self>() + size_of_val(&*self.shards) + maps + self.slab.memory_bytes()
    }

    /// Bits of the hash that hashbrown uses neither for the place (low ones) nor for the tag (the top seven).
    #[inline]
    fn shard_of(hash: u64) -> usize {
        (hash >> 48) as usize & (M::SHARDS - 1)
    }

    #[inline]
    fn entries(&self) -> Entries<'_> {
        Entries(&self.slab)
    }

    fn with_both<R>(&self, hash: u64, reply_hash: u64, work: impl FnOnce(Both<'_, M>) -> R) -> R {
        let (a, b) = (Self::shard_of(hash), Self::shard_of(reply_hash));
        let mut lower = self.shards[a.min(b)].0.write();
        if a == b {
            let (original, reply) = (&mut *lower, None);
            return work(Both { original, reply });
        }
        let mut upper = self.shards[a.max(b)].0.write();
        let (original, reply) = if a < b {
            (&mut *lower, &mut *upper)
        } else {
            (&mut *upper, &mut *lower)
        };
        let reply = Some(reply);
        work(Both { original, reply })
    }

    /// Takes the connection in `slot` out of both maps if it is live and `verdict`, asked under both locks, says so. The slot
    /// is then the caller's.
    fn take_out<R>(&self, slot: u32, verdict: impl FnOnce(&Entry) -> Option<R>) -> Option<R> {
        let entry = self.slab.entry(slot);
        let hashes = stored_hashes(entry);
        self.with_both(hashes[0], hashes[1], |mut both| {
            // Hashes are stored under the locks they name. With those held: a live entry that bears them is in these two
            // maps and stays; one that was replaced since we looked bears others, or is as good a one.
            if !entry.is_live() || stored_hashes(entry) != hashes {
                return None;
            }
            let verdict = verdict(entry)?;
            for direction in [Direction::Original, Direction::Reply] {
                // SAFETY: live, and the locks of both its maps are held: its slot is not reused meanwhile.
                let tuple = unsafe { entry.tuple(direction) };
                let hash = hashes[direction as usize];
                both.of(direction)
                    .remove(self.entries(), tuple, hash, Node::new(slot, direction));
            }
            entry.clear_live();
            Some(verdict)
        })
    }
}

/// Words 0 to 3 of the links are the hashes of both tuples, original first, low half first. Relaxed throughout: the locks of
/// the shards they name order them, and what is read without is checked again.
fn stored_hashes(entry: &Entry) -> [u64; 2] {
    [0, 2].map(|word| {
        // Relaxed: see above.
        let low = entry.links[word].load(Ordering::Relaxed);
        // Relaxed: see above.
        let high = entry.links[word + 1].load(Ordering::Relaxed);
        u64::from(high) << 32 | u64::from(low)
    })
}

#[expect(clippy::cast_possible_truncation, reason = "split into its halves")]
fn store_hashes(entry: &Entry, hashes: [u64; 2]) {
    for (word, hash) in [0, 2].into_iter().zip(hashes) {
        // Relaxed: see stored_hashes().
        entry.links[word].store(hash as u32, Ordering::Relaxed);
        // Relaxed: see stored_hashes().
        entry.links[word + 1].store((hash >> 32) as u32, Ordering::Relaxed);
    }
}

/// One thread's access.
#[derive(Debug)]
pub struct ShardedHandle<'t, M: TupleMap> {
    table: &'t Sharded<M>,
    cache: SlotCache,
}

impl<M: TupleMap> ShardedHandle<'_, M> {
    fn release<R>(&mut self, slot: u32, verdict: impl FnOnce(&Entry) -> Option<R>) -> Option<R> {
        let verdict = self.table.take_out(slot, verdict)?;
        self.table.slab.free(slot, &mut self.cache);
        self.table.slab.unreserve();
        Some(verdict)
    }

    fn release_expired(&mut self, slot: u32, now: VirtualTime) -> bool {
        self.release(slot, |entry| entry.is_expired(now).then_some(()))
            .is_some()
    }

    fn try_insert(&mut self, packet: &PacketMeta, reply: &Tuple, hashes: [u64; 2]) -> Attempt {
        let (table, cache) = (self.table, &mut self.cache);
        let ends = [(Direction::Original, &packet.tuple), (Direction::Reply, reply)];
        table.with_both(hashes[0], hashes[1], |mut both| {
            let mut expired = None;
            for (direction, tuple) in ends {
                let hash = hashes[direction as usize];
                let Some(node) = both.of(direction).find(table.entries(), tuple, hash) else {
                    continue;
                };
                if !table.slab.entry(node.slot()).is_expired(packet.now) {
                    return Attempt::Done(Insert::Duplicate);
                }
                expired = Some(node.slot());
            }
            if let Some(slot) = expired {
                return Attempt::MetExpired(slot);
            }
            if !table.slab.reserve() {
                return Attempt::Done(Insert::Full);
            }
            let Some(slot) = table.slab.allocate(cache) else {
                table.slab.unreserve();
                return Attempt::Done(Insert::Full);
            };
            let entry = table.slab.entry(slot);
            // SAFETY: the slot was just allocated: its earlier connection was taken out of its maps under their locks, and
            // tuples are read under those only.
            unsafe { entry.fill(packet, reply) };
            store_hashes(entry, hashes);
            for (direction, tuple) in ends {
                let hash = hashes[direction as usize];
                both.of(direction)
                    .insert(table.entries(), tuple, hash, Node::new(slot, direction));
            }
            entry.set_live();
            Attempt::Done(Insert::Inserted)
        })
    }

    /// The connection in `slot`, if there is one. It keeps its slot for life, so a walk over slots meets it once.
    fn show(&self, slot: u32) -> Option<Dumped> {
        let entry = self.table.slab.entry(slot);
        if !entry.is_live() {
            return None;
        }
        let hashes = stored_hashes(entry);
        let _shard = self.table.shards[Sharded::<M>::shard_of(hashes[0])].0.read();
        if !entry.is_live() || stored_hashes(entry) != hashes {
            return None;
        }
        // SAFETY: live and bearing the hash of the shard whose lock is held: it is in its map, and stays.
        Some(unsafe { entry.as_dumped() })
    }
}

impl<M: TupleMap> FlowHandle for ShardedHandle<'_, M> {
    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        M::hash(&self.table.hasher, tuple)
    }

    #[inline]
    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found> {
        let table = self.table;
        let map = table.shards[Sharded::<M>::shard_of(hash)].0.read();
        let node = map.find(table.entries(), &packet.tuple, hash)?;
        let entry = table.slab.entry(node.slot());
        if entry.is_expired(packet.now) {
            return None;
        }
        entry.touch(packet);
        let (id, direction) = (entry.id(), node.direction());
        Some(Found { id, direction })
    }

    /// The maps offer no prefetch: all are asked for a guess first, so that the entries are under way when the lookups need
    /// them, and the maps' own lines are near by then.
    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        for (packets, found) in packets.chunks(MAX_BATCH).zip(found.chunks_mut(MAX_BATCH)) {
            let mut hashes = [0; MAX_BATCH];
            for (packet, hash) in packets.iter().zip(&mut hashes) {
                *hash = self.hash(&packet.tuple);
                let map = self.table.shards[Sharded::<M>::shard_of(*hash)].0.read();
                if let Some(node) = map.guess(*hash) {
                    self.table.slab.prefetch(node.slot());
                }
            }
            for ((packet, hash), found) in packets.iter().zip(hashes).zip(found) {
                *found = self.lookup(packet, hash);
            }
        }
    }

    fn insert(&mut self, packet: &PacketMeta, reply: &Tuple, hash: u64, _: &mut impl EvictionSink) -> Insert {
        let hashes = [hash, self.hash(reply)];
        for _ in 0..EXPIRED_ATTEMPTS {
            match self.try_insert(packet, reply, hashes) {
                Attempt::Done(outcome) => return outcome,
                Attempt::MetExpired(slot) => {
                    self.release_expired(slot, packet.now);
                }
            }
        }
        Insert::Full
    }

    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId> {
        let table = self.table;
        let node = table.shards[Sharded::<M>::shard_of(hash)]
            .0
            .read()
            .find(table.entries(), tuple, hash)?;
        self.release(node.slot(), |entry| {
            // SAFETY: asked under both locks of a live entry: it is not refilled meanwhile.
            let same = unsafe { entry.tuple(node.direction()) } == tuple;
            (same && !entry.is_expired(now)).then(|| entry.id())
        })
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
        let used = u64::from(self.table.slab.used_slots());
        let end = cursor.position.saturating_add(budget as u64).min(used);
        for slot in cursor.position..end {
            let Ok(slot) = u32::try_from(slot) else { break };
            if let Some(line) = self.show(slot) {
                sink(line);
            }
        }
        cursor.position = cursor.position.max(end);
        cursor.position >= used
    }
}

impl<M: TupleMap> Drop for ShardedHandle<'_, M> {
    fn drop(&mut self) {
        self.table.slab.return_cache(&mut self.cache);
    }
}
