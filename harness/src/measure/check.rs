//! Right, or the first wrong answer. Runs after the clock has stopped.
//!
//! Where a trace fixes every answer, each outcome must be the expected one. Where the table fills and evicts as it sees fit,
//! the check follows the table's own evictions through a model: each victim must have been present and not ASSURED, each later
//! answer must be right given the evictions so far, and nothing may be refused while there is room.

use reports::{AnswerTotals, TimelinePoint};
use structures::{Direction, Status, VirtualTime};
use workloads::trace::{Answers, id_of};
use workloads::{Op, OpKind, Trace};

use super::outcome::Outcome;
use super::unroll::ThreadScript;
use super::worker::{LoggedEviction, ThreadLog};

/// Points a timeline has at most.
const TIMELINE_POINTS: usize = 240;

/// What a run that answered right adds up to.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Totals.
    pub totals: AnswerTotals,
    /// State over time; only where the table evicts.
    pub timeline: Vec<TimelinePoint>,
}

/// The first wrong answer of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongAnswer {
    /// One operation was answered wrong.
    #[error(
        "{phase} operation {number} ({kind:?} of connection {connection}, {direction:?}): expected {expected}, got {got}"
    )]
    Operation {
        /// `prefill` or `timed`.
        phase: &'static str,
        /// Its place in the phase.
        number: u32,
        /// What it was.
        kind: OpKind,
        /// Of which connection.
        connection: u32,
        /// The packet's direction.
        direction: Direction,
        /// The right answer.
        expected: String,
        /// The table's.
        got: String,
    },
    /// An eviction that must not be.
    #[error("timed operation {number} evicted connection {victim}, which {problem}")]
    Eviction {
        /// The operation that caused it.
        number: u32,
        /// The victim.
        victim: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The table does not hold what it should at the end.
    #[error("{what} is {got} at the end, expected {expected}")]
    Total {
        /// Which total.
        what: &'static str,
        /// The right value.
        expected: u64,
        /// The table's.
        got: u64,
    },
}

/// Checks the prefill: everything went in, and nothing was evicted for it.
///
/// # Errors
/// The first wrong answer.
pub fn prefill(trace: &Trace, script: &ThreadScript, log: &ThreadLog) -> Result<(), WrongAnswer> {
    for (number, outcome) in script.op_numbers.iter().zip(&log.outcomes) {
        let op = &trace.prefill[*number as usize];
        exact("prefill", *number, op, expected_of(trace, op), *outcome)?;
    }
    match log.evictions.entries().first() {
        None => Ok(()),
        Some(eviction) => Err(WrongAnswer::Eviction {
            number: eviction.step,
            victim: eviction.victim.id.0,
            problem: "went although the prefill fits the table",
        }),
    }
}

/// Checks the timed span. `swept` is what the final sweep gave back, `final_len` what the table then held.
///
/// # Errors
/// The first wrong answer.
pub fn answers(
    trace: &Trace,
    scripts: &[ThreadScript],
    logs: &[ThreadLog],
    swept: u64,
    final_len: u64,
) -> Result<Verdict, WrongAnswer> {
    match trace.answers {
        Answers::Exact => exact_answers(trace, scripts, logs, swept, final_len),
        Answers::GivenEvictions => {
            let mut model = Model::after_prefill(trace);
            for (script, log) in scripts.iter().zip(logs) {
                model.replay(script, log)?;
            }
            model.finish(final_len)
        }
    }
}

