//! What the conformance suite can't ask of every table.

// Real threads: not for the model checker.
#![cfg(not(loom))]

use std::net::Ipv4Addr;

use super::*;
use crate::sync::thread;
use crate::table::{IgnoreEvictions, Status};
use crate::tuple::protocol::UDP;

/// The bucket is the last octet of the source address (of which only the bits below the number of buckets count), so that
/// tests can say who is whose neighbour.
#[derive(Debug, Clone)]
struct ByLastOctet;

impl TupleHasher for ByLastOctet {
    const NAME: &'static str = "last octet";

    fn with_seed(_: u64) -> Self {
        Self
    }

    fn hash(&self, tuple: &Tuple) -> u64 {
        // With 256 buckets, the top eight bits are the bucket. The tag is the port.
        let octet = (tuple.src_bits() >> 96) as u64 & 0xff;
        octet << 56 | u64::from(tuple.src_port())
    }
}

const BUCKETS: u32 = 256;

fn table(max_connections: usize, options: Options) -> Chained<ByLastOctet, HashedLocks> {
    let sizing = Sizing {
        max_connections,
        evict_when_full: true,
        seed: 1,
    };
    let buckets = Buckets::Exactly(BUCKETS);
    Chained::new(&sizing, &Options { buckets, ..options }).unwrap()
}

/// A connection whose original is in `bucket` and whose reply is in bucket 255.
fn connection(bucket: u8, port: u16, status: Status) -> (PacketMeta, Tuple) {
    let (client, server) = (Ipv4Addr::new(10, 0, 0, bucket), Ipv4Addr::new(10, 9, 9, 255));
    let packet = PacketMeta {
        tuple: Tuple::v4(UDP, client, port, server, 53),
        now: VirtualTime(u64::from(port)),
        timeout_ms: 1_000_000,
        id: ConnectionId(u32::from(bucket) << 16 | u32::from(port)),
        user: 0,
        set_status: status,
        action: 0,
    };
    // One reply port per connection: a tag of its own.
    let reply = Tuple::v4(UDP, server, 256 * u16::from(bucket) + port, client, port);
    (packet, reply)
}

type ByOctetHandle<'t> = ChainedHandle<'t, ByLastOctet, HashedLocks>;

fn open(handle: &mut ByOctetHandle<'_>, bucket: u8, port: u16, status: Status) -> (Insert, Vec<u32>) {
    let (packet, reply) = connection(bucket, port, status);
    let mut victims: Vec<crate::table::Evicted> = Vec::new();
    let hash = handle.hash(&packet.tuple);
    let outcome = handle.insert(&packet, &reply, hash, &mut victims);
    let mut ids: Vec<_> = victims.iter().map(|victim| victim.id.0).collect();
    ids.sort_unstable();
    (outcome, ids)
}

/// G3. Of the buckets from the newcomer's on, the first with anybody evictable loses all of those, ASSURED ones stay.
#[test]
fn eviction_today_takes_all_of_the_first_bucket_that_has_one() {
    let table = table(
        6,
        Options {
            chain_cap: false,
            ..Options::default()
        },
    );
    let mut handle = table.handle();
    open(&mut handle, 10, 1, Status::ASSURED);
    for port in [2, 3] {
        open(&mut handle, 12, port, Status::NEW);
    }
    open(&mut handle, 12, 4, Status::ASSURED);
    open(&mut handle, 13, 5, Status::NEW);
    open(&mut handle, 13, 6, Status::SEEN_REPLY);
    let got = open(&mut handle, 10, 7, Status::ASSURED);
    assert_eq!(got, (Insert::Inserted, vec![12 << 16 | 2, 12 << 16 | 3]));
    assert_eq!(table.len(), 5);
}

/// The window is eight buckets wide, the newcomer's included, and goes on at bucket 0 after the last.
#[test]
fn eviction_today_looks_at_eight_buckets_and_wraps() {
    for (newcomer, victim, reached) in [
        (20, 27, true),
        (20, 28, false),
        (20, 19, false),
        (252, 3, true),
        (252, 4, false),
    ] {
        // A table whose replies are out of everybody's way: reversed, they are in the victim's own bucket.
        let table = table(
            1,
            Options {
                chain_cap: false,
                ..Options::default()
            },
        );
        let mut handle = table.handle();
        let (packet, _) = connection(victim, 1, Status::NEW);
        let reply = Tuple::v4(
            UDP,
            Ipv4Addr::new(10, 7, 7, victim),
            9,
            Ipv4Addr::new(10, 1, 1, 1),
            9,
        );
        let hash = handle.hash(&packet.tuple);
        assert_eq!(
            handle.insert(&packet, &reply, hash, &mut IgnoreEvictions),
            Insert::Inserted
        );
        let (outcome, victims) = open(&mut handle, newcomer, 2, Status::NEW);
        let expected = if reached { Insert::Inserted } else { Insert::Full };
        assert_eq!(
            (outcome, victims.len()),
            (expected, usize::from(reached)),
            "{newcomer} {victim}"
        );
    }
}

