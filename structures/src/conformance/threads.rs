//! Parts that several threads run at once.

use super::driver::{Company, Driver};
use super::pool::numbered;
use super::{At, LONG_MS, Mixer, build, insert, lookup, packet, remove, sizing};
use crate::sync::{AtomicUsize, Ordering, thread};
use crate::table::{ConnectionId, FlowHandle, FlowTable, Found, Insert, Status, VirtualTime};
use crate::tuple::Direction;

/// Threads of the parts that take any number.
const THREADS: usize = 4;

/// Holds threads until all have arrived, so that short runs overlap.
#[derive(Debug)]
pub(super) struct StartLine(AtomicUsize);

impl StartLine {
    pub(super) fn new(threads: usize) -> Self {
        Self(AtomicUsize::new(threads))
    }

    pub(super) fn wait(&self) {
        // AcqRel: pairs with itself; no thread runs ahead of another's preparations.
        self.0.fetch_sub(1, Ordering::AcqRel);
        // Acquire: pairs with the AcqRel above.
        while self.0.load(Ordering::Acquire) != 0 {
            thread::yield_now();
        }
    }
}

/// Says when those who set the length of a run are done; a panic counts as done, so that nobody waits forever.
#[derive(Debug)]
pub(super) struct Running(AtomicUsize);

#[derive(Debug)]
pub(super) struct One<'r>(&'r Running);

impl Running {
    pub(super) fn new(threads: usize) -> Self {
        Self(AtomicUsize::new(threads))
    }