fn exact_answers(
    trace: &Trace,
    scripts: &[ThreadScript],
    logs: &[ThreadLog],
    swept: u64,
    final_len: u64,
) -> Result<Verdict, WrongAnswer> {
    let mut totals = AnswerTotals {
        final_len,
        ..AnswerTotals::default()
    };
    let mut given_back = swept;
    for (script, log) in scripts.iter().zip(logs) {
        for (number, outcome) in script.op_numbers.iter().zip(&log.outcomes) {
            let op = &trace.ops[*number as usize];
            if op.kind == OpKind::Expire {
                given_back += u64::from(outcome.0);
                continue;
            }
            exact("timed", *number, op, expected_of(trace, op), *outcome)?;
            count(&mut totals, op.kind);
        }
    }
    let prefilled = trace.prefill.iter().filter(|op| op.kind == OpKind::Open).count() as u64;
    let present = prefilled + totals.inserts - totals.removes;
    totals.expired = present.saturating_sub(final_len);
    let expected = &trace.expected;
    same("number of connections", expected.final_len, final_len)?;
    same("number of expired connections", expected.expired, totals.expired)?;
    if given_back > totals.expired {
        return Err(WrongAnswer::Total {
            what: "number given back by sweeps",
            expected: totals.expired,
            got: given_back,
        });
    }
    Ok(Verdict {
        totals,
        timeline: Vec::new(),
    })
}

fn count(totals: &mut AnswerTotals, kind: OpKind) {
    match kind {
        OpKind::Hit | OpKind::ClassifyHit => totals.hits += 1,
        OpKind::Miss | OpKind::ClassifyMiss => totals.misses += 1,
        OpKind::Open => {
            totals.misses += 1;
            totals.inserts += 1;
        }
        OpKind::Close => totals.removes += 1,
        OpKind::Expire => {}
    }
}

fn same(what: &'static str, expected: u64, got: u64) -> Result<(), WrongAnswer> {
    if expected == got {
        Ok(())
    } else {
        Err(WrongAnswer::Total { what, expected, got })
    }
}

/// The answer to `op` if its connection is as the trace has it.
fn expected_of(trace: &Trace, op: &Op) -> Outcome {
    match op.kind {
        OpKind::Hit | OpKind::ClassifyHit => Outcome::hit(id_of(op.connection), op.direction),
        OpKind::Miss => Outcome::NOTHING,
        OpKind::ClassifyMiss => trace
            .policies
            .get(op.connection as usize)
            .copied()
            .flatten()
            .map_or(Outcome::NOTHING, Outcome::policy),
        OpKind::Open => Outcome::OPENED,
        OpKind::Close => Outcome(op.connection),
        OpKind::Expire => Outcome(0),
    }
}

fn exact(
    phase: &'static str,
    number: u32,
    op: &Op,
    expected: Outcome,
    got: Outcome,
) -> Result<(), WrongAnswer> {
    if expected == got {
        return Ok(());
    }
    let describe = |outcome: Outcome| match op.kind {
        OpKind::Open => outcome.describe_open().to_owned(),
        OpKind::Close if outcome == Outcome::NOTHING => "nothing removed".to_owned(),
        OpKind::Close => format!("connection {} removed", outcome.0),
        _ => outcome.describe_lookup(),
    };
    Err(WrongAnswer::Operation {
        phase,
        number,
        kind: op.kind,
        connection: op.connection,
        direction: op.direction,
        expected: describe(expected),
        got: describe(got),
    })
}

/// Where a connection stands in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not opened yet, closed, or expired and given back.
    Absent,
    /// In the table.
    Present,
    /// Evicted, or refused when it was opened: its packets miss.
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Tracked {
    state: State,
    status: Status,
    attack: bool,
    expires: VirtualTime,
}

/// Live connections by kind.
#[derive(Debug, Clone, Copy, Default)]
struct Live {
    assured: u64,
    unassured: u64,
    attack: u64,
}

impl Live {
    fn slot(&mut self, connection: &Tracked) -> &mut u64 {
        if connection.attack {
            &mut self.attack
        } else if connection.status.is_evictable() {
            &mut self.unassured
        } else {
            &mut self.assured
        }
    }

    const fn total(&self) -> u64 {
        self.assured + self.unassured + self.attack
    }
}

struct Model<'a> {
    trace: &'a Trace,
    connections: Vec<Tracked>,
    live: Live,
    /// The table holds no more than these, expired ones included that it has not given back. When it gives those back is its own
    /// business, so this is a bound and no count; a sweep makes it exact.
    present_at_most: u64,
    totals: AnswerTotals,
    timeline: Vec<TimelinePoint>,
    start: VirtualTime,
}

