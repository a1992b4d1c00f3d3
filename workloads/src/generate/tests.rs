//! Every generated workload against the oracle, and its shape against what its documentation says.

use std::collections::HashSet;

use super::*;
use crate::catalog::WORKLOADS;
use crate::oracle;
use crate::trace::TraceDigest;

fn size(connections: u32, ops: u32, seed: u64) -> Size {
    Size {
        connections,
        ops,
        seed,
    }
}

/// All makers, beyond the sizes that the catalogue thinks sensible.
type Maker = fn(Size) -> Trace;
const MAKERS: [(&str, Maker); 5] = [
    ("steady", steady),
    ("churn", churn),
    ("miss", miss),
    ("full", full),
    ("prefix", prefix),
];

fn of_kind(trace: &Trace, kind: OpKind) -> usize {
    trace.ops.iter().filter(|op| op.kind == kind).count()
}

#[test]
fn every_maker_is_in_the_catalogue() {
    assert_eq!(MAKERS.map(|(name, _)| name), WORKLOADS.map(|w| w.name));
}

#[test]
fn the_oracle_accepts_every_workload_at_every_size() {
    for (name, make) in MAKERS {
        for connections in [1, 2, 3, 20, 1000, 1 << 14] {
            for (ops, seed) in [(0, 1), (1, 2), (20_000, 3), (20_000, 4)] {
                let trace = make(size(connections, ops, seed));
                assert_eq!(trace.ops.len(), ops as usize);
                let checked = oracle::check(&trace);
                assert_eq!(checked, Ok(trace.expected), "{name} {connections} {ops} {seed}");
            }
        }
    }
}

#[test]
fn the_seed_makes_the_trace() {
    let mut digests: HashSet<TraceDigest> = HashSet::new();
    for (name, make) in MAKERS {
        let first = make(size(1000, 3000, 1)).digest();
        assert_eq!(first, make(size(1000, 3000, 1)).digest(), "{name}");
        assert!(digests.insert(first), "{name} is another workload's trace");
        for other in [size(1000, 3000, 2), size(1001, 3000, 1), size(1000, 3001, 1)] {
            assert!(digests.insert(make(other).digest()), "{name} {other:?}");
        }
    }
}

/// Traces are the same on every machine and stay the same. Where a change is meant, results before and after it are not
/// comparable: the changelog must say so.
#[test]
fn digests_are_those_recorded() {
    let digests = MAKERS.map(|(name, make)| (name, make(size(1000, 3000, 1)).digest().to_string()));
    let digests: Vec<(&str, &str)> = digests.iter().map(|(n, d)| (*n, d.as_str())).collect();
    assert_eq!(digests, RECORDED_DIGESTS);
}
const RECORDED_DIGESTS: [(&str, &str); 5] = [
    ("steady", "2edb947c7ab25f9757e8981c0f7f9b33"),
    ("churn", "8f2fbe46bdd22236bdccd7adc6c3a56e"),
    ("miss", "f800cfd5290c3ef72c1ecb35fbe70c23"),
    ("full", "6d9ab2c057181eb622f7e00905e3204f"),
    ("prefix", "d198d1c2e250986daf49edaef6cbf078"),
];

/// Distinctness by construction holds with the prefix workload's own destinations too.
#[test]
fn tuples_are_distinct_in_both_directions_in_every_workload() {
    for (name, make) in MAKERS {
        let trace = make(size(1 << 16, 1 << 16, 9));
        let mut seen = HashSet::with_capacity(2 * trace.connections.len());
        for connection in &trace.connections {
            assert!(
                seen.insert(connection.original),
                "{name}: {} twice",
                connection.original
            );
            assert!(
                seen.insert(connection.reply),
                "{name}: {} twice",
                connection.reply
            );
        }
    }
}

/// Share of the hits that go to the most popular per cent of connections, against the ratio of harmonic numbers.
#[test]
fn steady_is_zipf_of_exponent_one_in_both_directions() {
    let live = 1 << 14;
    let trace = steady(size(live, 400_000, 7));
    let mut counts = vec![0u32; live as usize];
    for op in &trace.ops {
        counts[op.connection as usize] += 1;
    }
    let by_number = counts.clone();
    counts.sort_unstable_by_key(|&count| std::cmp::Reverse(count));
    let top = live as usize / 100;
    let share = f64::from(counts[..top].iter().sum::<u32>()) / trace.ops.len() as f64;
    let harmonic = |n: usize| (1..=n).map(|k| 1.0 / k as f64).sum::<f64>();
    let theory = harmonic(top) / harmonic(live as usize);
    assert!((share - theory).abs() < 0.02, "top 1 %: {share}, theory {theory}");

    let reply = trace
        .ops
        .iter()
        .filter(|op| op.direction == Direction::Reply)
        .count();
    let reply = reply as f64 / trace.ops.len() as f64;
    assert!((0.48..0.52).contains(&reply), "reply {reply}");

    // Popularity says nothing about the order of insertion: the first and the second half are hit alike, but for the
    // few most popular, wherever they are.
    let busiest: HashSet<u32> = counts[..top].iter().copied().collect();
    let halves = by_number.split_at(live as usize / 2);
    let quiet = |half: &[u32]| {
        half.iter()
            .filter(|c| !busiest.contains(c))
            .map(|&c| f64::from(c))
            .sum::<f64>()
    };
    let ratio = quiet(halves.0) / quiet(halves.1);
    assert!((0.9..1.1).contains(&ratio), "halves {ratio}");
}

