//! `hashtrie-lpm`: stub header.

mod prefixes;

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
            prefixes: Prefixes::new(),
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
