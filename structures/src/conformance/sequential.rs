//! Parts that one thread runs: random operations, expiry, duplicates, touches, conservation, batches.

use super::driver::{Company, Driver};
use super::pool::numbered;
use super::{At, LONG_MS, Mixer, build, dump_all, insert, lookup, packet, remove, sizing};
use crate::table::{
    ConnectionId, Dumped, Evicted, FlowHandle, FlowTable, Found, Insert, MAX_BATCH, PacketMeta, Sizing,
    Status, VirtualTime,
};
use crate::tuple::{Direction, Tuple};

/// One world for [`c1_random_operations`].
struct World {
    max_connections: usize,
    pool: usize,
    steps: usize,
}

/// From "one connection" over "always full" to "never full". The last one makes more than 20,000 successful inserts on
/// one table, so that a fault that strikes once in 10,000 shows.
const WORLDS: [World; 6] = [
    World {
        max_connections: 1,
        pool: 8,
        steps: 2_000,
    },
    World {
        max_connections: 7,
        pool: 40,
        steps: 4_000,
    },
    World {
        max_connections: 64,
        pool: 300,
        steps: 10_000,
    },
    World {
        max_connections: 500,
        pool: 2_000,
        steps: 20_000,
    },
    World {
        max_connections: 1_000,
        pool: 300,
        steps: 20_000,
    },
    World {
        max_connections: 5_000,
        pool: 8_000,
        steps: 90_000,
    },
];

/// Opens, hits, misses, batches, closes, expiries and a moving clock at random, compared with a model after each step.
///
/// # Panics
/// Where an answer differs from the model's.
pub fn c1_random_operations<T: FlowTable>(options: &T::Options) {
    for (i, world) in WORLDS.iter().enumerate() {
        for evict_when_full in [false, true] {
            // Never full: eviction can't matter.
            if evict_when_full && world.max_connections > world.pool {
                continue;
            }
            let seed = 0xc1 + ((i as u64) << 8) + (u64::from(evict_when_full) << 16);
            let sizing = sizing(world.max_connections, evict_when_full, seed);
            let table = build::<T>(options, &sizing);
            let at = At::new::<T>("C1 random operations", options, &sizing);
            let mut driver = Driver::new(at, sizing, world.pool, 0, Company::Alone);
            // In pieces, each with a handle of its own.
            for _ in 0..4 {
                let mut handle = table.handle();
                driver.run(&table, &mut handle, world.steps / 4);
                driver.finish(&table, &mut handle);
            }
        }
    }
}

/// A small table, a handle, a clock: what the directed parts below work with.
struct Bench<'t, T: FlowTable> {
    at: At,
    table: &'t T,
    handle: T::Handle<'t>,
}

/// Runs `part` on a fresh table.
fn on_table<T: FlowTable>(
    part: &'static str,
    options: &T::Options,
    sizing: &Sizing,
    run: impl FnOnce(&mut Bench<'_, T>),
) {
    let table = build::<T>(options, sizing);
    let at = At::new::<T>(part, options, sizing);
    let handle = table.handle();
    run(&mut Bench {
        at,
        table: &table,
        handle,
    });
}

impl<T: FlowTable> Bench<'_, T> {
    fn insert(&mut self, packet: &PacketMeta, reply: &Tuple, expected: Insert) {
        self.at.step += 1;
        let mut victims = Vec::new();
        let got = insert(&mut self.handle, packet, reply, &mut victims);
        let op = format_args!("insert {} / {reply} at {}", packet.tuple, packet.now.0);
        self.at.same(op, expected, got);
        self.at.same(op, Vec::<Evicted>::new(), victims);
    }

    /// Finds, with a touch that keeps the connection as long as it would have lived: `timeout_ms` counts from `now`.
    fn lookup(&mut self, packet: &PacketMeta, expected: Option<(u32, Direction)>) {
        self.at.step += 1;
        let expected = expected.map(|(id, direction)| Found {
            id: ConnectionId(id),
            direction,
        });
        let got = lookup(&mut self.handle, packet);
        self.at.same(
            format_args!("lookup {} at {}", packet.tuple, packet.now.0),
            expected,
            got,
        );
    }

    fn remove(&mut self, tuple: &Tuple, now: u64, expected: Option<u32>) {
        self.at.step += 1;
        let got = remove(&mut self.handle, tuple, now).map(|id| id.0);
        self.at
            .same(format_args!("remove {tuple} at {now}"), expected, got);
    }

    fn expire(&mut self, now: u64, expected_gone: usize, expected_len: usize) {
        self.at.step += 1;
        let gone = self.handle.expire(VirtualTime(now));
        let got = (gone, self.table.len());
        self.at.same(
            format_args!("(expire at {now}, len)"),
            (expected_gone, expected_len),
            got,
        );
    }

    fn dump(&mut self) -> Vec<Dumped> {
        let mut shown = dump_all(&self.at, &mut self.handle, 3, |_| ());
        shown.sort_by_key(|line| line.id);
        shown
    }
}

