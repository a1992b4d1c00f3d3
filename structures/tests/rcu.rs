//! The `rcu` table: conformance in several configurations, and what is its own (labels `R1`.. of its design
//! header).
#![cfg(not(loom))]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use structures::conformance;
use structures::tables::rcu::{Rcu, RcuHandle, RcuOptions, ReaderBarrier};
use structures::{
    ConnectionId, Direction, DumpCursor, Evicted, EvictionSink, FlowHandle, FlowTable, FoldHasher, Found,
    IgnoreEvictions, Insert, MAX_BATCH, PacketMeta, Sip24Hasher, Sizing, Status, Tuple, TupleHasher,
    VirtualTime,
};

const HOUR_MS: u32 = 3_600_000;
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const NAT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Gives all tuples one bucket and four tags, so that chains are as long as they can be and most tags match
/// falsely.
#[derive(Debug, Clone)]
struct FourTags;

impl TupleHasher for FourTags {
    const NAME: &'static str = "four-tags";

    fn with_seed(_: u64) -> Self {
        Self
    }

    fn hash(&self, tuple: &Tuple) -> u64 {
        u64::from(tuple.src_port() & 3)
    }
}

fn table<H: TupleHasher>(max_connections: usize, evict_when_full: bool, options: RcuOptions) -> Rcu<H> {
    let sizing = Sizing {
        max_connections,
        evict_when_full,
        seed: 7,
    };
    Rcu::new(&sizing, &options).expect("sizes in range")
}

fn plain(max_connections: usize) -> Rcu<FoldHasher> {
    table(max_connections, false, RcuOptions::default())
}

/// Original tuple of connection `n`: client address from the upper bits, port from the lower.
fn original(n: u32) -> Tuple {
    let [.., a, b] = n.to_be_bytes();
    let client = Ipv4Addr::from(u32::from(CLIENT) + (n >> 16 << 8));
    Tuple::v4(17, client, u16::from_be_bytes([a, b]), SERVER, 53)
}

/// Its reply tuple, which is not the mirror: the client is behind NAT.
fn reply(n: u32) -> Tuple {
    let [.., a, b] = n.to_be_bytes();
    let nat = Ipv4Addr::from(u32::from(NAT) + (n >> 16 << 8));
    Tuple::v4(17, SERVER, 53, nat, u16::from_be_bytes([a, b]))
}

fn packet(tuple: Tuple, id: u32, now: u64, timeout_ms: u32) -> PacketMeta {
    PacketMeta {
        tuple,
        now: VirtualTime(now),
        timeout_ms,
        id: ConnectionId(id),
        user: 0,
        set_status: Status::NEW,
        action: 0,
    }
}

fn open<H: TupleHasher>(handle: &mut RcuHandle<'_, H>, n: u32, id: u32, now: u64) -> Insert {
    let tuple = original(n);
    let hash = handle.hash(&tuple);
    handle.insert(
        &packet(tuple, id, now, HOUR_MS),
        &reply(n),
        hash,
        &mut IgnoreEvictions,
    )
}

fn close<H: TupleHasher>(handle: &mut RcuHandle<'_, H>, tuple: &Tuple) -> Option<ConnectionId> {
    let hash = handle.hash(tuple);
    handle.remove(tuple, hash, VirtualTime(1))
}

fn lookup<H: TupleHasher>(handle: &mut RcuHandle<'_, H>, tuple: Tuple) -> Option<Found> {
    let hash = handle.hash(&tuple);
    handle.lookup(&packet(tuple, 0, 1, HOUR_MS), hash)
}

fn found(id: u32, direction: Direction) -> Option<Found> {
    Some(Found {
        id: ConnectionId(id),
        direction,
    })
}

#[test]
fn conformance_by_default() {
    conformance::check::<Rcu<FoldHasher>>(&RcuOptions::default());
}

#[test]
fn conformance_with_fences_and_siphash() {
    conformance::check::<Rcu<Sip24Hasher>>(&RcuOptions {
        reader_barrier: ReaderBarrier::Fence,
        ..RcuOptions::default()
    });
}

