//! `hashtrie`: stub header.

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
            let bits = usize::BITS - sizing.max_connections.leading_zeros();
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