const NEW: Status = Status::NEW;

/// A connection is there one millisecond before its time and gone at it: for lookups from both sides, batches, removes, inserts
/// and expiry.
///
/// # Panics
/// Where the table finds an expired connection, or misses a live one.
pub fn c2_expired_is_absent<T: FlowTable>(options: &T::Options) {
    let (a, ra) = numbered(0, 1);
    let (b, rb) = numbered(0, 2);
    let part = "C2 expired is absent";
    for asked in [a, ra] {
        on_table::<T>(part, options, &sizing(4, true, 0xc2), |t| {
            t.insert(&packet(a, 1, 100, 50, NEW), &ra, Insert::Inserted);
            let expected = if asked == a {
                Direction::Original
            } else {
                Direction::Reply
            };
            t.lookup(&packet(asked, 0, 149, 1, NEW), Some((1, expected)));
            t.lookup(&packet(asked, 0, 150, 50, NEW), None);
            t.remove(&asked, 150, None);
            let mut got = [None; 3];
            let packets = [
                packet(ra, 0, 150, 9, NEW),
                packet(a, 0, 150, 9, NEW),
                packet(b, 0, 150, 9, NEW),
            ];
            t.handle.lookup_batch(&packets, &mut got);
            t.at.same(format_args!("batch over expired connections"), [None; 3], got);
            // Gone for the newcomer in the same direction, and turned around.
            t.insert(
                &packet(asked, 2, 150, 50, NEW),
                if asked == a { &ra } else { &a },
                Insert::Inserted,
            );
            t.lookup(&packet(asked, 0, 160, 50, NEW), Some((2, Direction::Original)));
            t.handle.expire(VirtualTime(209));
            t.at.same(format_args!("len after expire"), 1, t.table.len());
            t.lookup(&packet(asked, 0, 209, 1, NEW), Some((2, Direction::Original)));
            t.expire(210, 1, 0);
        });
    }
    on_table::<T>(part, options, &sizing(8, false, 0xc2), |t| {
        t.insert(&packet(a, 1, 0, 50, NEW), &ra, Insert::Inserted);
        t.insert(&packet(b, 2, 0, 51, NEW), &rb, Insert::Inserted);
        t.expire(49, 0, 2);
        t.expire(50, 1, 1);
        t.lookup(&packet(b, 0, 50, 60, NEW), Some((2, Direction::Original)));
        t.expire(109, 0, 1);
        t.expire(110, 1, 0);
        // A newcomer takes one tuple of an expired connection; the other one stays absent, now and after expiry.
        t.insert(&packet(a, 3, 200, 10, NEW), &ra, Insert::Inserted);
        t.insert(&packet(b, 4, 210, 100, NEW), &ra, Insert::Inserted);
        t.lookup(&packet(a, 0, 210, 100, NEW), None);
        t.lookup(&packet(ra, 0, 210, 100, NEW), Some((4, Direction::Reply)));
        t.handle.expire(VirtualTime(211));
        t.lookup(&packet(ra, 0, 211, 100, NEW), Some((4, Direction::Reply)));
        t.remove(&ra, 211, Some(4));
        t.lookup(&packet(b, 0, 211, 100, NEW), None);
        t.expire(211, 0, 0);
        // A timeout of zero: inserted, and absent at once.
        t.insert(&packet(a, 5, 300, 0, NEW), &ra, Insert::Inserted);
        t.lookup(&packet(ra, 0, 300, 100, NEW), None);
        t.insert(&packet(a, 6, 300, 1, NEW), &ra, Insert::Inserted);
        t.lookup(&packet(ra, 0, 300, 0, NEW), Some((6, Direction::Reply)));
        t.lookup(&packet(a, 0, 300, 100, NEW), None);
    });
    for evict in [false, true] {
        on_table::<T>(part, options, &sizing(1, evict, 0xc2), |t| {
            for round in 0..100 {
                // At the limit: what makes room is the expired connection with the same tuples.
                t.insert(
                    &packet(a, round, u64::from(round) * 10, 10, Status::ASSURED),
                    &ra,
                    Insert::Inserted,
                );
            }
        });
    }
}

