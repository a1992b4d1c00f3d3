//! `std_map`: `std::collections::HashMap` behind one reader-writer lock. What one writes first.
//!
//! # Source, and what differs from it
//! The standard library's map (a Swiss table: it is hashbrown inside) with the hash function it has by default, SipHash-1-3. Its
//! `RandomState` draws its key from the system; for runs that repeat, the same function comes from the `siphasher` crate with
//! a key made of the seed. The map can't be handed a hash: every operation hashes, an insert twice, a remove three times (to
//! find, and to take out both tuples).
//!
//! One lock and not several: sharding is a step beyond what one writes first, and `hashbrown_map` shows it.
//!
//! # Layout
//! ```text
//! RwLock<HashMap<Tuple (40), node (4)>>  --node-->  slab entry (128), see `sharded`
//! ```
//! # Bytes per connection
//! 128 + two places of 48 + 1 bytes at a load of 7/16 to 7/8: 240 to 352. The map is given its room at the start.
//!
//! # Progress and complexity
//! Blocking. Expected constant time for all but `expire` and `dump` (one step per slot).
//!
//! # Guarantees
//! Those of [`crate::sharded`]; established by `peers/tests/conformance.rs`.
//!
//! # Known limits
//! No eviction; no prefetch in batches: there is no way to reach into the map.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use siphasher::sip::SipHasher13;
use structures::{Sharing, TableInfo, Tuple};

use crate::sharded::{Entries, Node, Sharded, TupleMap};

/// SipHash-1-3 with a key made of a seed.
#[derive(Debug, Clone)]
pub struct SeededSip13 {
    seed: u64,
}

/// Second half of the key; the first is the seed, which makes the key.
const KEY_HIGH: u64 = 0x9e37_79b9_7f4a_7c15;

impl BuildHasher for SeededSip13 {
    type Hasher = SipHasher13;

    #[inline]
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.seed, self.seed.rotate_left(32) ^ KEY_HIGH)
    }
}

/// A tuple as a key: hashed as five words, as all tables here hash it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(Tuple);

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.0.words() {
            state.write_u64(word);
        }
    }
}

/// The map.
#[derive(Debug)]
pub struct Map(HashMap<Key, Node, SeededSip13>);

impl TupleMap for Map {
    const INFO: TableInfo = TableInfo {
        summary: "std HashMap (SipHash-1-3)",
        locking: "one reader-writer lock",
        sharing: Sharing::Shared,
        evicts: false,
        answers: true,
    };
    const SHARDS: usize = 1;
    type Hasher = SeededSip13;

    fn hasher(seed: u64) -> SeededSip13 {
        SeededSip13 { seed }
    }

    #[inline]
    fn hash(_: &SeededSip13, _: &Tuple) -> u64 {
        0
    }

    fn with_capacity(tuples: usize, hasher: &SeededSip13) -> Self {
        Self(HashMap::with_capacity_and_hasher(tuples, hasher.clone()))
    }

    #[inline]
    fn find(&self, _: Entries<'_>, tuple: &Tuple, _: u64) -> Option<Node> {
        self.0.get(&Key(*tuple)).copied()
    }

    #[inline]
    fn guess(&self, _: u64) -> Option<Node> {
        None
    }

    fn insert(&mut self, _: Entries<'_>, tuple: &Tuple, _: u64, node: Node) {
        self.0.insert(Key(*tuple), node);
    }

    fn remove(&mut self, _: Entries<'_>, tuple: &Tuple, _: u64, _: Node) {
        self.0.remove(&Key(*tuple));
    }

    /// The map does not say; this is the layout of a Swiss table with places for `capacity` at a load of 7/8, with a control
    /// byte each.
    fn memory_bytes(&self) -> usize {
        let places = (self.0.capacity() * 8 / 7).next_power_of_two();
        places * (size_of::<(Key, Node)>() + 1)
    }
}

/// The table.
pub type StdMap = Sharded<Map>;
