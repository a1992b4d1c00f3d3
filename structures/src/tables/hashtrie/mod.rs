//! `hashtrie`: a trie over the bits of the hash, grown and shrunk node by node, with eviction by status and age.
//!
//! # Source
//! Martin Josefsson's conntrack hashtrie (netfilter workshop and developer blog, October 2005), of which neither code nor
//! figures are public. This is a **reconstruction** from what he said of it: sizing is dynamic; deletes became "a lot
//! faster"; entries "with a special status" are evicted by force; he worried that these may be "the wrong entries, agewise";
//! dumping was unsolved. Its two published relatives are the fixed points it is held against: TRASH (Olsson and Nilsson,
//! 2006: a hash-headed LC-trie, mean depth below 1.5) and NPF's thmap (2018: 64-slot root, 16-way nodes, no resize).
//! What differs from them: nodes are 64-byte lines of 32-bit links instead of 144 bytes; entries store the hash, so neither
//! a split nor a delete hashes again; the root is of a size fixed at build (TRASH widens its root, and so has
//! resizes to pay); it evicts, and is dumped in hash order.
//!
//! # Layout
//! ```text
//! 64-bit hash of a tuple    | root_bits | 4 | 4 | 4 | ...        leading bits first
//!
//! root    | lock, link | lock, link | ...  8 bytes per slot, 2^6 to 2^16 slots
//!              |
//! node    | link x 16 |  one cache line; nodes exist only where two hashes share all bits above
//!              |
//! leaf    slot and direction of a connection   -> entry.links: both hashes, a chain link per direction
//! ```
//! Each connection hangs in the trie twice, once per tuple. A leaf is a link, not a memory object. Leaves of equal 64-bit hash
//! are chained through their entries: with an honest hash that never happens. The root has one slot for eight connections
//! of the limit, at most 2^16; so at the limit 16 keys and more hang below each slot, and it is the nodes that
//! grow and shrink. `root_bits` gives other members of the family: 6 is thmap, 18 for 2^16 connections is TRASH's depth.
//!
//! # Cost
//! Bytes per connection at the limit: entry 128, nodes 46 (2 keys x 1/ln 16 nodes x 64) and up to an eighth more for the
//! newest chunk, root 1, bitmap 1/8: about 180. With k keys per root slot a lookup reads the root slot (lock and link in one
//! line), then log16 k + 0.7 nodes on average, then the entry: the lines that it writes anyway in the original direction,
//! one more in reply direction. For 2^20 connections that is 2.0 nodes, for 2^17 1.7. A batch of 32 prefetches level by
//! level. Insert and remove walk both tuples' paths, prefetched together; splits make as many nodes as the two hashes share
//! digits; a collapse reads the 16 links of a node. No operation depends on the number of connections but through depth.
//!
//! # Progress
//! | operation | progress |
//! |---|---|
//! | lookup | blocking: the spin lock of one root slot |
//! | insert, remove | blocking: two of them; a remove that meets contention out of order starts again, holding both |
//! | expire, dump | blocking: a root slot (dump) or a connection's two (expire) at a time |
//! | prefetching in a batch | wait-free: reads links that may be stale, and only prefetches |
//!
//! # Guarantees
//! * **G1** Nodes and depth follow the cost model of random tries: n / ln 16 nodes and log16 n + 0.7 levels for n keys.
//! * **G2** Growth without a stall: over 2^17 inserts from nothing no insert makes more than 9 nodes or touches more than 18.
//! * **G3** The shape depends on the present hashes alone, not on history: after deletes it is that of a fresh build.
//! * **G4** Nodes given back are used again; churn does not grow the arena.
//! * **G5** An eviction never takes an ASSURED connection: the status is read again under both locks, which exclude a touch.
//! * **G6** Evictions are bounded work and old: mean age rank of victims (0 oldest, 1 youngest; exact oracle, 4096
//!   connections) by the clock below 0.01 under a flood and below 0.13 with churn or refreshes; by subtree below 0.16. The
//!   clock finds any evictable connection among the next 4096 slots. See [`Eviction`] and `evict.rs` for why.
//! * **G7** Hashes that collide cost a chain, and every clause of the contract but the dump's budget holds.
//! * **G8** The trie never takes more than 4 nodes per connection (or 1024 in all), whatever the hashes: beyond it inserts say
//!   [`crate::Insert::Full`].
//! * **G9** A dump is exact (clause C7) under any churn, by hash order: no slot order, no references.
//!
//! `tests/hashtrie.rs` and `tests/hashtrie_eviction.rs` name them; R1, R2 (`root.rs`) have loom models, A1 to A3 are in `arena.rs`.
//!
//! # Known limits
//! * Readers take a lock: two threads with packets of one connection contend for its root slot, as they do for its entry. Links
//!   and nodes are atomics that never move, so readers without locks are possible once entries are reclaimed by epochs.
//! * Dependent misses: below a root that fits a second-level cache, 1 to 3 nodes before the entry; an open table has none.
//! * A dump shows a chain of equal hashes in one step, over its budget if need be; its sink runs under a lock.
//! * Chunks are not returned to the allocator before the table is dropped.
//! * More than some thirty idle handles can hold enough free slots to refuse an insert just below the limit.