#[test]
fn packets_come_in_trains() {
    let trace = steady(size(1 << 14, 100_000, 8));
    let runs = trace.ops.windows(2);
    let same = runs
        .filter(|w| (w[0].connection, w[0].direction) == (w[1].connection, w[1].direction))
        .count();
    let share = same as f64 / trace.ops.len() as f64;
    // Beyond the trains, two draws of one popular connection in a row: sum of squares, 1.6 / 10.3^2, half of them
    // in the same direction.
    assert!((0.10..0.13).contains(&share), "{share}");
}

#[test]
fn churn_keeps_its_number_and_forgets_its_first() {
    let live = 1000;
    let trace = churn(size(live, 200_000, 5));
    let mut present = i64::from(live);
    let mut first_left = i64::from(live);
    for op in &trace.ops {
        match op.kind {
            OpKind::Open => present += 1,
            OpKind::Close => {
                present -= 1;
                first_left -= i64::from(op.connection < live);
            }
            _ => {}
        }
        assert!(
            (i64::from(live) * 99 / 100..=i64::from(live)).contains(&present),
            "{present}"
        );
    }
    let share = |kind| of_kind(&trace, kind) as f64 / trace.ops.len() as f64;
    assert!((0.045..0.055).contains(&share(OpKind::Open)));
    assert!((0.045..0.055).contains(&share(OpKind::Close)));
    // 10,000 closes: an eighth of them over all 1000, so that of the long-lived ones a quarter lives on, e^-1.25 of 750
    // (FIFO would leave none).
    assert!(
        (150..300).contains(&first_left),
        "{first_left} of the first {live} are left"
    );
}

/// Lifetimes in packets: their spread is beyond that of an exponential distribution (whose coefficient of variation is 1).
#[test]
fn churn_has_heavy_tailed_lifetimes() {
    let trace = churn(size(200, 400_000, 6));
    let mut opened = vec![None; trace.connections.len()];
    let mut lifetimes = Vec::new();
    for (at, op) in trace.ops.iter().enumerate() {
        match op.kind {
            OpKind::Open => opened[op.connection as usize] = Some(at),
            OpKind::Close => lifetimes.extend(opened[op.connection as usize].map(|from| (at - from) as f64)),
            _ => {}
        }
    }
    let n = lifetimes.len() as f64;
    let mean = lifetimes.iter().sum::<f64>() / n;
    let variance = lifetimes.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n;
    let variation = variance.sqrt() / mean;
    assert!(variation > 1.5, "coefficient of variation {variation}");
}

/// Dealt out to threads, each as far in its own operations as chance has it: all together stay within the limit.
#[test]
fn churn_fits_its_headroom_when_dealt_out() {
    let mut random = Random::new(1, 1);
    for (live, threads) in [(1u32, 2), (64, 4), (1000, 4), (1000, 16), (1 << 14, 8)] {
        let trace = churn(size(live, 400_000, 3));
        assert_eq!(trace.max_connections, live as usize + churn::headroom(live));
        // By thread: its connections present after each of its opens and closes.
        let lives: Vec<Vec<usize>> = (0..threads)
            .map(|thread| {
                let mut present = (0..live).filter(|c| c % threads == thread).count();
                let mut history = vec![present];
                for op in trace.ops.iter().filter(|op| op.connection % threads == thread) {
                    match op.kind {
                        OpKind::Open => present += 1,
                        OpKind::Close => present -= 1,
                        _ => continue,
                    }
                    history.push(present);
                }
                history
            })
            .collect();
        let mut most = 0;
        for _ in 0..20_000 {
            let present: usize = lives
                .iter()
                .map(|history| history[random.index(history.len())])
                .sum();
            most = most.max(present);
        }
        assert!(
            most > live as usize,
            "threads apart from each other do exceed {live}"
        );
        assert!(
            most <= trace.max_connections,
            "{live} connections, {threads} threads: {most}"
        );
    }
}

