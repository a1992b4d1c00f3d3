//! `hashbrown_prefix`: connections as in [`crate::hashbrown_map`], and one hash table per prefix length.
//!
//! # Source
//! The plain way to longest-prefix match with hash tables alone, as Linux routed until 2.6.38 (`fib_hash`, one zone per length) and
//! as `ipset hash:net` does to this day: ask the table of the longest length present, then the next shorter one, until one answers.
//!
//! # Layout
//! ```text
//! connections: 64 shards of hashbrown, see `hashbrown_map`
//! prefixes: RwLock per family { lengths present, longest first: [24, 16, 8]
//!                               tables[length]: HashMap<(bits, zone) (32), policy> }
//! ```
//! # Bytes
//! Connections as `hashbrown_map`; a prefix takes a place of 48 + 1 bytes at a load of 7/16 to 7/8.
//!
//! # Progress and complexity
//! Blocking. `classify`: one lookup of the connection, then at most one hash lookup per length present: 33 and 129 in the
//! worst case. A prefix is inserted and removed in expected constant time, plus a pass over the lengths present where a
//! length comes or goes.
//!
//! # Guarantees
//! * **G1** `classify` finds the longest prefix: lengths are asked from the longest down, and a length is in the list
//!   exactly while its table holds a prefix. (`conformance::prefix::check`)
//! * Those of [`crate::sharded`] for connections.
//!
//! # Known limits
//! One reader-writer lock per family over all prefixes; a connection that comes between the two halves of `classify` is
//! seen by the next packet.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use structures::sync::RwLock;
use structures::{
    BuildError, Classified, ConnectionId, Counters, DumpCursor, Dumped, EvictionSink, Family, FlowHandle,
    FlowTable, Found, Insert, PacketMeta, PolicyId, Prefix, PrefixHandle, Sharing, Sizing, TableInfo, Tuple,
    VirtualTime,
};

use crate::hashbrown_map::Map;
use crate::sharded::{Sharded, ShardedHandle};

/// Prefix bits and zone; the family and the length are those of the table.
type Key = (u128, u16);

/// All prefixes of one family.
#[derive(Debug)]
struct Lengths {
    /// Lengths that have a prefix, longest first.
    present: Vec<u8>,
    tables: Box<[HashMap<Key, PolicyId, FixedState>]>,
}

impl Lengths {
    fn new(family: Family, seed: u64) -> Self {
        let table = |_| HashMap::with_hasher(FixedState::with_seed(seed));
        Self {
            present: Vec::new(),
            tables: (0..=family.max_prefix_length()).map(table).collect(),
        }
    }

    fn insert(&mut self, prefix: &Prefix, policy: PolicyId) -> Option<PolicyId> {
        let length = prefix.length();
        let before = self.tables[usize::from(length)].insert((prefix.bits(), prefix.zone()), policy);
        if let Err(place) = self.present.binary_search_by(|other| length.cmp(other)) {
            self.present.insert(place, length);
        }
        before
    }

    fn remove(&mut self, prefix: &Prefix) -> Option<PolicyId> {
        let table = &mut self.tables[usize::from(prefix.length())];
        let before = table.remove(&(prefix.bits(), prefix.zone()))?;
        if table.is_empty() {
            self.present.retain(|length| *length != prefix.length());
        }
        Some(before)
    }

    #[inline]
    fn longest(&self, tuple: &Tuple) -> Option<PolicyId> {
        let (bits, zone) = (tuple.dst_bits(), tuple.zone());
        (self.present.iter()).find_map(|&length| {
            let masked = bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            self.tables[usize::from(length)].get(&(masked, zone)).copied()
        })
    }

    fn memory_bytes(&self) -> usize {
        let tables: usize = self.tables.iter().map(HashMap::allocation_size).sum();
        tables + size_of_val(&*self.tables) + self.present.capacity()
    }
}

/// The table.
#[derive(Debug)]
pub struct HashbrownPrefix {
    connections: Sharded<Map>,
    v4: RwLock<Lengths>,
    v6: RwLock<Lengths>,
}

impl HashbrownPrefix {
    #[inline]
    fn lengths(&self, family: Family) -> &RwLock<Lengths> {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl FlowTable for HashbrownPrefix {
    type Options = ();
    type Handle<'t> = HashbrownPrefixHandle<'t>;

    const INFO: TableInfo = TableInfo {
        summary: "hashbrown HashTable, and one hashbrown map per prefix length (foldhash)",
        locking: "64 shards, a reader-writer lock each; one per family over prefixes",
        sharing: Sharing::Shared,
        evicts: false,
        answers: true,
    };

    fn new(sizing: &Sizing, (): &()) -> Result<Self, BuildError> {
        Ok(Self {
            connections: Sharded::new(sizing)?,
            v4: RwLock::new(Lengths::new(Family::V4, sizing.seed)),
            v6: RwLock::new(Lengths::new(Family::V6, sizing.seed)),
        })
    }

    fn handle(&self) -> HashbrownPrefixHandle<'_> {
        HashbrownPrefixHandle {
            table: self,
            connections: self.connections.handle(),
        }
    }

    fn len(&self) -> usize {
        self.connections.len()
    }

    fn memory_bytes(&self) -> usize {
        let prefixes = self.v4.read().memory_bytes() + self.v6.read().memory_bytes();
        self.connections.memory_bytes() + prefixes
    }
}

/// One thread's access.
#[derive(Debug)]
pub struct HashbrownPrefixHandle<'t> {
    table: &'t HashbrownPrefix,
    connections: ShardedHandle<'t, Map>,
}

impl FlowHandle for HashbrownPrefixHandle<'_> {
    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.connections.hash(tuple)
    }

    #[inline]
    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found> {
        self.connections.lookup(packet, hash)
    }

    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        self.connections.lookup_batch(packets, found);
    }

    fn insert(
        &mut self,
        packet: &PacketMeta,
        reply: &Tuple,
        hash: u64,
        sink: &mut impl EvictionSink,
    ) -> Insert {
        self.connections.insert(packet, reply, hash, sink)
    }

    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId> {
        self.connections.remove(tuple, hash, now)
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        self.connections.expire(now)
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        self.connections.dump(cursor, budget, sink)
    }

    fn counters(&self) -> Counters {
        self.connections.counters()
    }
}

impl PrefixHandle for HashbrownPrefixHandle<'_> {
    fn insert_prefix(&mut self, prefix: &Prefix, policy: PolicyId) -> Option<PolicyId> {
        self.table.lengths(prefix.family()).write().insert(prefix, policy)
    }

    fn remove_prefix(&mut self, prefix: &Prefix) -> Option<PolicyId> {
        self.table.lengths(prefix.family()).write().remove(prefix)
    }

    #[inline]
    fn classify(&mut self, packet: &PacketMeta, hash: u64) -> Classified {
        if let Some(found) = self.lookup(packet, hash) {
            return Classified::Connection(found);
        }
        let longest = self
            .table
            .lengths(packet.tuple.family())
            .read()
            .longest(&packet.tuple);
        longest.map_or(Classified::Nothing, Classified::Prefix)
    }
}
