//! `hashbrown_map`: `hashbrown::HashTable` with foldhash, in 64 shards.
//!
//! # Source, and which of its interfaces
//! hashbrown 0.17, `HashTable`: of its three interfaces (`HashMap`, `HashSet`, `HashTable`) the one that takes the hash from outside
//! (hash once, contract), and stores what we like: eight bytes per place, a node and half of the hash, where `HashMap<Tuple, _>`
//! would store 48. The tuple is in the entry, which a hit reads anyway. Places are compared by the stored half hash before
//! any entry is touched, and a map that grows or cleans up finds the hash in the entry, instead of hashing again.
//!
//! Sharded as `dashmap` is sharded: 64 reader-writer locks on cache lines of their own. 64 is a few times the threads of
//! machines of today, so that two threads seldom meet.
//!
//! # Layout
//! ```text
//! 64 x RwLock<HashTable<(node, half hash) (8)>>  --node-->  slab entry (128), see `sharded`
//! shard: bits 48..54 of the hash; place: low bits; control byte: the top seven (hashbrown's choice)
//! ```
//! Cache lines of a hit: lock, control bytes, place, line 0 of the entry (line 1 too for a reply).
//!
//! # Bytes per connection
//! 128 + two places of 8 + 1 bytes at a load of 7/16 to 7/8: 149 to 169. Maps are given their room at the start; the fullest
//! shards may grow once more.
//!
//! # Progress and complexity
//! Blocking. Expected constant time for all but `expire` and `dump` (one step per slot); an insert may meet a rehash of its
//! shard.
//!
//! # Guarantees
//! Those of [`crate::sharded`]; established by `peers/tests/conformance.rs`.
//!
//! # Known limits
//! No eviction. A batch takes each lock twice: once to prefetch, once to read.

use hashbrown::HashTable;
use structures::{FoldHasher, Sharing, TableInfo, Tuple, TupleHasher};

use crate::sharded::{Entries, Node, Sharded, TupleMap};

/// A place of the map.
#[derive(Debug, Clone, Copy)]
struct Place {
    node: Node,
    half: u32,
}

/// The 32 bits of the hash that a place stores: those that name neither shard nor control byte, nor (up to 2^16 of them) the
/// place, all of which agree already where this is compared.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "32 bits are wanted")]
fn half(hash: u64) -> u32 {
    (hash >> 16) as u32
}

/// The map of one shard.
#[derive(Debug)]
pub struct Map(HashTable<Place>);

impl TupleMap for Map {
    const INFO: TableInfo = TableInfo {
        summary: "hashbrown HashTable (foldhash)",
        locking: "64 shards, a reader-writer lock each",
        sharing: Sharing::Shared,
        evicts: false,
        answers: true,
    };
    const SHARDS: usize = 64;
    type Hasher = FoldHasher;

    fn hasher(seed: u64) -> FoldHasher {
        FoldHasher::with_seed(seed)
    }

    #[inline]
    fn hash(hasher: &FoldHasher, tuple: &Tuple) -> u64 {
        hasher.hash(tuple)
    }

    fn with_capacity(tuples: usize, _: &FoldHasher) -> Self {
        Self(HashTable::with_capacity(tuples))
    }

    #[inline]
    fn find(&self, entries: Entries<'_>, tuple: &Tuple, hash: u64) -> Option<Node> {
        let half = half(hash);
        let place = self
            .0
            .find(hash, |place| place.half == half && entries.is(place.node, tuple))?;
        Some(place.node)
    }

    #[inline]
    fn guess(&self, hash: u64) -> Option<Node> {
        let half = half(hash);
        Some(self.0.find(hash, |place| place.half == half)?.node)
    }

    fn insert(&mut self, entries: Entries<'_>, _: &Tuple, hash: u64, node: Node) {
        let place = Place {
            node,
            half: half(hash),
        };
        self.0
            .insert_unique(hash, place, |place| entries.hash(place.node));
    }

    fn remove(&mut self, _: Entries<'_>, _: &Tuple, hash: u64, node: Node) {
        if let Ok(place) = self.0.find_entry(hash, |place| place.node == node) {
            place.remove();
        }
    }

    fn memory_bytes(&self) -> usize {
        self.0.allocation_size()
    }
}

/// The table.
pub type HashbrownMap = Sharded<Map>;