mod arena;
mod dump;
mod evict;
mod handle;
mod link;
mod root;
mod shape;
mod trie;

use crate::entry::Slab;
use crate::hash::{FoldHasher, TupleHasher};
use crate::sync::AtomicU32;
use crate::table::{BuildError, FlowTable, Sharing, Sizing, TableInfo};

use self::evict::Clock;
use self::root::Root;
use self::trie::Trie;

pub use self::evict::Eviction;
pub use self::handle::{NodeMoves, TrieHandle};
pub use self::shape::Shape;

pub(crate) use self::arena::{Arena, RUN_LINES};

/// Fewest root bits of the default: the 64 slots of thmap's root.
const MIN_DEFAULT_ROOT_BITS: u32 = 6;

/// Most root bits of the default: the 65,536 buckets that the kernel gave machines of over 1 GiB; half a megabyte of slots,
/// which stays in a second-level cache.
const MAX_DEFAULT_ROOT_BITS: u32 = 16;

/// Connections per root slot of the default between those, as a power of two: what grows and shrinks is the trie below.
const CONNECTIONS_PER_ROOT_SLOT_BITS: u32 = 3;

/// Most root bits that may be asked for: 128 MiB of slots.
const MAX_ROOT_BITS: u32 = 24;

/// Slots beyond the limit, for those in the caches of some thirty idle handles.
const SLACK: usize = 2048;

/// Nodes per connection that the arena grants. Random hashes take 0.72 (two keys, 1/ln 16 nodes each); only an attacker
/// who knows the key of the hash can want more, and is refused.
const NODES_PER_CONNECTION: usize = 4;

/// Nodes granted to the smallest table, whose few keys may by chance need long paths.
const MIN_NODES: usize = 1024;

/// What a registry line may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Two to this many slots in the root (1 to 24); by default one slot for eight connections of the limit, but not
    /// fewer than 2^6 nor more than 2^16.
    pub root_bits: Option<u32>,
    /// How a victim is chosen.
    pub eviction: Eviction,
}

/// The trie over the hash bits of both tuples.
#[derive(Debug)]
pub struct HashTrie<H: TupleHasher = FoldHasher> {
    pub(crate) trie: Trie,
    hasher: H,
    /// Present where the table evicts by the clock.
    clock: Option<Clock>,
    evicts: bool,
    /// Where inserts into a full table go on looking for expired connections.
    sweep_hand: AtomicU32,
}

impl<H: TupleHasher> HashTrie<H> {
    /// Counts nodes, leaves and depths by walking the whole trie.
    #[must_use]
    pub fn shape(&self) -> Shape {
        shape::shape(&self.trie)
    }

    /// Nodes between the root and the place of `hash`: what an operation on it touches.
    #[must_use]
    pub fn depth_of(&self, hash: u64) -> usize {
        let _locked = self.trie.root.lock(hash);
        self.trie.depth_of(hash)
    }
}

impl Options {
    fn root_bits_for(&self, sizing: &Sizing) -> Result<u32, BuildError> {
        let Some(bits) = self.root_bits else {
            let bits = sizing.max_connections.max(1).ilog2();
            return Ok(bits
                .saturating_sub(CONNECTIONS_PER_ROOT_SLOT_BITS)
                .clamp(MIN_DEFAULT_ROOT_BITS, MAX_DEFAULT_ROOT_BITS));
        };
        if (1..=MAX_ROOT_BITS).contains(&bits) {
            return Ok(bits);
        }
        Err(BuildError::Option {
            name: "root_bits",
            problem: format!("{bits} is outside 1 to {MAX_ROOT_BITS}"),
        })
    }
}

impl<H: TupleHasher> FlowTable for HashTrie<H> {
    type Options = Options;
    type Handle<'t> = TrieHandle<'t, H>;

    const INFO: TableInfo = TableInfo {
        summary: "16-way trie over the bits of the tuple's hash, grown and shrunk node by node",
        locking: "a spin lock per root slot, in the slot, taken by readers and writers; two in order to insert or remove",
        sharing: Sharing::Shared,
        evicts: true,
        answers: true,
    };

    fn new(sizing: &Sizing, options: &Options) -> Result<Self, BuildError> {
        let slab = Slab::new(sizing.max_connections, SLACK)?;
        let slots = sizing.max_connections + SLACK;
        let by_clock = sizing.evict_when_full && options.eviction == Eviction::Clock;
        Ok(Self {
            trie: Trie {
                root: Root::new(options.root_bits_for(sizing)?),
                arena: Arena::new((NODES_PER_CONNECTION * sizing.max_connections).max(MIN_NODES)),
                slab,
            },
            hasher: H::with_seed(sizing.seed),
            clock: by_clock.then(|| Clock::new(slots)),
            evicts: sizing.evict_when_full,
            sweep_hand: AtomicU32::new(0),
        })
    }

    fn handle(&self) -> TrieHandle<'_, H> {
        TrieHandle::new(self)
    }

    fn len(&self) -> usize {
        self.trie.slab.len()
    }

    fn memory_bytes(&self) -> usize {
        let clock = self.clock.as_ref().map_or(0, Clock::memory_bytes);
        self.trie.slab.memory_bytes() + self.trie.root.memory_bytes() + self.trie.arena.memory_bytes() + clock
    }
}
