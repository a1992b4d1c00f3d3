//! What `hashtrie` promises beyond the contract. The labels are those of its header.

#![expect(clippy::unwrap_used, reason = "tests: a panic is the report")]

mod hashtrie_support;

use std::collections::{HashMap, HashSet};

use structures::tables::hashtrie::{Eviction, HashTrie, Options};
use structures::{
    BuildError, ConnectionId, DumpCursor, FlowHandle, FlowTable, FoldHasher, Insert, PacketMeta, Sip24Hasher,
    Status, Tuple, TupleHasher, VirtualTime, conformance,
};

use hashtrie_support::{SplitMix, holds, packet, put, sizing, table, take, tuple};

/// Most nodes on one path below the default root for 2^17 connections (2^14 slots): 16-way levels needed for 2^18 keys, plus
/// the chance that some pair of them shares much more. A pair sharing 52 of 64 bits has a chance of 1 in 2^17.
const DEEPEST: usize = 9;

#[test]
fn conforms_with_the_default_options() {
    conformance::check::<HashTrie<FoldHasher>>(&Options::default());
}

#[test]
fn conforms_with_siphash_two_root_slots_and_subtree_eviction() {
    let options = Options {
        root_bits: Some(1),
        eviction: Eviction::Subtree,
    };
    conformance::check::<HashTrie<Sip24Hasher>>(&options);
}

/// The parts of the suite that do not bound a step of a dump, which shows a chain of equal hashes as a whole: a known limit.
#[test]
fn g7_conforms_with_a_hash_of_eight_values() {
    type Chains = HashTrie<FewValues<3>>;
    let options = Options::default();
    conformance::c2_expired_is_absent::<Chains>(&options);
    conformance::c3_duplicates_change_nothing::<Chains>(&options);
    conformance::c4_limit_holds::<Chains>(&options);
    conformance::c4_eviction_spares_assured::<Chains>(&options);
    conformance::c6_conservation::<Chains>(&options);
    conformance::c6_handles_come_and_go::<Chains>(&options);
    conformance::batch_equals_single::<Chains>(&options);
    type ShortChains = HashTrie<FewValues<11>>;
    conformance::c8_disjoint_connections::<ShortChains>(&options);
    conformance::c8_both_directions::<ShortChains>(&options);
    conformance::c8_racing_inserts::<ShortChains>(&options);
}

#[test]
fn g2_an_insert_touches_a_bounded_number_of_nodes_while_the_table_grows_from_nothing() {
    const N: u32 = 1 << 17;
    let table = table(N as usize, false, Options::default());
    let mut handle = table.handle();
    let (mut most_made, mut most_touched) = (0, 0);
    for n in 0..N {
        let before = handle.node_moves().taken;
        assert_eq!(
            put(&mut handle, &packet(n, 0, Status::NEW), &mut vec![]),
            Insert::Inserted
        );
        most_made = most_made.max(handle.node_moves().taken - before);
        let paths = [tuple(n), tuple(n).mirrored()].map(|t| table.depth_of(handle.hash(&t)));
        most_touched = most_touched.max(paths.iter().sum());
    }
    assert!(most_made <= DEEPEST as u64, "one insert made {most_made} nodes");
    assert!(
        most_touched <= 2 * DEEPEST,
        "one insert touched {most_touched} nodes"
    );
    assert_eq!(handle.node_moves().given, 0);
    let bytes = table.memory_bytes() / N as usize;
    assert!(
        (170..190).contains(&bytes),
        "{bytes} bytes per connection at the limit, not about 180"
    );
}

