//! What the tests of the tries share.

use std::net::Ipv4Addr;

use structures::tables::hashtrie::{HashTrie, Options};
use structures::{
    ConnectionId, Evicted, FlowHandle, FlowTable, FoldHasher, Insert, PacketMeta, Sizing, Status, Tuple,
    VirtualTime,
};

/// splitmix64 (Steele, Lea, Flood 2014): enough randomness for a test, and the same everywhere.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

pub(crate) fn tuple(n: u32) -> Tuple {
    let [a, b, c, d] = n.to_be_bytes();
    let client = Ipv4Addr::new(10, a, b, c);
    Tuple::v4(6, client, 1024 + u16::from(d), Ipv4Addr::new(192, 0, 2, 1), 443)
}

pub(crate) fn packet(n: u32, now: u64, status: Status) -> PacketMeta {
    PacketMeta {
        tuple: tuple(n),
        now: VirtualTime(now),
        timeout_ms: 1_000_000_000,
        id: ConnectionId(n),
        user: 0,
        set_status: status,
        action: 0,
    }
}

pub(crate) fn sizing(max_connections: usize, evict_when_full: bool) -> Sizing {
    Sizing {
        max_connections,
        evict_when_full,
        seed: 42,
    }
}

pub(crate) fn table(max: usize, evict: bool, options: Options) -> HashTrie<FoldHasher> {
    HashTrie::new(&sizing(max, evict), &options).unwrap()
}

pub(crate) fn put(handle: &mut impl FlowHandle, packet: &PacketMeta, evicted: &mut Vec<Evicted>) -> Insert {
    let hash = handle.hash(&packet.tuple);
    handle.insert(packet, &packet.tuple.mirrored(), hash, evicted)
}

pub(crate) fn take(handle: &mut impl FlowHandle, n: u32) -> Option<ConnectionId> {
    let tuple = tuple(n);
    let hash = handle.hash(&tuple);
    handle.remove(&tuple, hash, VirtualTime(0))
}

pub(crate) fn holds(handle: &mut impl FlowHandle, n: u32) -> bool {
    let packet = packet(n, 0, Status::NEW);
    let hash = handle.hash(&packet.tuple);
    handle.lookup(&packet, hash).is_some()
}