/// Every way two connections can share a tuple, in a table with room and in a full one that evicts.
///
/// # Panics
/// Where a duplicate is let in, evicts, or leaves half of itself behind.
pub fn c3_duplicates_change_nothing<T: FlowTable>(options: &T::Options) {
    let (a, ra) = numbered(0, 1);
    let (c, d) = numbered(0, 2);
    let attempts = [
        ("original meets original", a, c),
        ("original meets reply", ra, c),
        ("reply meets original", c, a),
        ("reply meets reply", c, ra),
        ("both, same way", a, ra),
        ("both, turned around", ra, a),
    ];
    for (max, evict) in [(8, false), (8, true), (1, false), (1, true)] {
        let part = "C3 duplicates change nothing";
        on_table::<T>(part, options, &sizing(max, evict, 0xc3), |t| {
            t.insert(&packet(a, 1, 10, 500, NEW), &ra, Insert::Inserted);
            let before = t.dump();
            for (how, original, reply) in attempts {
                t.at.step += 1;
                let mut victims = Vec::new();
                let status = Status::SEEN_REPLY;
                let got = insert(
                    &mut t.handle,
                    &packet(original, 2, 20, 900, status),
                    &reply,
                    &mut victims,
                );
                let op = format_args!("insert of {original} / {reply}: {how}");
                t.at.same(op, (Insert::Duplicate, Vec::new()), (got, victims));
                let after = t.dump();
                t.at.same(op, (1, &before), (t.table.len(), &after));
                t.lookup(&packet(c, 0, 20, 100, NEW), None);
                t.lookup(&packet(d, 0, 20, 100, NEW), None);
                t.lookup(&packet(a, 0, 10, 500, NEW), Some((1, Direction::Original)));
                t.lookup(&packet(ra, 0, 10, 500, NEW), Some((1, Direction::Reply)));
            }
            t.remove(&ra, 20, Some(1));
            t.insert(&packet(ra, 3, 20, 500, NEW), &a, Insert::Inserted);
            t.lookup(&packet(a, 0, 20, 500, NEW), Some((3, Direction::Reply)));
        });
    }
}

