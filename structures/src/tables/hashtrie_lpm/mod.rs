//! `hashtrie-lpm`: connections and prefixes in one structure; one lookup answers this connection, else the longest prefix.
//!
//! # Source
//! An idea of Martin Josefsson's (blog, 9 October 2005): "a possible way to modify the hashtrie to do longest prefix
//! matching ... It may end up a very bad idea". How is not on record. Hashing destroys prefix order, so prefix bits have to stay
//! raw; the question is where raw and hashed bits meet. Considered:
//!
//! * **Raw first, hash below** (connections hang in a hash trie below the deepest prefix node that covers their destination).
//!   One descent answers both questions. But every hit pays the prefix walk before its own, a new prefix has to
//!   move all connections it covers (millions, for a default route: the very stall the hashtrie exists to avoid), and
//!   moving them lazily makes a lookup search a hash trie at every prefix node it passes.
//! * **Prefixes hashed too**, one key per prefix length with markers (Waldvogel's binary search on lengths). Truly one trie, but
//!   five (IPv4) to seven (IPv6) dependent searches where a multibit trie has four to eight lines, and an update has to
//!   change the markers of all longer prefixes below it.
//! * **Side by side in one arena** (here): the connections are a hash trie, the prefixes a multibit trie over raw bits; both
//!   are made of lines of one arena, from one kind of link. A hit never looks at prefixes, so it costs what it costs
//!   in [`hashtrie`](crate::tables::hashtrie). A miss costs the hash walk and then the prefix walk, neither of which waits for
//!   data of the other. An update touches 64 slots and one path and moves no connection.
//!
//! So the answer to the idea of 2005 is that the sharing worth having is of memory, links and the lookup call, not of the path. What
//! the first way alone would give is per-prefix grouping of connections (evict within a prefix, kill a prefix's connections);
//! no operation of the contract asks for it.
//!
//! # Layout
//! ```text
//! packet --hash--> root slot -> node -> node -> leaf -> entry      hit: Connection
//!    |                                            miss
//!    '--- family, zone, destination: raw bits --> top[32] -> 64-slot node -> ... -> last policy passed
//!                                                 5 bits     6 bits each; 8 lines of the same arena, one of them read
//! ```
//! All connections to one server share their raw bits; here that matters to nobody, since their hashes do not. Reply tuples,
//! whose destinations are clients, likewise. The layout of a prefix node is in `prefixes.rs`.
//!
//! # Cost
//! Connections: as `hashtrie`, about 180 bytes each. Prefixes: 512 bytes per node; a /24 takes 4 nodes below those
//! of its zone and shares them with its neighbours. 10^5 prefixes of uniformly random addresses, six in ten of them a /24,
//! share little and take 400 bytes each; 64 neighbouring /24s 8 bytes each. Beside that 49 to 98 bytes in the map of exact prefixes.
//! A lookup by prefix reads 2 lines for the zone and one for each 6 bits up to the deepest node of the path: 4 for IPv4 routes
//! to /24, at most 6; 8 for an IPv6 /48, at most 22.
//!
//! # Progress
//! Connections as `hashtrie`. Prefix lookups are optimistic: they read without writing shared memory, repeat what an update
//! disturbed, and after eight disturbances wait for the updater (blocking then). Prefix updates are serialised by a mutex.
//!
//! # Guarantees
//! G1 to G9 of `hashtrie` for connections, whose code this is, and
//! * **L1** A connection is found whatever prefixes were inserted or removed before or after it, and comes before any prefix.
//! * **L2** Connections that share all raw bits do not deepen any path.
//! * **L3** A prefix update moves no connection and changes no node of the connections' side.
//! * **P1** to **P3** (`prefixes.rs`): the longest prefix; updates seen whole; bounded updates, and nodes given back.
//! * **V1** (`version.rs`): reads are not torn; has a loom model.
//!
//! `tests/hashtrie_lpm.rs` names them.
//!
//! # Known limits
//! * The second walk of a miss begins when the first has ended, except for what the processor runs ahead.
//! * No path compression: a lone IPv6 /128 costs 22 nodes, 11 KiB. Prefixes come from an operator, not from packets.
//! * Nodes for prefixes are not limited; if memory ends, the process does.

mod prefixes;
mod version;