    pub(super) fn one(&self) -> One<'_> {
        One(self)
    }

    pub(super) fn any(&self) -> bool {
        // Relaxed: a late look costs one more round.
        self.0.load(Ordering::Relaxed) != 0
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        // Relaxed: see any().
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs each closure on its own thread; the first panic is passed on with its message.
pub(super) fn start_together(work: &[&(dyn Fn() + Sync)]) {
    thread::scope(|scope| {
        let threads: Vec<_> = work.iter().map(|run| scope.spawn(run)).collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        for result in results {
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Random operations on connections of each thread's own, in epochs of standing virtual time: every answer is exact, and
/// the sums are right after.
///
/// # Panics
/// Where one thread's operations show in another's answers.
pub fn c8_disjoint_connections<T: FlowTable>(options: &T::Options) {
    const POOL: usize = 600;
    let sizing = sizing(THREADS * POOL, false, 0xc8);
    let table = build::<T>(options, &sizing);
    let mut drivers: Vec<Driver> = (0..THREADS)
        .map(|i| {
            let at = At::new::<T>("C8 disjoint connections", options, &sizing);
            let realm = u8::try_from(i + 1).unwrap_or(u8::MAX);
            Driver::new(at, sizing, POOL, realm, Company::Others)
        })
        .collect();
    for epoch in 1..=6 {
        let line = StartLine::new(THREADS);
        drivers.iter_mut().for_each(|driver| driver.set_clock(epoch * 60));
        thread::scope(|scope| {
            let threads: Vec<_> = (drivers.iter_mut())
                .map(|driver| {
                    let (table, line) = (&table, &line);
                    scope.spawn(move || {
                        let mut handle = table.handle();
                        line.wait();
                        driver.run(table, &mut handle, 4_000);
                    })
                })
                .collect();
            for thread in threads {
                if let Err(panic) = thread.join() {
                    std::panic::resume_unwind(panic);
                }
            }
        });
        let mut handle = table.handle();
        handle.expire(VirtualTime(epoch * 60));
        let live = drivers.iter().map(|driver| driver.model.live()).sum();
        let op = format_args!("len after epoch {epoch}, all expired given back");
        drivers[0].at.same(op, live, table.len());
        drivers
            .iter_mut()
            .for_each(|driver| driver.model.forget_expired());
        let shown = super::dump_all(&drivers[0].at, &mut handle, 50, |_| ());
        for line in &shown {
            let known = drivers.iter().find_map(|driver| driver.model.known(line.id));
            let expected = known.map(|k| (k.original, k.reply, k.status, k.expires));
            let got = Some((line.original, line.reply, line.status, line.expires));
            drivers[0]
                .at
                .same(format_args!("dump after epoch {epoch}: {line:?}"), expected, got);
        }
        drivers[0].at.same(
            format_args!("lines of the dump after epoch {epoch}"),
            live,
            shown.len(),
        );
    }
}

/// Two threads look up both directions of the same connections while two others open, close, and, in the second run,
/// evict: those looked up are found every time.
///
/// # Panics
/// Where a connection that is present all the time is missed or mistaken.
pub fn c8_both_directions<T: FlowTable>(options: &T::Options) {
    const STAYING: u32 = 100;
    const PASSING: usize = 200;
    for evict in [false, true] {
        // With eviction on, the passing ones fight for half of the room they'd need.
        let room = if evict { PASSING / 2 } else { 2 * PASSING };
        let sizing = sizing(STAYING as usize + room, evict, 0xc8);
        let table = build::<T>(options, &sizing);
        let at = At::new::<T>("C8 both directions", options, &sizing);
        {
            let mut handle = table.handle();
            for n in 0..STAYING {
                let (original, reply) = numbered(0, n);
                let packet = packet(original, n, 0, LONG_MS, Status::ASSURED);
                let got = insert(&mut handle, &packet, &reply, &mut Vec::new());
                at.same(
                    format_args!("insert of {n}, which is to stay"),
                    Insert::Inserted,
                    got,
                );
            }
        }
        let (line, running) = (StartLine::new(4), Running::new(2));
        let read = |direction: Direction| {
            let _done = running.one();
            let mut handle = table.handle();
            line.wait();
            for round in 0..300 {
                read_all(&at, &mut handle, STAYING, direction, round % 2 == 0);
                handle.quiescent();
            }
        };
        let churn = |realm: u8| {
            let (mut handle, mut rng) = (table.handle(), Mixer::new(u64::from(realm)));
            line.wait();
            while running.any() {
                for _ in 0..32 {
                    let n = u32::try_from(rng.below(PASSING)).unwrap_or(0);
                    let (original, reply) = numbered(realm, n);
                    let id = (u32::from(realm) << 24) + n;
                    insert(
                        &mut handle,
                        &packet(original, id, 0, LONG_MS, Status::NEW),
                        &reply,
                        &mut Vec::new(),
                    );
                    let (closed, _) = numbered(realm, u32::try_from(rng.below(PASSING)).unwrap_or(0));
                    remove(&mut handle, &closed, 0);
                }
                handle.quiescent();
            }
        };
        start_together(&[
            &|| read(Direction::Original),
            &|| read(Direction::Reply),
            &|| churn(1),
            &|| churn(2),
        ]);
        let mut handle = table.handle();
        read_all(&at, &mut handle, STAYING, Direction::Reply, true);
        let shown = super::dump_all(&at, &mut handle, 50, |_| ());
        at.same(
            format_args!("lines of a dump after all threads"),
            table.len(),
            shown.len(),
        );
    }
}

/// Looks up one direction of all connections below `n`, singly or in batches of 20.
fn read_all<H: FlowHandle>(at: &At, handle: &mut H, n: u32, direction: Direction, batched: bool) {
    let packets: Vec<_> = (0..n)
        .map(|n| {
            let (original, reply) = numbered(0, n);
            let tuple = if direction == Direction::Original {
                original
            } else {
                reply
            };
            packet(tuple, 0, 0, LONG_MS, Status::SEEN_REPLY)
        })
        .collect();
    let mut found = vec![None; packets.len()];
    for (packets, found) in packets.chunks(20).zip(found.chunks_mut(20)) {
        if batched {
            handle.lookup_batch(packets, found);
        } else {
            for (packet, found) in packets.iter().zip(found) {
                *found = lookup(handle, packet);
            }
        }
    }
    for (id, got) in (0..n).map(ConnectionId).zip(found) {
        let op = format_args!("lookup of {id:?} from {direction:?} beside churn, batched: {batched}");
        at.same(op, Some(Found { id, direction }), got);
    }
}

/// All threads open the same connections at once, half of them turned around, and then close them at once: one wins each
/// time.
///
/// # Panics
/// Where two win, or nobody.
pub fn c8_racing_inserts<T: FlowTable>(options: &T::Options) {
    const CONNECTIONS: u32 = 3_000;
    let sizing = sizing(CONNECTIONS as usize, false, 0xc8);
    let table = build::<T>(options, &sizing);
    let at = At::new::<T>("C8 racing inserts", options, &sizing);
    let (opened, closed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let line = StartLine::new(THREADS);
    let open = |turned: bool| {
        let mut handle = table.handle();
        line.wait();
        for n in 0..CONNECTIONS {
            let (original, reply) = numbered(0, n);
            let (original, reply) = if turned {
                (reply, original)
            } else {
                (original, reply)
            };
            let packet = packet(original, n, 0, LONG_MS, Status::NEW);
            let got = insert(&mut handle, &packet, &reply, &mut Vec::new());
            let op = format_args!("insert {n}, turned around: {turned}, beside others' inserts of the same");
            at.holds(op, got != Insert::Full, "Inserted or Duplicate", &got);
            // Relaxed: read after the threads were joined.
            opened.fetch_add(usize::from(got == Insert::Inserted), Ordering::Relaxed);
            if n % 32 == 0 {
                handle.quiescent();
            }
        }
    };
    start_together(&[&|| open(false), &|| open(true), &|| open(false), &|| open(true)]);
    let op = format_args!("(winners, len) after {THREADS} threads inserted the same connections");
    // Relaxed: the threads were joined.
    at.same(
        op,
        (CONNECTIONS as usize, CONNECTIONS as usize),
        (opened.load(Ordering::Relaxed), table.len()),
    );
    let line = StartLine::new(THREADS);
    let close = |turned: bool| {
        let mut handle = table.handle();
        line.wait();
        for n in 0..CONNECTIONS {
            let (original, reply) = numbered(0, n);
            let got = remove(&mut handle, if turned { &reply } else { &original }, 0);
            at.holds(
                format_args!("remove {n}"),
                got.is_none_or(|id| id.0 == n),
                "its id or none",
                &got,
            );
            // Relaxed: read after the threads were joined.
            closed.fetch_add(usize::from(got.is_some()), Ordering::Relaxed);
        }
    };
    start_together(&[&|| close(false), &|| close(true), &|| close(false), &|| {
        close(true);
    }]);
    let op = format_args!("(winners, len) after {THREADS} threads removed the same connections");
    // Relaxed: the threads were joined.
    at.same(
        op,
        (CONNECTIONS as usize, 0),
        (closed.load(Ordering::Relaxed), table.len()),
    );
}

/// Threads push more connections in than fit, with eviction and without: the limit holds and the sums are right.
///
/// # Panics
/// Where they are not.
pub fn c8_limit_holds<T: FlowTable>(options: &T::Options) {
    const EACH: u32 = 2_000;
    for evict in [false, true] {
        let sizing = sizing(1_000, evict, 0xc8);
        let table = build::<T>(options, &sizing);
        let at = At::new::<T>("C8 limit holds", options, &sizing);
        let (inserted, gone) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let line = StartLine::new(THREADS);
        let push = |realm: u8| {
            let (mut handle, mut victims, mut entered) = (table.handle(), Vec::new(), 0);
            line.wait();
            for n in 0..EACH {
                let (original, reply) = numbered(realm, n);
                let id = (u32::from(realm) << 24) + n;
                let packet = packet(original, id, 0, LONG_MS, Status::NEW);
                entered +=
                    usize::from(insert(&mut handle, &packet, &reply, &mut victims) == Insert::Inserted);
                handle.quiescent();
            }
            // Relaxed: read after the threads were joined.
            inserted.fetch_add(entered, Ordering::Relaxed);
            // Relaxed: as above.
            gone.fetch_add(victims.len(), Ordering::Relaxed);
        };
        start_together(&[&|| push(1), &|| push(2), &|| push(3), &|| push(4)]);
        // Relaxed: the threads were joined.
        let (inserted, gone) = (inserted.load(Ordering::Relaxed), gone.load(Ordering::Relaxed));
        let op = format_args!("{inserted} inserted by {THREADS} threads, {gone} evicted");
        at.same(op, inserted - gone, table.len());
        at.holds(op, table.len() <= 1_000, "at most 1000 present", &table.len());
        at.holds(op, table.len() > 900, "a table about full", &table.len());
        let shown = super::dump_all(&at, &mut table.handle(), 100, |_| ());
        at.same(
            format_args!("lines of a dump after {op}"),
            table.len(),
            shown.len(),
        );
    }
}