/// Hits from either side move `expires` and `last_seen` and add status, seen by dump, expiry and eviction.
///
/// # Panics
/// Where a hit leaves no trace, or a miss does.
pub fn c5_a_hit_touches<T: FlowTable>(options: &T::Options) {
    let (a, ra) = numbered(0, 1);
    let (b, rb) = numbered(0, 2);
    let part = "C5 a hit touches";
    on_table::<T>(part, options, &sizing(8, true, 0xc5), |t| {
        t.insert(&packet(a, 1, 0, 10, NEW), &ra, Insert::Inserted);
        t.insert(&packet(b, 2, 0, 1000, NEW), &rb, Insert::Inserted);
        t.lookup(&packet(a, 0, 9, 10, NEW), Some((1, Direction::Original)));
        t.lookup(
            &packet(ra, 0, 18, 10, Status::SEEN_REPLY),
            Some((1, Direction::Reply)),
        );
        t.lookup(
            &packet(a, 0, 27, 100, Status::ASSURED),
            Some((1, Direction::Original)),
        );
        t.lookup(&packet(a, 0, 30, 500, NEW), Some((1, Direction::Original)));
        let line = |id, original, reply, status, expires| Dumped {
            id: ConnectionId(id),
            original,
            reply,
            status,
            expires: VirtualTime(expires),
        };
        let both = Status::SEEN_REPLY.with(Status::ASSURED);
        let expected = vec![line(1, a, ra, both, 530), line(2, b, rb, NEW, 1000)];
        let got = t.dump();
        t.at.same(
            format_args!("dump: status is added, expires follows the last packet"),
            expected,
            got,
        );
        // A shorter timeout shortens.
        t.lookup(&packet(ra, 0, 40, 5, NEW), Some((1, Direction::Reply)));
        t.expire(44, 0, 2);
        t.expire(45, 1, 1);
        t.lookup(&packet(rb, 0, 45, 955, NEW), Some((2, Direction::Reply)));
    });
    if !T::INFO.evicts {
        return;
    }
    for (direction, asked, batched) in [
        (Direction::Original, a, false),
        (Direction::Reply, ra, false),
        (Direction::Original, a, true),
        (Direction::Reply, ra, true),
    ] {
        on_table::<T>(part, options, &sizing(1, true, 0xc5), |t| {
            t.insert(&packet(a, 1, 0, LONG_MS, NEW), &ra, Insert::Inserted);
            let hit = packet(asked, 0, 7, LONG_MS, Status::ASSURED);
            if batched {
                let mut found = [None];
                t.handle.lookup_batch(&[hit], &mut found);
                let expected = Some(Found {
                    id: ConnectionId(1),
                    direction,
                });
                t.at.same(format_args!("batch of one: {asked}"), [expected], found);
            } else {
                t.lookup(&hit, Some((1, direction)));
            }
            t.insert(&packet(b, 2, 8, LONG_MS, NEW), &rb, Insert::Full);
        });
    }
}

/// Inserted - removed - evicted - expired = length, over many rounds at the limit.
///
/// # Panics
/// Where the sums differ.
pub fn c6_conservation<T: FlowTable>(options: &T::Options) {
    let sizing = sizing(200, true, 0xc6);
    on_table::<T>("C6 conservation", options, &sizing, |t| {
        let mut rng = Mixer::new(sizing.seed);
        let (mut inserted, mut removed, mut evicted, mut expired) = (0usize, 0, 0, 0);
        let mut victims = Vec::new();
        for n in 0..20_000u32 {
            t.at.step += 1;
            let now = u64::from(n / 100);
            if n % 100 == 0 {
                // First thing at the new time, so that nothing can have been given back on the way.
                expired += t.handle.expire(VirtualTime(now));
            }
            let (original, reply) = numbered(0, u32::try_from(rng.below(400)).unwrap_or(0));
            if rng.percent(70) {
                let status = if rng.percent(30) { Status::ASSURED } else { NEW };
                let timeout_ms = 1 + u32::try_from(rng.below(8)).unwrap_or(0);
                victims.clear();
                let got = insert(
                    &mut t.handle,
                    &packet(original, n, now, timeout_ms, status),
                    &reply,
                    &mut victims,
                );
                inserted += usize::from(got == Insert::Inserted);
                evicted += victims.len();
            } else {
                removed += usize::from(remove(&mut t.handle, &reply, now).is_some());
            }
            let op = format_args!(
                "{inserted} inserted - {removed} removed - {evicted} evicted - {expired} expired = len"
            );
            t.at.same(op, inserted - removed - evicted - expired, t.table.len());
        }
    });
}