/// Far too few home lines: every chain is several lines long.
#[test]
fn conformance_overfull() {
    conformance::check::<Rcu<FoldHasher>>(&RcuOptions {
        tuples_per_line: 60,
        ..RcuOptions::default()
    });
}

/// Far too many: nearly every line holds one link.
#[test]
fn conformance_sparse() {
    conformance::check::<Rcu<FoldHasher>>(&RcuOptions {
        tuples_per_line: 1,
        ..RcuOptions::default()
    });
}

#[test]
fn conformance_with_one_bucket_and_four_tags() {
    conformance::check::<Rcu<FourTags>>(&RcuOptions::default());
}

#[test]
fn options_out_of_range_are_refused() {
    let sizing = Sizing {
        max_connections: 10,
        evict_when_full: false,
        seed: 0,
    };
    for tuples_per_line in [0, 1025] {
        let options = RcuOptions {
            tuples_per_line,
            ..RcuOptions::default()
        };
        let error = Rcu::<FoldHasher>::new(&sizing, &options).unwrap_err();
        assert!(error.to_string().contains("tuples_per_line"), "{error}");
    }
}

/// R1, R2, R4: threads open, close and reopen connections that share few slots, while others look both tuples
/// up. Whatever is found carries the number of the tuple it was found by.
fn churn_beside_readers<H: TupleHasher>(options: RcuOptions) {
    const CONNECTIONS: u32 = 48;
    const WRITERS: u32 = 2;
    const READERS: u32 = 3;
    const ROUNDS: u32 = 40_000;
    // All can be open at once, with next to no slot to spare beyond the slack.
    let table = table::<H>(CONNECTIONS as usize, false, options);
    let (done, hits) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let table = &table;
                scope.spawn(move || {
                    let mut handle = table.handle();
                    for round in 0..ROUNDS {
                        let n = (round * 7 % (CONNECTIONS / WRITERS)) * WRITERS + writer;
                        // The upper bits of the number change with every reopening.
                        let id = round * CONNECTIONS + n;
                        match close(&mut handle, &reply(n)) {
                            Some(closed) => assert_eq!(closed.0 % CONNECTIONS, n),
                            None => assert_eq!(open(&mut handle, n, id, 1), Insert::Inserted),
                        }
                    }
                })
            })
            .collect();
        for reader in 0..READERS {
            let (table, done, hits) = (&table, &done, &hits);
            scope.spawn(move || read_until_done(&mut table.handle(), reader, CONNECTIONS, done, hits));
        }
        for writer in writers {
            writer.join().expect("a writer panicked");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(hits.into_inner() > 0, "the readers never met a connection");
    assert_eq!(count_dumped(&table), table.len());
}

fn read_until_done<H: TupleHasher>(
    handle: &mut RcuHandle<'_, H>,
    reader: u32,
    connections: u32,
    done: &AtomicBool,
    hits: &AtomicU64,
) {
    let check = |n: u32, found: Option<Found>, direction: Direction| {
        let Some(found) = found else { return 0 };
        assert_eq!(
            (found.id.0 % connections, found.direction),
            (n, direction),
            "foreign connection"
        );
        1
    };
    let mut round = reader;
    let mut met = 0;
    while !done.load(Ordering::Relaxed) {
        round = round.wrapping_add(1);
        let n = round % connections;
        met += check(n, lookup(handle, original(n)), Direction::Original);
        met += check(n, lookup(handle, reply(n)), Direction::Reply);
        let batch: Vec<_> = (0..connections.min(32))
            .map(|n| packet(reply(n), 0, 1, HOUR_MS))
            .collect();
        let mut answers = vec![None; batch.len()];
        handle.lookup_batch(&batch, &mut answers);
        for (n, answer) in (0..).zip(answers) {
            met += check(n, answer, Direction::Reply);
        }
    }
    hits.fetch_add(met, Ordering::Relaxed);
}

fn count_dumped<H: TupleHasher>(table: &Rcu<H>) -> usize {
    let (mut cursor, mut shown) = (DumpCursor::default(), 0);
    while !table.handle().dump(&mut cursor, 10, &mut |_| shown += 1) {}
    shown
}

