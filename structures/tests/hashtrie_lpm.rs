//! What `hashtrie-lpm` promises beyond the contract. The labels are those of its header.

#![expect(clippy::unwrap_used, reason = "tests: a panic is the report")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use structures::tables::hashtrie::{Eviction, Options};
use structures::tables::hashtrie_lpm::HashTrieLpm;
use structures::{
    Classified, ConnectionId, Direction, FlowHandle, FlowTable, FoldHasher, Found, IgnoreEvictions, Insert,
    PacketMeta, PolicyId, Prefix, PrefixHandle, Sizing, Status, Tuple, VirtualTime, conformance,
};

use proptest::prelude::*;

fn table(max_connections: usize) -> HashTrieLpm<FoldHasher> {
    let sizing = Sizing {
        max_connections,
        evict_when_full: false,
        seed: 1,
    };
    HashTrieLpm::new(&sizing, &Options::default()).unwrap()
}

fn packet(tuple: Tuple, id: u32) -> PacketMeta {
    PacketMeta {
        tuple,
        now: VirtualTime(0),
        timeout_ms: 1000,
        id: ConnectionId(id),
        user: 0,
        set_status: Status::NEW,
        action: 0,
    }
}

fn classify(handle: &mut impl PrefixHandle, tuple: Tuple) -> Classified {
    let hash = handle.hash(&tuple);
    handle.classify(&packet(tuple, 0), hash)
}

fn open(handle: &mut impl FlowHandle, tuple: Tuple, id: u32) -> Insert {
    let hash = handle.hash(&tuple);
    handle.insert(&packet(tuple, id), &tuple.mirrored(), hash, &mut IgnoreEvictions)
}

#[test]
fn conforms() {
    conformance::check::<HashTrieLpm<FoldHasher>>(&Options::default());
    let options = Options {
        root_bits: Some(2),
        eviction: Eviction::Subtree,
    };
    conformance::check::<HashTrieLpm<FoldHasher>>(&options);
}

#[test]
fn p1_conforms_with_prefixes() {
    conformance::prefix::check::<HashTrieLpm<FoldHasher>>(&Options::default());
}

/// One step of the random test: addresses from a small pool, so that prefixes nest, meet and end at connections.
#[derive(Debug, Clone)]
enum Step {
    Open(usize, usize),
    Close(usize, usize),
    Set(usize, u8, u32),
    Forget(usize, u8),
}

/// Two zones, both families; addresses that part at the first bit, inside a node, at its edges and at the last bit.
fn endpoints() -> Vec<(u16, IpAddr)> {
    let v4 = [
        "10.0.0.0",
        "10.0.0.1",
        "10.0.0.255",
        "10.0.3.0",
        "10.63.0.1",
        "138.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
    ];
    let v6 = [
        "2001:db8::",
        "2001:db8::1",
        "2001:db8:8000::1",
        "2001:db8::4000:0:0:0",
        "::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8::3",
    ];
    let addresses = v4.iter().chain(&v6).map(|a| a.parse::<IpAddr>().unwrap());
    addresses.flat_map(|a| [(0, a), (65535, a), (64, a)]).collect()
}

fn tuple_between((zone, src): (u16, IpAddr), (_, dst): (u16, IpAddr)) -> Option<Tuple> {
    let tuple = Tuple::from_endpoints(17, (src, 5000).into(), (dst, 53).into())?;
    (src != dst).then(|| tuple.in_zone(zone))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n = endpoints().len();
    let step = prop_oneof![
        (0..n, 0..n).prop_map(|(a, b)| Step::Open(a, b)),
        (0..n, 0..n).prop_map(|(a, b)| Step::Close(a, b)),
        (0..n, 0..=128u8, any::<u32>()).prop_map(|(a, l, p)| Step::Set(a, l, p)),
        (0..n, 0..=128u8).prop_map(|(a, l)| Step::Forget(a, l)),
    ];
    prop::collection::vec(step, 1..80)
}

fn prefix((zone, address): (u16, IpAddr), length: u8) -> Prefix {
    let longest = if address.is_ipv4() { 32 } else { 128 };
    Prefix::new(zone, address, length % (longest + 1)).unwrap()
}

