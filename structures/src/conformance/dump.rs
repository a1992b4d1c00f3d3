//! Parts about dumps while others come and go.

use std::collections::HashMap;

use super::pool::numbered;
use super::threads::{Running, StartLine, start_together};
use super::{At, LONG_MS, Mixer, build, dump_all, insert, packet, remove, sizing};
use crate::sync::thread;
use crate::table::{Dumped, FlowHandle, FlowTable, Insert, Sharing, Status};

/// Connections that stay, per dump.
const STAYING: u32 = 300;
/// Steps of one dump between which there is churn. After that a dump has to end also where newcomers are put ahead of its
/// cursor.
const CHURN_STEPS: usize = 2000;
/// Connections that come and go.
const PASSING: u32 = 400;

/// Dumps in steps of several sizes, with connections of others opened and closed between the steps, by the same handle and,
/// where the table can be shared, by another one.
///
/// # Panics
/// Where one that was there all the time is missing, or one is shown twice.
pub fn c7_dump_under_churn<T: FlowTable>(options: &T::Options) {
    for (budget, changes) in [(1, 1), (3, 5), (17, 40), (64, 300), (1000, 1000)] {
        let seed = 0xc7 + budget as u64;
        let sizing = sizing((STAYING + PASSING) as usize, false, seed);
        let table = build::<T>(options, &sizing);
        let mut at = At::new::<T>("C7 dump under churn", options, &sizing);
        let mut handle = table.handle();
        let mut second = (T::INFO.sharing == Sharing::Shared).then(|| table.handle());
        let mut rng = Mixer::new(seed);
        let mut passing = Passing::default();
        for n in 0..STAYING {
            passing.change(&mut handle, &mut rng);
            stay(&at, &mut handle, n);
            passing.change(&mut handle, &mut rng);
        }
        for _ in 0..5 {
            at.step += 1;
            let mut steps = 0;
            let shown = dump_all(&at, &mut handle, budget, |first| {
                steps += 1;
                if steps > CHURN_STEPS {
                    return;
                }
                for i in 0..changes {
                    match &mut second {
                        Some(second) if i % 2 == 0 => passing.change(second, &mut rng),
                        _ => passing.change(first, &mut rng),
                    }
                }
            });
            check_shown(&at, budget, &shown);
        }
    }
}

/// The same with another thread opening and closing as fast as it can.
///
/// # Panics
/// As [`c7_dump_under_churn`].
pub fn c7_dump_beside_writers<T: FlowTable>(options: &T::Options) {
    let sizing = sizing((STAYING + PASSING) as usize, false, 0xc7);
    let table = build::<T>(options, &sizing);
    let at = At::new::<T>("C7 dump beside writers", options, &sizing);
    {
        let mut handle = table.handle();
        (0..STAYING).for_each(|n| stay(&at, &mut handle, n));
    }
    let (line, running) = (StartLine::new(2), Running::new(1));
    start_together(&[
        &|| {
            let _done = running.one();
            let mut handle = table.handle();
            line.wait();
            for budget in [3, 16, 64, 1000].into_iter().cycle().take(24) {
                let shown = dump_all(&at, &mut handle, budget, |_| ());
                check_shown(&at, budget, &shown);
            }
        },
        &|| {
            let (mut handle, mut rng, mut passing) = (table.handle(), Mixer::new(7), Passing::default());
            line.wait();
            while running.any() {
                (0..50).for_each(|_| passing.change(&mut handle, &mut rng));
                handle.quiescent();
                // Lets the dump at unfair locks; between two of its steps there still are a few hundred changes.
                thread::yield_now();
            }
        },
    ]);
}

fn stay<H: FlowHandle>(at: &At, handle: &mut H, n: u32) {
    let (original, reply) = numbered(0, n);
    let got = insert(
        handle,
        &packet(original, n, 0, LONG_MS, Status::NEW),
        &reply,
        &mut Vec::new(),
    );
    at.same(
        format_args!("insert of {n}, which is to stay"),
        Insert::Inserted,
        got,
    );
}

fn check_shown(at: &At, budget: usize, shown: &[Dumped]) {
    let mut times = HashMap::new();
    let op = format_args!("dump at budget {budget} with churn between or beside its steps");
    for line in shown {
        let n = times.entry(line.id.0).or_insert(0);
        *n += 1;
        at.holds(op, *n == 1, "no connection twice", line);
        let (realm, number) = if line.id.0 < STAYING {
            (0, line.id.0)
        } else {
            (1, line.id.0 % PASSING)
        };
        let tuples = (line.original, line.reply);
        at.same(op, numbered(realm, number), tuples);
    }
    for n in 0..STAYING {
        at.holds(
            op,
            times.contains_key(&n),
            "each that was there all the time",
            &format_args!("{n} is missing"),
        );
    }
}

/// Connections that come and go; each time with a new id, so that a return is not taken for a repetition.
#[derive(Debug)]
struct Passing {
    open: Vec<bool>,
    lives: u32,
}

impl Default for Passing {
    fn default() -> Self {
        Self {
            open: vec![false; PASSING as usize],
            lives: 1,
        }
    }
}

impl Passing {
    fn change<H: FlowHandle>(&mut self, handle: &mut H, rng: &mut Mixer) {
        let n = rng.below(PASSING as usize);
        let number = u32::try_from(n).unwrap_or(0);
        let (original, reply) = numbered(1, number);
        if self.open[n] {
            remove(handle, &original, 0);
        } else {
            self.lives = self.lives % (u32::MAX / PASSING - 1) + 1;
            // The id says which connection it is: a multiple of PASSING plus its number.
            let id = self.lives * PASSING + number;
            insert(
                handle,
                &packet(original, id, 0, LONG_MS, Status::NEW),
                &reply,
                &mut Vec::new(),
            );
        }
        self.open[n] = !self.open[n];
    }
}