#[test]
fn g3_the_shape_is_that_of_a_fresh_build_after_any_history() {
    const N: u32 = 1 << 16;
    let old = table(N as usize, false, Options::default());
    let mut handle = old.handle();
    let mut order: Vec<u32> = (0..N).collect();
    for &n in &order {
        put(&mut handle, &packet(n, 0, Status::NEW), &mut vec![]);
    }
    let mut random = SplitMix(1);
    for i in (1..order.len()).rev() {
        order.swap(i, random.below(i + 1));
    }
    let (gone, kept) = order.split_at(N as usize * 9 / 10);
    for &n in gone {
        assert_eq!(take(&mut handle, n), Some(ConnectionId(n)));
    }
    let fresh = table(N as usize, false, Options::default());
    let mut fresh_handle = fresh.handle();
    for &n in kept {
        put(&mut fresh_handle, &packet(n, 0, Status::NEW), &mut vec![]);
    }
    assert_eq!(old.shape(), fresh.shape());
    let moves = handle.node_moves();
    assert_eq!(
        moves.taken - moves.given,
        old.shape().nodes as u64,
        "no node leaks"
    );
    for &n in kept {
        assert_eq!(take(&mut handle, n), Some(ConnectionId(n)));
    }
    assert_eq!((old.shape().nodes, old.len()), (0, 0));
}

#[test]
fn g4_given_nodes_are_used_again() {
    let table = table(1 << 12, false, Options::default());
    let mut handle = table.handle();
    let mut most = 0;
    for round in 0..20 {
        for n in 0..1 << 12 {
            put(&mut handle, &packet(round << 12 | n, 0, Status::NEW), &mut vec![]);
        }
        most = if round < 2 { table.memory_bytes() } else { most };
        assert!(table.memory_bytes() <= most, "memory creeps up with churn");
        for n in 0..1 << 12 {
            take(&mut handle, round << 12 | n).unwrap();
        }
    }
}

/// The cost model of random tries with fan-out b: n / ln b nodes for n keys (less those the root stands for), and a depth of
/// log n / log b + 1/2 + gamma / ln b levels, the root's included.
#[test]
fn g1_nodes_and_depth_follow_the_cost_model() {
    const EULER_GAMMA: f64 = 0.577_215_664_9;
    for (bits, n) in [(1, 1 << 12), (6, 1 << 15), (12, 1 << 17), (16, 1 << 17)] {
        let options = Options {
            root_bits: Some(bits),
            ..Options::default()
        };
        let table = table(n, false, options);
        let mut handle = table.handle();
        for i in 0..n {
            put(
                &mut handle,
                &packet(u32::try_from(i).unwrap(), 0, Status::NEW),
                &mut vec![],
            );
        }
        let shape = table.shape();
        let keys = 2.0 * n as f64;
        assert_eq!(shape.leaves, 2 * n);
        let per_slot = keys / f64::from(1u32 << bits);
        // Exact up to the small periodic term: a slot with few keys has fewer nodes than keys / ln 16, so the model
        // is used where there are 16 and more.
        if per_slot >= 16.0 {
            let expected = keys / 16f64.ln() - f64::from(1u32 << bits) / 15.0;
            let ratio = shape.nodes as f64 / expected;
            assert!(
                (0.93..1.07).contains(&ratio),
                "2^{bits} slots: {ratio} times the model's nodes"
            );
            let levels = per_slot.log(16.0) + 0.5 + EULER_GAMMA / 16f64.ln();
            let off = shape.mean_depth() - levels;
            assert!(
                off.abs() < 0.1,
                "2^{bits} slots: {off} levels off the model's {levels}"
            );
        }
        println!(
            "root 2^{bits}, {n} connections: {} nodes ({:.3} per key), depth mean {:.2}, max {}",
            shape.nodes,
            shape.nodes as f64 / keys,
            shape.mean_depth(),
            shape.max_depth()
        );
        // n^2 / 2 pairs of keys, of which one in 2^(root bits + 4 d) shares d digits: 2^-7 of them are expected this deep.
        let pairs_deep = 2.0 * keys.log2() - 1.0 - f64::from(bits) + 7.0;
        assert!((shape.max_depth() as f64) < pairs_deep / 4.0 + 1.0);
        assert_eq!(shape.longest_chain, 1);
    }
}