/// By brute force over all prefixes.
fn longest(prefixes: &HashMap<Prefix, PolicyId>, tuple: &Tuple) -> Option<PolicyId> {
    let covering = prefixes.iter().filter(|(prefix, _)| prefix.covers(tuple));
    covering
        .max_by_key(|(prefix, _)| prefix.length())
        .map(|(_, policy)| *policy)
}

proptest! {
    /// Connections opened before and after any prefix update are found; everything else gets the longest prefix.
    #[test]
    fn p1_l1_answers_agree_with_brute_force(steps in steps()) {
        let table = table(256);
        let mut handle = table.handle();
        let ends = endpoints();
        let mut connections: HashMap<Tuple, (u32, Direction)> = HashMap::new();
        let mut prefixes = HashMap::new();
        for (id, step) in steps.into_iter().enumerate() {
            let id = u32::try_from(id).unwrap();
            match step {
                Step::Open(a, b) => if let Some(tuple) = tuple_between(ends[a], ends[b]) {
                    let outcome = open(&mut handle, tuple, id);
                    if connections.contains_key(&tuple) || connections.contains_key(&tuple.mirrored()) {
                        prop_assert_eq!(outcome, Insert::Duplicate);
                    } else {
                        prop_assert_eq!(outcome, Insert::Inserted);
                        connections.insert(tuple, (id, Direction::Original));
                        connections.insert(tuple.mirrored(), (id, Direction::Reply));
                    }
                },
                Step::Close(a, b) => if let Some(tuple) = tuple_between(ends[a], ends[b]) {
                    let hash = handle.hash(&tuple);
                    let removed = handle.remove(&tuple, hash, VirtualTime(0)).map(|id| id.0);
                    prop_assert_eq!(removed, connections.remove(&tuple).map(|(id, _)| id));
                    connections.remove(&tuple.mirrored());
                },
                Step::Set(a, length, policy) => {
                    let prefix = prefix(ends[a], length);
                    let old = handle.insert_prefix(&prefix, PolicyId(policy));
                    prop_assert_eq!(old, prefixes.insert(prefix, PolicyId(policy)));
                }
                Step::Forget(a, length) => {
                    let prefix = prefix(ends[a], length);
                    prop_assert_eq!(handle.remove_prefix(&prefix), prefixes.remove(&prefix));
                }
            }
            for (&a, &b) in ends.iter().zip(ends.iter().rev()).chain(ends.iter().zip(&ends[3..])) {
                let Some(tuple) = tuple_between(a, b) else { continue };
                let expected = match connections.get(&tuple) {
                    Some(&(id, direction)) => Classified::Connection(Found { id: ConnectionId(id), direction }),
                    None => longest(&prefixes, &tuple).map_or(Classified::Nothing, Classified::Prefix),
                };
                prop_assert_eq!(classify(&mut handle, tuple), expected, "{}", tuple);
            }
        }
        for prefix in prefixes.keys() {
            handle.remove_prefix(prefix);
        }
        prop_assert_eq!((table.prefix_count(), table.prefix_nodes()), (0, 0));
    }
}

#[test]
fn p1_every_length_nests_in_both_families() {
    let table = table(8);
    let mut handle = table.handle();
    for (address, longest) in [
        (IpAddr::from(Ipv4Addr::new(0xa5, 0x5a, 0x3c, 0xc3)), 32u8),
        (
            IpAddr::from(Ipv6Addr::from(0xa55a_3cc3_0ff0_9669_1234_5678_9abc_def1u128)),
            128,
        ),
    ] {
        // Longest first: each shorter one must not hide the longer.
        for length in (0..=longest).rev() {
            let prefix = Prefix::new(3, address, length).unwrap();
            assert_eq!(handle.insert_prefix(&prefix, PolicyId(u32::from(length))), None);
        }
        let away = Tuple::from_endpoints(6, (address, 9).into(), (address, 1).into()).unwrap();
        assert_eq!(classify(&mut handle, away), Classified::Nothing, "another zone");
        for length in (0..=longest).rev() {
            assert_eq!(
                classify(&mut handle, away.in_zone(3)),
                Classified::Prefix(PolicyId(u32::from(length)))
            );
            let prefix = Prefix::new(3, address, length).unwrap();
            assert_eq!(handle.remove_prefix(&prefix), Some(PolicyId(u32::from(length))));
        }
        assert_eq!(classify(&mut handle, away.in_zone(3)), Classified::Nothing);
    }
    assert_eq!(table.prefix_nodes(), 0);
}

