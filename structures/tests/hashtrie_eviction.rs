//! Whom `hashtrie` evicts. The labels are those of its header.

#![expect(clippy::unwrap_used, reason = "tests: a panic is the report")]

mod hashtrie_support;

use std::collections::{HashMap, HashSet};

use structures::tables::hashtrie::{Eviction, Options};
use structures::{ConnectionId, DumpCursor, FlowHandle, FlowTable, Insert, Status, VirtualTime};

use hashtrie_support::{SplitMix, holds, packet, put, table, take};

/// How the oldest-first order is disturbed before the flood is measured.
enum Disorder {
    /// Nothing but newcomers.
    None,
    /// A third of the places is removed and refilled in random order again and again.
    Churn,
    /// Random connections keep seeing packets, so that slot order says nothing about the time last seen.
    Refresh,
}

/// Rank of each victim by time last seen among all evictable connections, 0 the oldest, 1 the youngest: the mean over a
/// flood of two table sizes, from an exact oracle.
fn mean_age_rank(eviction: Eviction, disorder: &Disorder, assured: f64) -> f64 {
    const MAX: usize = 1 << 12;
    let options = Options {
        eviction,
        ..Options::default()
    };
    let table = table(MAX, true, options);
    let mut handle = table.handle();
    let mut random = SplitMix(7);
    let mut evictable: HashMap<u32, u64> = HashMap::new();
    let mut protected = HashSet::new();
    let (mut ranks, mut count, mut next, mut now) = (0.0, 0usize, 0u32, 0u64);
    let mut evicted = Vec::new();
    while count < 4 * MAX {
        now += 1;
        match disorder {
            Disorder::Churn if table.len() == MAX && now.is_multiple_of(3) => {
                let mut ids: Vec<u32> = evictable.keys().copied().collect();
                ids.sort_unstable();
                let id = ids[random.below(ids.len())];
                take(&mut handle, id).unwrap();
                evictable.remove(&id);
            }
            Disorder::Refresh if table.len() == MAX => {
                let mut ids: Vec<u32> = evictable.keys().copied().collect();
                ids.sort_unstable();
                let id = ids[random.below(ids.len())];
                let seen = packet(id, now, Status::NEW);
                let hash = handle.hash(&seen.tuple);
                handle.lookup(&seen, hash).unwrap();
                evictable.insert(id, now);
                now += 1;
            }
            _ => {}
        }
        let status = if (protected.len() as f64) < assured * MAX as f64 && random.below(2) == 0 {
            protected.insert(next);
            Status::ASSURED
        } else {
            Status::NEW
        };
        let outcome = put(&mut handle, &packet(next, now, status), &mut evicted);
        assert_eq!(outcome, Insert::Inserted, "{eviction:?} found nobody");
        if let Some(victim) = evicted.pop() {
            assert!(victim.status.is_evictable());
            let seen = evictable
                .remove(&victim.id.0)
                .expect("the victim was there, and evictable");
            assert_eq!(victim.last_seen, VirtualTime(seen));
            let older = evictable.values().filter(|&&other| other < seen).count();
            count += 1;
            // The first laps only bring the slab into the order of arrival.
            if count > 2 * MAX {
                ranks += older as f64 / evictable.len().max(1) as f64;
            }
        }
        assert!(evicted.is_empty(), "one newcomer, one victim at most");
        if !protected.contains(&next) {
            evictable.insert(next, now);
        }
        next += 1;
    }
    for &id in &protected {
        assert!(holds(&mut handle, id), "an assured connection was evicted");
    }
    ranks / (2 * MAX) as f64
}

#[test]
fn g5_g6_victims_are_old_and_never_assured() {
    use {Disorder as D, Eviction as E};
    // 1/9 = 0.111 is the oldest of eight at random; a fair coin's victims would have 0.5.
    for (eviction, disorder, assured, bound, name) in [
        (E::Clock, D::None, 0.0, 0.01, "clock, flood"),
        (E::Clock, D::None, 0.5, 0.01, "clock, flood, half assured"),
        (E::Clock, D::Churn, 0.5, 0.13, "clock, flood and churn"),
        (E::Clock, D::Refresh, 0.5, 0.13, "clock, flood and refreshes"),
        (E::Clock, D::None, 0.95, 0.02, "clock, flood, 95 % assured"),
        (E::Subtree, D::None, 0.0, 0.16, "subtree, flood"),
        (E::Subtree, D::Refresh, 0.5, 0.16, "subtree, flood and refreshes"),
    ] {
        let rank = mean_age_rank(eviction, &disorder, assured);
        println!("{name}: mean age rank of victims {rank:.4}");
        assert!(rank < bound, "{name}: mean age rank {rank}, bound {bound}");
    }
}