#[test]
fn miss_misses_nine_in_ten_both_ways() {
    let trace = miss(size(1000, 50_000, 2));
    let share = of_kind(&trace, OpKind::Miss) as f64 / 50_000.0;
    assert!((0.88..0.92).contains(&share), "{share}");
    let replies = trace
        .ops
        .iter()
        .filter(|op| op.kind == OpKind::Miss && op.direction == Direction::Reply);
    assert!((20_000..25_000).contains(&replies.count()));
}

/// The table is at its limit at nearly every open, and the ASSURED stay nine in ten.
#[test]
fn full_stays_full_and_assured() {
    let live = 1000u32;
    let trace = full(size(live, 100_000, 4));
    let mut assured: HashSet<u32> = HashSet::new();
    for op in trace
        .prefill
        .iter()
        .filter(|op| op.set_status.contains(Status::ASSURED))
    {
        assured.insert(op.connection);
    }
    assert_eq!(assured.len(), 900);
    let mut promoted = 0;
    for op in &trace.ops {
        match op.kind {
            OpKind::Close => assert!(assured.remove(&op.connection), "only ASSURED connections close"),
            OpKind::Hit if op.set_status.contains(Status::ASSURED) => {
                promoted += u32::from(assured.insert(op.connection));
            }
            _ => {}
        }
        assert!((899..=901).contains(&assured.len()), "{}", assured.len());
    }
    assert!(promoted > 300, "{promoted}");
    let (opens, closes) = (of_kind(&trace, OpKind::Open), of_kind(&trace, OpKind::Close));
    assert!((18_000..22_000).contains(&opens), "{opens}");
    assert!(
        closes * 15 < opens,
        "{closes} closes leave room for {opens} opens"
    );
    assert_eq!((trace.max_connections, trace.evict_when_full), (1000, true));
}

/// A promotion comes soon: fewer opens after the first packet than a table has places for the others.
#[test]
fn full_promotes_before_the_newcomers_places_are_used_up() {
    let trace = full(size(10_000, 200_000, 4));
    let mut opens = 0;
    let mut opened_at = vec![0; trace.connections.len()];
    let mut waits = Vec::new();
    for op in &trace.ops {
        if op.kind == OpKind::Open {
            opens += 1;
            opened_at[op.connection as usize] = opens;
        } else if op.kind == OpKind::Hit
            && op.set_status == ESTABLISHED
            && opened_at[op.connection as usize] > 0
        {
            waits.push(opens - opened_at[op.connection as usize]);
            opened_at[op.connection as usize] = 0;
        }
    }
    waits.sort_unstable();
    let p90 = waits[waits.len() * 9 / 10];
    assert!(
        p90 < 1000,
        "nine of ten promotions after {p90} opens; 1000 places"
    );
}

#[test]
fn prefix_mixes_connections_prefixes_and_nothing() {
    let trace = prefix(size(1 << 14, 50_000, 1));
    assert_eq!(trace.prefixes.len(), 1 << 12);
    let distinct: HashSet<Prefix> = trace.prefixes.iter().map(|&(p, _)| p).collect();
    assert_eq!(distinct.len(), trace.prefixes.len());
    let misses: Vec<&Op> = trace
        .ops
        .iter()
        .filter(|op| op.kind == OpKind::ClassifyMiss)
        .collect();
    assert!((14_000..16_000).contains(&misses.len()));
    let nothing = misses
        .iter()
        .filter(|op| trace.policies[op.connection as usize].is_none())
        .count();
    let share = nothing as f64 / misses.len() as f64;
    assert!((0.08..0.12).contains(&share), "{share}");
    let zones: HashSet<u16> = trace.connections.iter().map(|c| c.original.zone()).collect();
    assert!(zones.len() > 1, "all in one zone");
    let policies: HashSet<_> = misses
        .iter()
        .map(|op| trace.policies[op.connection as usize])
        .collect();
    assert!(policies.len() > 500, "{} policies", policies.len());
}

/// What a table must answer is part of what a trace is.
#[test]
fn policies_are_part_of_the_digest() {
    let trace = prefix(size(100, 100, 1));
    for wrong in [None, Some(PolicyId(u32::MAX))] {
        let mut other = trace.clone();
        other.policies[0] = if other.policies[0] == wrong {
            Some(PolicyId(0))
        } else {
            wrong
        };
        assert_ne!(other.digest(), trace.digest());
    }
}

#[test]
fn nothing_expires_however_long_the_trace() {
    for (_, make) in MAKERS {
        let trace = make(size(100, 200_000, 1));
        assert_eq!(trace.expected.expired, 0);
        assert!(trace.end_time().0 < u64::from(timeouts::UDP_MS));
        assert!(trace.ops.is_sorted_by_key(|op| op.time));
    }
    let builder = Builder::new(size(1, MOST_OPS, 0), 1, 1);
    assert!(u64::from(MOST_OPS) / builder.ops_per_ms <= LONGEST_MS);
}