/// A thousand connections to one server share all raw bits; a prefix update moves none of them.
#[test]
fn l2_l3_one_server_does_not_deepen_the_trie_and_updates_move_no_connection() {
    const N: u32 = 1 << 14;
    let table = table(N as usize);
    let mut handle = table.handle();
    let server = Ipv4Addr::new(192, 0, 2, 1);
    let client = |n: u32| Tuple::v4(6, Ipv4Addr::from(0x0a00_0000 + n), 4000, server, 443);
    for n in 0..N {
        open(&mut handle, client(n), n);
    }
    let shape = table.shape();
    assert!(
        shape.mean_depth() < 2.0,
        "two keys per connection, 2^11 root slots: {}",
        shape.mean_depth()
    );
    for length in 0..=32 {
        let prefix = Prefix::new(0, server.into(), length).unwrap();
        handle.insert_prefix(&prefix, PolicyId(1));
        if length % 2 == 0 {
            handle.remove_prefix(&prefix);
        }
    }
    assert_eq!(
        table.shape(),
        shape,
        "not a node of the connections' side has changed"
    );
    for n in 0..N {
        for (tuple, direction) in [
            (client(n), Direction::Original),
            (client(n).mirrored(), Direction::Reply),
        ] {
            let found = Found {
                id: ConnectionId(n),
                direction,
            };
            assert_eq!(classify(&mut handle, tuple), Classified::Connection(found));
        }
    }
}

#[test]
fn p3_a_lone_prefix_costs_its_path_and_gives_it_back() {
    let table = table(8);
    let mut handle = table.handle();
    // Two nodes of the zone, and one for each six bits or part of them.
    for (address, length, nodes) in [
        ("0.0.0.0", 0, 2),
        ("10.0.0.0", 6, 3),
        ("10.0.0.0", 8, 4),
        ("10.1.2.0", 24, 6),
        ("10.1.2.3", 32, 8),
        ("2001:db8::", 48, 10),
        ("2001:db8::1", 128, 24),
    ] {
        let prefix = Prefix::new(7, address.parse().unwrap(), length).unwrap();
        handle.insert_prefix(&prefix, PolicyId(1));
        assert_eq!(table.prefix_nodes(), nodes, "{address}/{length}");
        handle.remove_prefix(&prefix);
        assert_eq!(table.prefix_nodes(), 0);
    }
    let settled = table.memory_bytes();
    for n in 0..10_000u32 {
        let prefix = Prefix::new(0, Ipv4Addr::from(n << 8).into(), 24).unwrap();
        handle.insert_prefix(&prefix, PolicyId(n));
        handle.remove_prefix(&prefix);
    }
    assert_eq!(table.memory_bytes(), settled, "nodes are used again");
}

/// While a /32 comes and goes over a /0, with all the nodes between, readers see one of the two and nothing else.
#[test]
fn p2_readers_see_updates_whole() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let table = table(64);
    let server = Ipv4Addr::new(192, 0, 2, 1);
    let all = Prefix::new(0, Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
    table.handle().insert_prefix(&all, PolicyId(u32::MAX));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2u16 {
            let (table, done) = (&table, &done);
            scope.spawn(move || {
                let mut handle = table.handle();
                let tuple = Tuple::v4(6, Ipv4Addr::new(10, 0, 0, 1), reader, server, 443);
                let mut seen = [0; 2];
                while !done.load(Ordering::Relaxed) || seen[0] == 0 {
                    match classify(&mut handle, tuple) {
                        Classified::Prefix(PolicyId(u32::MAX)) => seen[0] += 1,
                        Classified::Prefix(PolicyId(7)) => seen[1] += 1,
                        other => panic!("{other:?} is neither policy"),
                    }
                }
            });
        }
        let mut handle = table.handle();
        for turn in 0..20_000u32 {
            let near = Prefix::new(0, server.into(), 32).unwrap();
            handle.insert_prefix(&near, PolicyId(7));
            // A run given back is taken again at another depth, so that stale readers meet foreign words.
            let far = Prefix::new(1, Ipv6Addr::from(u128::from(turn) << 64).into(), 128).unwrap();
            handle.insert_prefix(&far, PolicyId(8));
            handle.remove_prefix(&near);
            handle.remove_prefix(&far);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(table.prefix_count(), 1);
}