/// TRASH reports a mean depth below 1.5 and a maximum below 5, root included, by widening the root as it fills. A fixed root
/// of two slots per key reaches its mean. Its maximum is a matter of the number of keys: of n keys n^2 / 2^(r + 4d + 1) pairs
/// are expected to agree in more than d levels below a root of r bits, here 0.5 for d = 4 and 0.03 for d = 5.
#[test]
fn g1_a_root_as_wide_as_trash_has_its_mean_depth() {
    let options = Options {
        root_bits: Some(18),
        ..Options::default()
    };
    let table = table(1 << 16, false, options);
    let mut handle = table.handle();
    for n in 0..1 << 16 {
        put(&mut handle, &packet(n, 0, Status::NEW), &mut vec![]);
    }
    let shape = table.shape();
    assert!(shape.mean_depth() + 1.0 < 1.5, "mean {}", shape.mean_depth());
    assert!(shape.max_depth() <= 5);
}

/// A hash of few values: every operation runs on chains.
#[derive(Debug, Clone)]
struct FewValues<const BITS: u32>(FoldHasher);

impl<const BITS: u32> TupleHasher for FewValues<BITS> {
    const NAME: &'static str = "few-values";

    fn with_seed(seed: u64) -> Self {
        Self(FoldHasher::with_seed(seed))
    }

    fn hash(&self, tuple: &Tuple) -> u64 {
        // The kept bits lie at the low end, so that paths are as deep as they get.
        self.0.hash(tuple) & ((1 << BITS) - 1)
    }
}

/// Random operations against a plain model; everything the model knows is checked after each.
fn agrees_with_a_model<H: TupleHasher>(max: usize, evict: bool, options: Options, seed: u64) {
    let table = HashTrie::<H>::new(&sizing(max, evict), &options).unwrap();
    let mut handle = table.handle();
    let mut random = SplitMix(seed);
    let mut model: HashMap<u32, u64> = HashMap::new();
    let universe = 2 * max;
    for now in 0..20_000u64 {
        let n = u32::try_from(random.below(universe)).unwrap();
        model.retain(|_, expires| *expires > now);
        let mut packet = packet(n, now, Status::NEW);
        packet.timeout_ms = 1 + u32::try_from(random.below(4 * max)).unwrap();
        let direction = random.below(2);
        let hash = |t: &Tuple| handle.hash(t);
        let (original, reply) = (packet.tuple, packet.tuple.mirrored());
        let tuple = [original, reply][direction];
        match random.below(8) {
            0..4 => {
                let mut evicted = vec![];
                let h = hash(&original);
                let outcome = handle.insert(&packet, &reply, h, &mut evicted);
                for victim in &evicted {
                    assert!(model.remove(&victim.id.0).is_some(), "a victim was alive");
                }
                let expected = if model.contains_key(&n) {
                    Insert::Duplicate
                } else {
                    Insert::Inserted
                };
                if outcome == Insert::Full {
                    assert_eq!((expected, table.len(), evict), (Insert::Inserted, max, false));
                } else {
                    assert_eq!(outcome, expected);
                }
                if outcome == Insert::Inserted {
                    model.insert(n, packet.expires().0);
                }
            }
            4..6 => {
                let h = hash(&tuple);
                let seen = PacketMeta { tuple, ..packet };
                let found = handle.lookup(&seen, h);
                assert_eq!(found.map(|f| f.id.0), model.contains_key(&n).then_some(n));
                if let Some(found) = found {
                    assert_eq!(found.direction as usize, direction);
                    model.insert(n, packet.expires().0);
                }
            }
            6 => {
                let h = hash(&tuple);
                let removed = handle.remove(&tuple, h, VirtualTime(now));
                assert_eq!(removed.is_some(), model.remove(&n).is_some());
            }
            _ => {
                if random.below(50) == 0 {
                    handle.expire(VirtualTime(now));
                    assert_eq!(table.len(), model.len());
                }
            }
        }
    }
    handle.expire(VirtualTime(20_000));
    model.retain(|_, expires| *expires > 20_000);
    let mut shown = HashSet::new();
    let mut cursor = DumpCursor::default();
    while !handle.dump(&mut cursor, 3, &mut |d| {
        assert!(shown.insert(d.id.0));
    }) {}
    assert_eq!(shown, model.keys().copied().collect());
    let ids: Vec<u32> = model.keys().copied().collect();
    for id in ids {
        let t = self::tuple(id);
        let h = handle.hash(&t);
        assert_eq!(handle.remove(&t, h, VirtualTime(20_000)).map(|i| i.0), Some(id));
    }
    assert_eq!(
        (table.len(), table.shape().nodes, table.shape().leaves),
        (0, 0, 0)
    );
}