#[test]
fn r1_r2_r4_no_foreign_tuple_under_churn() {
    churn_beside_readers::<FoldHasher>(RcuOptions::default());
}

#[test]
fn r1_r2_r4_no_foreign_tuple_under_churn_with_fences() {
    churn_beside_readers::<FoldHasher>(RcuOptions {
        reader_barrier: ReaderBarrier::Fence,
        ..RcuOptions::default()
    });
}

#[test]
fn r1_r2_r4_no_foreign_tuple_under_churn_in_one_bucket() {
    churn_beside_readers::<FourTags>(RcuOptions::default());
}

/// R3: connections that stay are never missed, though others come and go in the same chains until those
/// shrink and grow.
fn stayers_beside_churn<H: TupleHasher>(tuples_per_line: u32) {
    const STAY: u32 = 32;
    const COME_AND_GO: u32 = 64;
    let options = RcuOptions {
        tuples_per_line,
        ..RcuOptions::default()
    };
    let table = table::<H>((STAY + COME_AND_GO) as usize, false, options);
    let mut handle = table.handle();
    // Interleaved, so that those that stay lie in all lines of their chains.
    for n in 0..STAY + COME_AND_GO {
        assert_eq!(open(&mut handle, n, n, 1), Insert::Inserted);
    }
    let stays = |n: u32| n.is_multiple_of(3);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut handle = table.handle();
                while !done.load(Ordering::Relaxed) {
                    for n in (0..STAY + COME_AND_GO).filter(|&n| stays(n)) {
                        assert_eq!(lookup(&mut handle, original(n)), found(n, Direction::Original));
                        assert_eq!(lookup(&mut handle, reply(n)), found(n, Direction::Reply));
                    }
                }
            });
        }
        for _ in 0..400 {
            for n in (0..STAY + COME_AND_GO).filter(|&n| !stays(n)) {
                assert_eq!(close(&mut handle, &original(n)), Some(ConnectionId(n)));
            }
            for n in (0..STAY + COME_AND_GO).rev().filter(|&n| !stays(n)) {
                assert_eq!(open(&mut handle, n, n, 1), Insert::Inserted);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn r3_no_false_miss_beside_churn() {
    stayers_beside_churn::<FoldHasher>(40);
}

#[test]
fn r3_no_false_miss_beside_churn_in_one_bucket() {
    stayers_beside_churn::<FourTags>(7);
}

/// R5: idle handles hold nothing back, whatever they keep: hundreds of them took and returned slots of a
/// table of eight.
#[test]
fn r5_idle_handles_hold_nothing_back() {
    let table = plain(8);
    let mut idle: Vec<_> = (0..200).map(|_| table.handle()).collect();
    for (n, handle) in (0..).zip(&mut idle) {
        assert_eq!(open(handle, n, n, 1), Insert::Inserted);
        assert!(lookup(handle, original(n)).is_some());
        assert_eq!(close(handle, &original(n)), Some(ConnectionId(n)));
    }
    // All eight, and thousands of times the slack, by one handle while the others stay.
    let mut handle = table.handle();
    for n in 0..8 {
        assert_eq!(open(&mut handle, n, n, 1), Insert::Inserted);
    }
    for n in 8..5_000 {
        assert_eq!(open(&mut handle, n, n, 1), Insert::Full);
        assert_eq!(close(&mut handle, &reply(n - 8)), Some(ConnectionId(n - 8)));
        assert_eq!(open(&mut handle, n, n, 1), Insert::Inserted);
    }
    drop(idle);
    assert_eq!(table.len(), 8);
}

/// R5: more threads than the slack has room for, all at the limit, all the time.
#[test]
fn r5_many_threads_at_the_limit() {
    const THREADS: u32 = 12;
    let table = table::<FoldHasher>(THREADS as usize, true, RcuOptions::default());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let table = &table;
            scope.spawn(move || {
                let mut handle = table.handle();
                for round in 0..3_000 {
                    let n = round * THREADS + thread;
                    assert_ne!(open(&mut handle, n, n, 1), Insert::Duplicate);
                    assert!(table.len() <= 2 * THREADS as usize);
                    lookup(&mut handle, reply(n));
                }
            });
        }
    });
    assert!(table.len() <= THREADS as usize);
    assert_eq!(count_dumped(&table), table.len());
}