use crate::counters::Counters;
use crate::hash::{FoldHasher, TupleHasher};
use crate::table::{
    BuildError, Classified, ConnectionId, DumpCursor, Dumped, EvictionSink, FlowHandle, FlowTable, Found,
    Insert, PacketMeta, PolicyId, PrefixHandle, Sharing, Sizing, TableInfo, VirtualTime,
};
use crate::tables::hashtrie::{HashTrie, Options, Shape, TrieHandle};
use crate::tuple::{Prefix, Tuple};

use self::prefixes::Prefixes;

/// Connections by hash, prefixes by raw bits.
#[derive(Debug)]
pub struct HashTrieLpm<H: TupleHasher = FoldHasher> {
    flows: HashTrie<H>,
    prefixes: Prefixes,
}

/// One thread's access to a [`HashTrieLpm`].
#[derive(Debug)]
pub struct LpmHandle<'t, H: TupleHasher> {
    table: &'t HashTrieLpm<H>,
    flows: TrieHandle<'t, H>,
}

impl<H: TupleHasher> HashTrieLpm<H> {
    /// The shape of the connections' side.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.flows.shape()
    }

    /// Prefixes present.
    #[must_use]
    pub fn prefix_count(&self) -> usize {
        self.prefixes.len()
    }

    /// Nodes of 512 bytes on the prefixes' side.
    #[must_use]
    pub fn prefix_nodes(&self) -> usize {
        self.prefixes.nodes()
    }
}

impl<H: TupleHasher> FlowTable for HashTrieLpm<H> {
    type Options = Options;
    type Handle<'t> = LpmHandle<'t, H>;

    const INFO: TableInfo = TableInfo {
        summary: "hashtrie whose arena also holds a multibit trie of raw prefixes: connection, else longest prefix",
        locking: "connections as hashtrie; prefix readers under a sequence lock, prefix updates one at a time",
        sharing: Sharing::Shared,
        evicts: true,
        answers: true,
    };

    fn new(sizing: &Sizing, options: &Options) -> Result<Self, BuildError> {
        Ok(Self {
            flows: HashTrie::new(sizing, options)?,
            prefixes: Prefixes::new(sizing.seed),
        })
    }

    fn handle(&self) -> LpmHandle<'_, H> {
        LpmHandle {
            table: self,
            flows: self.flows.handle(),
        }
    }

    fn len(&self) -> usize {
        self.flows.len()
    }

    fn memory_bytes(&self) -> usize {
        self.flows.memory_bytes() + size_of::<Prefixes>() + self.prefixes.map_bytes()
    }
}

impl<H: TupleHasher> FlowHandle for LpmHandle<'_, H> {
    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.flows.hash(tuple)
    }

    #[inline]
    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found> {
        self.flows.lookup(packet, hash)
    }

    #[inline]
    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        self.flows.lookup_batch(packets, found);
    }

    #[inline]
    fn insert(
        &mut self,
        packet: &PacketMeta,
        reply: &Tuple,
        hash: u64,
        evictions: &mut impl EvictionSink,
    ) -> Insert {
        self.flows.insert(packet, reply, hash, evictions)
    }

    #[inline]
    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId> {
        self.flows.remove(tuple, hash, now)
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        self.flows.expire(now)
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        self.flows.dump(cursor, budget, sink)
    }

    fn counters(&self) -> Counters {
        self.flows.counters()
    }
}

impl<H: TupleHasher> PrefixHandle for LpmHandle<'_, H> {
    fn insert_prefix(&mut self, prefix: &Prefix, policy: PolicyId) -> Option<PolicyId> {
        self.table
            .prefixes
            .insert(&self.table.flows.trie.arena, prefix, policy)
    }

    fn remove_prefix(&mut self, prefix: &Prefix) -> Option<PolicyId> {
        self.table.prefixes.remove(&self.table.flows.trie.arena, prefix)
    }

    #[inline]
    fn classify(&mut self, packet: &PacketMeta, hash: u64) -> Classified {
        if let Some(found) = self.flows.lookup(packet, hash) {
            return Classified::Connection(found);
        }
        let arena = &self.table.flows.trie.arena;
        match self.table.prefixes.lookup(arena, &packet.tuple) {
            Some(policy) => Classified::Prefix(policy),
            None => Classified::Nothing,
        }
    }
}