#[test]
fn random_operations_agree_with_a_model() {
    for (i, evict) in [false, true].into_iter().enumerate() {
        for eviction in [Eviction::Clock, Eviction::Subtree] {
            for root_bits in [None, Some(1), Some(3)] {
                let options = Options { root_bits, eviction };
                agrees_with_a_model::<FoldHasher>(100, evict, options, 10 + i as u64);
            }
        }
    }
}

#[test]
fn g7_colliding_hashes_chain_and_come_apart_again() {
    let options = Options::default();
    agrees_with_a_model::<FewValues<0>>(60, false, options, 20);
    agrees_with_a_model::<FewValues<0>>(60, true, options, 21);
    agrees_with_a_model::<FewValues<1>>(60, false, options, 22);
    agrees_with_a_model::<FewValues<3>>(60, true, options, 23);
    agrees_with_a_model::<FewValues<3>>(
        60,
        true,
        Options {
            root_bits: Some(7),
            eviction: Eviction::Subtree,
        },
        24,
    );
}

/// A hash whose values share their leading bits pairwise: the worst a trie can be given.
#[derive(Debug, Clone)]
struct LongPaths;

impl TupleHasher for LongPaths {
    const NAME: &'static str = "long-paths";

    fn with_seed(_: u64) -> Self {
        Self
    }

    fn hash(&self, tuple: &Tuple) -> u64 {
        let pair = FoldHasher::with_seed(1).hash(&tuple.mirrored()) ^ FoldHasher::with_seed(1).hash(tuple);
        pair & !1 | u64::from(tuple.src() < tuple.dst())
    }
}

#[test]
fn g8_crafted_hashes_cannot_take_more_than_their_share_of_nodes() {
    const N: u32 = 1 << 12;
    let table = HashTrie::<LongPaths>::new(&sizing(N as usize, false), &Options::default()).unwrap();
    let mut handle = table.handle();
    let mut refused = 0;
    for n in 0..N {
        match put(&mut handle, &packet(n, 0, Status::NEW), &mut vec![]) {
            Insert::Inserted => {}
            Insert::Full => refused += 1,
            Insert::Duplicate => panic!("{n} was not there"),
        }
    }
    assert!(refused > N / 2, "each pair wants 14 nodes, and 4 are granted");
    assert_eq!(table.len(), (N - refused) as usize);
    assert_eq!(table.shape().leaves, 2 * (N - refused) as usize);
    assert!(table.shape().nodes <= 4 * N as usize);
    let inside: Vec<u32> = (0..N).filter(|&n| holds(&mut handle, n)).collect();
    assert_eq!(
        inside.len(),
        table.len(),
        "a refused connection leaves nothing behind"
    );
    for n in inside {
        take(&mut handle, n).unwrap();
    }
    assert_eq!(table.shape().nodes, 0);
}