/// R6: a dump's sink may use the table, even to take every slot there is.
#[test]
fn r6_a_dump_sink_may_change_the_table() {
    let table = plain(4);
    let (mut dumper, mut writer) = (table.handle(), table.handle());
    for n in 0..4 {
        assert_eq!(open(&mut writer, n, n, 1), Insert::Inserted);
    }
    let mut cursor = DumpCursor::default();
    let mut next = 4;
    while !dumper.dump(&mut cursor, usize::MAX, &mut |shown| {
        // Closes what is shown and goes on until all slots have changed hands several times.
        if shown.id.0 < 4 {
            assert_eq!(close(&mut writer, &shown.reply), Some(shown.id));
            for n in next..next + 2_000 {
                assert_eq!(open(&mut writer, n, n, 1), Insert::Inserted);
                assert_eq!(close(&mut writer, &original(n)), Some(ConnectionId(n)));
            }
            next += 2_000;
        }
    }) {}
    assert_eq!(table.len(), 0);
}

/// An eviction sink that uses the table it is told by.
struct Reenter<'h, 't>(&'h mut RcuHandle<'t, FoldHasher>, u32);

impl EvictionSink for Reenter<'_, '_> {
    fn evicted(&mut self, victim: Evicted) {
        assert_eq!(lookup(self.0, original(victim.id.0)), None, "gone when reported");
        self.1 += 1;
    }
}

#[test]
fn r6_an_eviction_sink_may_use_the_table() {
    let table = table::<FoldHasher>(4, true, RcuOptions::default());
    let (mut handle, mut other) = (table.handle(), table.handle());
    let mut sink = Reenter(&mut other, 0);
    for n in 0..1_000 {
        let tuple = original(n);
        let hash = handle.hash(&tuple);
        let opened = handle.insert(&packet(tuple, n, 1, HOUR_MS), &reply(n), hash, &mut sink);
        assert_eq!(opened, Insert::Inserted);
    }
    assert_eq!(sink.1, 996);
}

/// R8: an expired connection is given back before any live one is evicted, ASSURED or not.
#[test]
fn r8_expired_before_evicted() {
    let table = table::<FoldHasher>(16, true, RcuOptions::default());
    let mut handle = table.handle();
    for n in 0..16 {
        let timeout = if n == 5 { 10 } else { HOUR_MS };
        let tuple = original(n);
        let hash = handle.hash(&tuple);
        let mut opening = packet(tuple, n, 1, timeout);
        if n != 5 {
            opening.set_status = Status::ASSURED;
        }
        assert_eq!(
            handle.insert(&opening, &reply(n), hash, &mut IgnoreEvictions),
            Insert::Inserted
        );
    }
    let mut evictions = Vec::new();
    let tuple = original(100);
    let hash = handle.hash(&tuple);
    let opened = handle.insert(
        &packet(tuple, 100, 100, HOUR_MS),
        &reply(100),
        hash,
        &mut evictions,
    );
    assert_eq!((opened, evictions), (Insert::Inserted, vec![]));
    assert_eq!((lookup(&mut handle, original(5)), table.len()), (None, 16));
}

/// R8: victims are old. Of 4096 evictable connections of evenly spread age, the mean victim of 200 evictions
/// lies in the oldest tenth: the oldest of some 30 candidates is expected at a 31st.
#[test]
fn r8_victims_are_old() {
    const FULL: u32 = 4096;
    let table = table::<FoldHasher>(FULL as usize, true, RcuOptions::default());
    let mut handle = table.handle();
    for n in 0..FULL {
        assert_eq!(open(&mut handle, n, n, n.into()), Insert::Inserted);
    }
    let mut evictions: Vec<Evicted> = Vec::new();
    for n in FULL..FULL + 200 {
        let tuple = original(n);
        let hash = handle.hash(&tuple);
        let newcomer = packet(tuple, n, FULL.into(), HOUR_MS);
        assert_eq!(
            handle.insert(&newcomer, &reply(n), hash, &mut evictions),
            Insert::Inserted
        );
    }
    assert_eq!(evictions.len(), 200);
    let mean = evictions.iter().map(|e| e.last_seen.0).sum::<u64>() / 200;
    assert!(
        mean < u64::from(FULL) / 10,
        "mean victim was seen at {mean} of {FULL}"
    );
}