impl<'a> Model<'a> {
    fn after_prefill(trace: &'a Trace) -> Self {
        let absent = Tracked {
            state: State::Absent,
            status: Status::NEW,
            attack: false,
            expires: VirtualTime(0),
        };
        let start = trace.ops.first().map_or(VirtualTime(0), |op| op.time);
        let mut model = Self {
            trace,
            connections: vec![absent; trace.connections.len()],
            live: Live::default(),
            present_at_most: 0,
            totals: AnswerTotals::default(),
            timeline: Vec::with_capacity(TIMELINE_POINTS + 1),
            start,
        };
        for op in &trace.prefill {
            if op.kind == OpKind::Open {
                model.enter(op);
            } else {
                model.touch(op);
            }
        }
        model
    }

    fn replay(&mut self, script: &ThreadScript, log: &ThreadLog) -> Result<(), WrongAnswer> {
        let mut evictions = log.evictions.entries().iter().peekable();
        let every = self.trace.ops.len().div_ceil(TIMELINE_POINTS).max(1);
        for ((step, number), outcome) in (0u32..).zip(&script.op_numbers).zip(&log.outcomes) {
            let op = &self.trace.ops[*number as usize];
            let mut victims = 0;
            let full = self.may_be_full();
            while let Some(eviction) = evictions.next_if(|eviction| eviction.step == step) {
                if !full {
                    return Err(WrongAnswer::Eviction {
                        number: *number,
                        victim: eviction.victim.id.0,
                        problem: "was evicted although there was room",
                    });
                }
                self.evict(*number, op, eviction)?;
                victims += 1;
            }
            self.step(*number, op, *outcome, victims)?;
            if (*number as usize).is_multiple_of(every) {
                self.sample(op.time, *number);
            }
        }
        match evictions.next() {
            None => Ok(()),
            Some(eviction) => Err(WrongAnswer::Eviction {
                number: eviction.step,
                victim: eviction.victim.id.0,
                problem: "was reported outside an insert",
            }),
        }
    }

    fn step(&mut self, number: u32, op: &Op, outcome: Outcome, victims: u32) -> Result<(), WrongAnswer> {
        if op.kind == OpKind::Open {
            return self.open(number, op, outcome, victims);
        }
        if op.kind == OpKind::Expire {
            self.expire(op.time);
            self.present_at_most = self.live.total();
            return Ok(());
        }
        let present = self
            .connections
            .get(op.connection as usize)
            .is_some_and(|c| c.state == State::Present);
        let as_traced = present || matches!(op.kind, OpKind::Miss | OpKind::ClassifyMiss);
        let expected = if as_traced {
            expected_of(self.trace, op)
        } else {
            Outcome::NOTHING
        };
        exact("timed", number, op, expected, outcome)?;
        match (op.kind, present) {
            (OpKind::Close, true) => self.leave(op.connection, State::Absent),
            (OpKind::Hit | OpKind::ClassifyHit, true) => self.touch(op),
            (OpKind::Hit | OpKind::ClassifyHit | OpKind::Close, false) if !op.attack => {
                self.totals.orphaned_packets += 1;
            }
            _ => {}
        }
        match (op.kind, present) {
            (OpKind::Close, true) => self.totals.removes += 1,
            (OpKind::Hit | OpKind::ClassifyHit, true) => self.totals.hits += 1,
            _ => self.totals.misses += 1,
        }
        Ok(())
    }