#[test]
fn g6_the_clock_finds_the_one_evictable_connection_within_its_reach() {
    // 4096 slots are what one search covers: the one evictable connection is found whatever its slot.
    const MAX: u32 = 4000;
    for place in [0, 1, 63, 64, 1999, MAX - 1] {
        let table = table(MAX as usize, true, Options::default());
        let mut handle = table.handle();
        for n in 0..MAX {
            let status = if n == place { Status::NEW } else { Status::ASSURED };
            put(&mut handle, &packet(n, 0, status), &mut vec![]);
        }
        let mut evicted = vec![];
        assert_eq!(
            put(&mut handle, &packet(MAX, 1, Status::ASSURED), &mut evicted),
            Insert::Inserted
        );
        assert_eq!(evicted[0].id, ConnectionId(place));
        assert_eq!(
            put(&mut handle, &packet(MAX + 1, 1, Status::NEW), &mut evicted),
            Insert::Full
        );
    }
}

#[test]
fn g5_becoming_assured_protects_from_then_on() {
    for eviction in [Eviction::Clock, Eviction::Subtree] {
        let options = Options {
            eviction,
            ..Options::default()
        };
        let table = table(64, true, options);
        let mut handle = table.handle();
        for n in 0..64 {
            put(&mut handle, &packet(n, 0, Status::NEW), &mut vec![]);
        }
        for n in 0..64 {
            let mut reply = packet(n, 1, Status::ASSURED);
            reply.tuple = reply.tuple.mirrored();
            let hash = handle.hash(&reply.tuple);
            handle.lookup(&reply, hash).unwrap();
        }
        let mut evicted = vec![];
        assert_eq!(
            put(&mut handle, &packet(64, 2, Status::NEW), &mut evicted),
            Insert::Full
        );
        assert!(evicted.is_empty());
    }
}

#[test]
fn expired_connections_go_before_live_ones() {
    for evict in [false, true] {
        let table = table(8, evict, Options::default());
        let mut handle = table.handle();
        for n in 0..8 {
            let mut packet = packet(n, 0, Status::ASSURED);
            packet.timeout_ms = if n == 5 { 10 } else { 1000 };
            put(&mut handle, &packet, &mut vec![]);
        }
        let mut evicted = vec![];
        assert_eq!(
            put(&mut handle, &packet(8, 10, Status::NEW), &mut evicted),
            Insert::Inserted
        );
        assert!(evicted.is_empty(), "an expiry is not an eviction");
        assert!(!holds(&mut handle, 5) && table.len() == 8);
    }
}

#[test]
fn c8_threads_that_evict_each_others_connections_conserve_them() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    for eviction in [Eviction::Clock, Eviction::Subtree] {
        let options = Options {
            root_bits: Some(4),
            eviction,
        };
        let table = table(500, true, options);
        let (inserted, gone) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4u32 {
                let (table, inserted, gone) = (&table, &inserted, &gone);
                scope.spawn(move || {
                    let mut handle = table.handle();
                    let mut random = SplitMix(u64::from(thread));
                    for now in 0..20_000 {
                        let n = u32::try_from(random.below(2000)).unwrap();
                        let mut evicted = vec![];
                        let mut packet = packet(n, now, Status::NEW);
                        packet.timeout_ms = 200;
                        if random.below(3) == 0 {
                            let removed = take(&mut handle, n).is_some();
                            gone.fetch_add(usize::from(removed), Ordering::Relaxed);
                        } else {
                            let outcome = put(&mut handle, &packet, &mut evicted);
                            inserted.fetch_add(usize::from(outcome == Insert::Inserted), Ordering::Relaxed);
                        }
                        assert!(evicted.iter().all(|v| v.status.is_evictable()));
                        gone.fetch_add(evicted.len(), Ordering::Relaxed);
                        if now.is_multiple_of(1000) {
                            gone.fetch_add(handle.expire(VirtualTime(now)), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let mut handle = table.handle();
        let mut shown = HashSet::new();
        handle.dump(&mut DumpCursor::default(), usize::MAX, &mut |d| {
            assert!(shown.insert(d.original));
            assert!(shown.insert(d.reply));
        });
        assert_eq!(shown.len(), 2 * table.len());
        assert_eq!(table.shape().leaves, 2 * table.len());
        // Inserts that met an expired connection gave it back silently, so this is a bound and not an equation.
        let known = inserted.load(Ordering::Relaxed) - gone.load(Ordering::Relaxed);
        assert!(table.len() <= known && table.len() <= 500);
    }
}