/// One bucket, one victim, the oldest that is not ASSURED.
#[test]
fn eviction_of_2005_takes_the_oldest_of_the_bucket() {
    let table = table(4, Options::kernel_2005());
    let mut handle = table.handle();
    open(&mut handle, 10, 1, Status::ASSURED);
    for port in [2, 3] {
        open(&mut handle, 10, port, Status::NEW);
    }
    open(&mut handle, 11, 4, Status::NEW);
    assert_eq!(
        open(&mut handle, 10, 5, Status::NEW),
        (Insert::Inserted, vec![10 << 16 | 2])
    );
    assert_eq!(
        open(&mut handle, 12, 6, Status::NEW),
        (Insert::Full, vec![]),
        "its bucket is empty"
    );
}

/// An expired connection in the newcomer's bucket makes the room, and nobody is evicted.
#[test]
fn at_the_limit_expired_connections_go_first() {
    let table = table(
        2,
        Options {
            chain_cap: false,
            ..Options::default()
        },
    );
    let mut handle = table.handle();
    open(&mut handle, 10, 1, Status::NEW);
    open(&mut handle, 10, 2, Status::NEW);
    let (mut late, reply) = connection(10, 3, Status::NEW);
    late.now = VirtualTime(1_000_001);
    let mut victims: Vec<crate::table::Evicted> = Vec::new();
    let hash = handle.hash(&late.tuple);
    assert_eq!(handle.insert(&late, &reply, hash, &mut victims), Insert::Inserted);
    assert_eq!((victims.len(), table.len()), (0, 2));
}

/// G4. The kernel refuses when between 52 and 81 nodes are in the chain already.
#[test]
fn the_chain_cap_refuses_within_its_random_range() {
    let table = table(1000, Options::default());
    let mut handle = table.handle();
    let mut admitted = 0u16;
    // Every port has its own cap; the chain has its final length when all are refused.
    for port in 1..=200 {
        admitted += u16::from(open(&mut handle, 255, port, Status::ASSURED).0 == Insert::Inserted);
    }
    // Both nodes of each connection are in the one chain.
    assert!(
        (26..=41).contains(&admitted),
        "{admitted} connections, {} nodes",
        2 * admitted
    );
    assert_eq!(
        open(&mut handle, 3, 1, Status::NEW).0,
        Insert::Full,
        "its reply meets the chain too"
    );
    if cfg!(feature = "counters") {
        assert_eq!(handle.counters().chaintoolong, u64::from(200 - admitted) + 1);
    }
}

#[test]
fn without_a_cap_chains_grow() {
    let table = table(
        1000,
        Options {
            chain_cap: false,
            ..Options::default()
        },
    );
    let mut handle = table.handle();
    for port in 1..=200 {
        assert_eq!(open(&mut handle, 255, port, Status::NEW).0, Insert::Inserted);
    }
    assert_eq!((handle.expire(VirtualTime(2_000_000)), table.len()), (200, 0));
}

/// G1, G2. Two threads insert and remove connections whose two buckets they name in opposite orders.
#[test]
fn threads_crossing_in_both_directions_do_not_deadlock() {
    let sizing = Sizing {
        max_connections: 100,
        evict_when_full: false,
        seed: 1,
    };
    let table: Chained = Chained::new(&sizing, &Options::default()).unwrap();
    thread::scope(|scope| {
        for turned in [false, true] {
            let table = &table;
            scope.spawn(move || {
                let mut handle = table.handle();
                for round in 0..20_000u16 {
                    let (mut packet, _) = connection(1, round % 50, Status::NEW);
                    let mut reply = Tuple::v4(
                        UDP,
                        Ipv4Addr::new(10, 0, 0, 2),
                        round % 50,
                        Ipv4Addr::new(10, 0, 0, 3),
                        1,
                    );
                    if turned {
                        std::mem::swap(&mut packet.tuple, &mut reply);
                    }
                    let hash = handle.hash(&packet.tuple);
                    let outcome = handle.insert(&packet, &reply, hash, &mut IgnoreEvictions);
                    assert_ne!(outcome, Insert::Full);
                    handle.remove(&packet.tuple, hash, packet.now);
                }
            });
        }
    });
    assert_eq!(table.len(), 0);
}

#[test]
fn options_without_buckets_are_refused() {
    for buckets in [
        Buckets::OnePer(0),
        Buckets::PerConnection(0),
        Buckets::Exactly(0),
        Buckets::PerConnection(u32::MAX),
    ] {
        let sizing = Sizing {
            max_connections: 10,
            evict_when_full: false,
            seed: 1,
        };
        let refused = Chained::<FoldHasher, GlobalLock>::new(
            &sizing,
            &Options {
                buckets,
                ..Options::default()
            },
        );
        assert!(
            matches!(refused, Err(BuildError::Option { name: "buckets", .. })),
            "{buckets:?}"
        );
    }
}

#[test]
fn bytes_per_connection_are_those_of_the_header() {
    let sizing = Sizing {
        max_connections: 1 << 16,
        evict_when_full: false,
        seed: 1,
    };
    for (options, expected) in [(Options::default(), 136), (Options::kernel_2005(), 129)] {
        let table = Chained::<FoldHasher, GlobalLock>::new(&sizing, &options).unwrap();
        let slack = SLACK_SLOTS * 128;
        assert_eq!((table.memory_bytes() - slack) >> 16, expected);
    }
}