    fn open(&mut self, number: u32, op: &Op, outcome: Outcome, victims: u32) -> Result<(), WrongAnswer> {
        self.totals.misses += 1;
        if outcome == Outcome::OPEN_FULL {
            if !self.may_be_full() || victims > 0 {
                return exact("timed", number, op, Outcome::OPENED, outcome);
            }
            self.totals.full += 1;
            self.connections[op.connection as usize].state = State::Lost;
            return Ok(());
        }
        exact("timed", number, op, Outcome::OPENED, outcome)?;
        self.totals.inserts += 1;
        self.enter(op);
        let limit = self.trace.max_connections as u64;
        if self.live.total() > limit {
            // The table may have given back expired ones to make room.
            self.expire(op.time);
        }
        if self.live.total() > limit {
            let what = "number of live connections after an insert";
            return Err(WrongAnswer::Total {
                what,
                expected: limit,
                got: self.live.total(),
            });
        }
        Ok(())
    }

    fn evict(&mut self, number: u32, op: &Op, eviction: &LoggedEviction) -> Result<(), WrongAnswer> {
        let victim = eviction.victim.id.0;
        let wrong = |problem| {
            Err(WrongAnswer::Eviction {
                number,
                victim,
                problem,
            })
        };
        let Some(connection) = self.connections.get(victim as usize).copied() else {
            return wrong("does not exist");
        };
        if connection.state != State::Present {
            return wrong("was not in the table");
        }
        if op.kind != OpKind::Open {
            return wrong("was evicted by something else than an insert");
        }
        if !connection.status.is_evictable() && connection.expires > op.time {
            return wrong("was ASSURED");
        }
        match (connection.attack, connection.status.contains(Status::SEEN_REPLY)) {
            (true, _) => self.totals.evicted_attack += 1,
            (false, false) => self.totals.evicted_new += 1,
            (false, true) => self.totals.evicted_replied += 1,
        }
        self.leave(victim, State::Lost);
        Ok(())
    }

    const fn may_be_full(&self) -> bool {
        self.present_at_most >= self.trace.max_connections as u64
    }

    fn enter(&mut self, op: &Op) {
        // At its limit the table gave back an expired one for this.
        self.present_at_most = (self.present_at_most + 1).min(self.trace.max_connections as u64);
        let entered = Tracked {
            state: State::Present,
            status: op.set_status,
            attack: op.attack,
            expires: op.time.after(op.timeout_ms),
        };
        self.connections[op.connection as usize] = entered;
        *self.live.slot(&entered) += 1;
    }

    fn touch(&mut self, op: &Op) {
        let connection = &mut self.connections[op.connection as usize];
        *self.live.slot(connection) -= 1;
        connection.status = connection.status.with(op.set_status);
        connection.expires = op.time.after(op.timeout_ms);
        *self.live.slot(connection) += 1;
    }

    fn leave(&mut self, connection: u32, to: State) {
        let connection = &mut self.connections[connection as usize];
        *self.live.slot(connection) -= 1;
        connection.state = to;
        self.present_at_most = self.present_at_most.saturating_sub(1);
    }

    fn expire(&mut self, now: VirtualTime) {
        for number in 0..self.connections.len() {
            let connection = self.connections[number];
            if connection.state == State::Present && connection.expires <= now {
                *self.live.slot(&connection) -= 1;
                self.connections[number].state = State::Absent;
                self.totals.expired += 1;
            }
        }
    }

    fn sample(&mut self, now: VirtualTime, op: u32) {
        self.timeline.push(TimelinePoint {
            time_ms: now.0.saturating_sub(self.start.0),
            op: op.into(),
            live_assured: self.live.assured,
            live_unassured: self.live.unassured,
            live_attack: self.live.attack,
            evicted_attack: self.totals.evicted_attack,
            evicted_legitimate: self.totals.evicted_new + self.totals.evicted_replied,
            refused: self.totals.full,
            orphaned: self.totals.orphaned_packets,
        });
    }

    fn finish(mut self, final_len: u64) -> Result<Verdict, WrongAnswer> {
        self.expire(self.trace.end_time());
        same("number of connections", self.live.total(), final_len)?;
        self.totals.final_len = final_len;
        Ok(Verdict {
            totals: self.totals,
            timeline: self.timeline,
        })
    }
}

#[cfg(test)]
mod tests;