/// Handles are dropped with whatever they cached; the next one finds all capacity again.
///
/// # Panics
/// Where an insert below the limit is refused.
pub fn c6_handles_come_and_go<T: FlowTable>(options: &T::Options) {
    let sizing = sizing(300, false, 0xc6);
    let table = build::<T>(options, &sizing);
    let mut at = At::new::<T>("C6 handles come and go", options, &sizing);
    for round in 0..30u32 {
        let mut handle = table.handle();
        for n in 0..300 {
            at.step += 1;
            let (original, reply) = numbered(0, n);
            let packet = packet(original, n, u64::from(round), LONG_MS, NEW);
            let got = insert(&mut handle, &packet, &reply, &mut Vec::new());
            at.same(
                format_args!("insert {n} of 300 by handle {round}"),
                Insert::Inserted,
                got,
            );
            if n % 32 == 0 {
                handle.quiescent();
            }
        }
        drop(handle);
        let mut handle = table.handle();
        for n in 0..300 {
            let (original, reply) = numbered(0, n);
            let got = remove(
                &mut handle,
                if n % 2 == 0 { &original } else { &reply },
                u64::from(round),
            );
            at.same(
                format_args!("remove {n} of 300 after handle {round}"),
                Some(ConnectionId(n)),
                got,
            );
        }
        at.same(format_args!("len after round {round}"), 0, table.len());
    }
}

/// Two tables with the same connections, one asked in batches of every size, one packet by packet: same answers, same
/// state after.
///
/// # Panics
/// Where they differ.
pub fn batch_equals_single<T: FlowTable>(options: &T::Options) {
    let sizing = sizing(64, false, 0xba);
    let (one, other) = (build::<T>(options, &sizing), build::<T>(options, &sizing));
    let mut at = At::new::<T>("batch equals single", options, &sizing);
    let (mut batched, mut single) = (one.handle(), other.handle());
    let mut rng = Mixer::new(sizing.seed);
    for n in 0..40 {
        let (original, reply) = numbered(0, n);
        for handle in [&mut batched, &mut single] {
            let opened = packet(original, n, 0, 60 + n * 4, NEW);
            let got = insert(handle, &opened, &reply, &mut Vec::new());
            at.same(format_args!("insert {n}"), Insert::Inserted, got);
        }
    }
    for (round, size) in (0..4 * (MAX_BATCH + 1)).map(|i| (i, i % (MAX_BATCH + 1))) {
        at.step += 1;
        let packets: Vec<_> = (0..size)
            .map(|i| {
                // 50 of which 40 exist; a few are asked twice in one batch, and a touch of zero ends a connection.
                let (original, reply) = numbered(0, u32::try_from(rng.below(50)).unwrap_or(0));
                let tuple = if rng.percent(50) { original } else { reply };
                let timeout_ms = if rng.percent(2) { 0 } else { 150 };
                packet(
                    tuple,
                    0,
                    (round * 2 + i / 16) as u64,
                    timeout_ms,
                    *rng.pick(&[NEW, Status::SEEN_REPLY]),
                )
            })
            .collect();
        let never = Found {
            id: ConnectionId(u32::MAX),
            direction: Direction::Reply,
        };
        let mut got = vec![Some(never); size];
        batched.lookup_batch(&packets, &mut got);
        let expected: Vec<_> = packets.iter().map(|packet| lookup(&mut single, packet)).collect();
        at.same(
            format_args!("batch of {size} against single lookups"),
            expected,
            got,
        );
    }
    let sorted = |mut shown: Vec<Dumped>| {
        shown.sort_by_key(|line| line.id);
        shown
    };
    let now = VirtualTime(4 * (MAX_BATCH as u64 + 1) * 2);
    let (gone, expected_gone) = (batched.expire(now), single.expire(now));
    at.holds(
        format_args!("expire after batches"),
        gone <= 40 && expected_gone <= 40,
        "at most all 40",
        &gone,
    );
    let expected = sorted(dump_all(&at, &mut single, 7, |_| ()));
    let got = sorted(dump_all(&at, &mut batched, 7, |_| ()));
    at.same(
        format_args!("dump after batches against dump after single lookups"),
        expected,
        got,
    );
}