#[test]
fn g9_a_dump_is_exact_under_churn_that_splits_and_collapses() {
    const KEPT: u32 = 2000;
    let options = Options {
        root_bits: Some(2),
        ..Options::default()
    };
    let table = table(10_000, false, options);
    let mut handle = table.handle();
    let mut random = SplitMix(3);
    for n in 0..KEPT {
        put(&mut handle, &packet(n, 0, Status::NEW), &mut vec![]);
    }
    let mut shown = HashMap::new();
    let mut cursor = DumpCursor::default();
    let mut calls = 0;
    while !handle.dump(&mut cursor, 7, &mut |d| {
        *shown.entry(d.original).or_insert(0) += 1;
    }) {
        calls += 1;
        for _ in 0..20 {
            let n = KEPT + u32::try_from(random.below(4000)).unwrap();
            if take(&mut handle, n).is_none() {
                put(&mut handle, &packet(n, 0, Status::NEW), &mut vec![]);
            }
        }
    }
    assert!(
        calls > 500,
        "the budget cuts the dump into many calls, not {calls}"
    );
    assert!(shown.values().all(|&times| times == 1), "shown twice");
    for n in 0..KEPT {
        assert!(shown.contains_key(&tuple(n)), "{n} was there throughout");
    }
}

#[test]
fn a_batch_answers_as_single_lookups_do() {
    let table = table(1 << 12, false, Options::default());
    let mut handle = table.handle();
    for n in 0..1 << 12 {
        put(&mut handle, &packet(n, 0, Status::NEW), &mut vec![]);
    }
    let mut random = SplitMix(5);
    for size in [0, 1, 5, 32] {
        let packets: Vec<PacketMeta> = (0..size)
            .map(|_| {
                let mut packet = packet(u32::try_from(random.below(1 << 13)).unwrap(), 1, Status::NEW);
                if random.below(2) == 0 {
                    packet.tuple = packet.tuple.mirrored();
                }
                packet
            })
            .collect();
        let mut found = vec![None; size];
        handle.lookup_batch(&packets, &mut found);
        for (packet, found) in packets.iter().zip(found) {
            assert_eq!(found.map(|f| f.id), (packet.id.0 < 1 << 12).then_some(packet.id));
        }
    }
}

#[test]
fn options_out_of_range_are_refused() {
    for bits in [0, 25, 64] {
        let options = Options {
            root_bits: Some(bits),
            ..Options::default()
        };
        let refused = HashTrie::<FoldHasher>::new(&sizing(8, false), &options);
        assert!(matches!(
            refused,
            Err(BuildError::Option {
                name: "root_bits",
                ..
            })
        ));
    }
    let refused = HashTrie::<FoldHasher>::new(&sizing(usize::MAX, false), &Options::default());
    assert!(matches!(refused, Err(BuildError::Capacity { .. })));
}

#[test]
fn c8_threads_that_share_root_slots_keep_their_connections() {
    // Two root slots: every pair of operations meets at a lock, and every remove wants two.
    let options = Options {
        root_bits: Some(1),
        ..Options::default()
    };
    let table = table(4000, true, options);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let table = &table;
            scope.spawn(move || {
                let mut handle = table.handle();
                let mut random = SplitMix(u64::from(thread));
                let mut mine = HashSet::new();
                for _ in 0..30_000 {
                    let n = thread << 16 | u32::try_from(random.below(800)).unwrap();
                    if random.below(2) == 0 {
                        let outcome = put(&mut handle, &packet(n, 0, Status::ASSURED), &mut vec![]);
                        assert_eq!(outcome == Insert::Inserted, mine.insert(n));
                    } else {
                        assert_eq!(take(&mut handle, n).is_some(), mine.remove(&n));
                    }
                }
                for n in mine {
                    assert!(holds(&mut handle, n));
                    take(&mut handle, n).unwrap();
                }
            });
        }
    });
    assert_eq!(
        (table.len(), table.shape().nodes, table.shape().leaves),
        (0, 0, 0)
    );
}