/// R8: with one evictable connection among ASSURED ones, a small table finds it every time.
#[test]
fn r8_the_only_evictable_one_is_found() {
    let table = table::<FoldHasher>(100, true, RcuOptions::default());
    let mut handle = table.handle();
    let mut insert = |n: u32, status: Status| {
        let tuple = original(n);
        let hash = handle.hash(&tuple);
        let opening = PacketMeta {
            set_status: status,
            ..packet(tuple, n, 1, HOUR_MS)
        };
        let mut evictions = Vec::new();
        let opened = handle.insert(&opening, &reply(n), hash, &mut evictions);
        (opened, evictions.first().map(|e| e.id.0))
    };
    for n in 0..99 {
        assert_eq!(insert(n, Status::ASSURED), (Insert::Inserted, None));
    }
    assert_eq!(insert(99, Status::NEW), (Insert::Inserted, None));
    for n in 100..300 {
        assert_eq!(insert(n, Status::NEW), (Insert::Inserted, Some(n - 1)));
    }
    assert_eq!(insert(300, Status::ASSURED), (Insert::Inserted, Some(299)));
    assert_eq!(insert(301, Status::NEW), (Insert::Full, None));
}

/// Batches of any length answer as single lookups do, longer ones than the contract's limit too.
#[test]
fn batches_of_any_length() {
    let table = plain(1000);
    let mut handle = table.handle();
    for n in 0..500 {
        assert_eq!(open(&mut handle, n, n, 1), Insert::Inserted);
    }
    for length in [0, 1, MAX_BATCH - 1, MAX_BATCH, MAX_BATCH + 1, 5 * MAX_BATCH + 3] {
        let packets: Vec<_> = (0..u32::try_from(length).unwrap())
            .map(|i| i * 37 % 1000)
            .map(|n| packet(if n % 2 == 0 { original(n) } else { reply(n) }, 0, 1, HOUR_MS))
            .collect();
        let mut answers = vec![found(9999, Direction::Original); length];
        handle.lookup_batch(&packets, &mut answers);
        let single: Vec<_> = packets.iter().map(|p| lookup(&mut handle, p.tuple)).collect();
        assert_eq!(answers, single);
    }
}

/// Counters tell what the answers do not: overflow lines made, false matches and overflow lines walked.
#[cfg(feature = "counters")]
#[test]
fn counters_count() {
    let table = table::<FourTags>(100, false, RcuOptions::default());
    let mut handle = table.handle();
    for n in 0..50 {
        assert_eq!(open(&mut handle, n, n, 1), Insert::Inserted);
    }
    assert_eq!(open(&mut handle, 7, 7, 1), Insert::Duplicate);
    assert!(lookup(&mut handle, reply(49)).is_some());
    assert!(close(&mut handle, &original(3)).is_some());
    let counters = handle.counters();
    assert_eq!((counters.insert, counters.insert_failed), (50, 1));
    assert_eq!((counters.found, counters.delete), (1, 1));
    // 100 links in lines of twelve.
    assert_eq!(counters.resize, 8);
    assert!(counters.extra_probes > 50);
}

/// A table filled to its limit with the default load stays near the bytes per connection that its header
/// states.
#[test]
fn memory_is_as_stated() {
    const FULL: u32 = 1 << 16;
    let table = plain(FULL as usize);
    let mut handle = table.handle();
    for n in 0..FULL {
        assert_eq!(open(&mut handle, n, n, 1), Insert::Inserted);
    }
    let per_connection = table.memory_bytes() / FULL as usize;
    assert!((146..=154).contains(&per_connection), "{per_connection}");
}
