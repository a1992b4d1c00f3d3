//! The sequential reference: is a trace right?
//!
//! A trace says of each operation what a table must answer. Whoever made it (a generator by construction, the tracker by
//! following packets) may be wrong, and then every right table would look broken. So the oracle replays it, one operation
//! after the other, against the plainest model there is, knowing nothing of how the trace was made:
//!
//! ```text
//! tuple --hash map--> connection * 2 + direction        both tuples of each connection, or neither (C1)
//! connection --> expires                                absent once `expires <= now` (C2)
//! (zone, family, length, bits) --hash map--> policy     longest prefix: every length is tried, longest first
//! ```
//! Rules are clauses C1 to C5 of the contract (see [`structures::table`]). A connection whose timeout has passed is absent at
//! once, but counts towards the limit (C4) until an operation meets it or [`OpKind::Expire`] sweeps: an
//! [`Answers::Exact`] trace that would fill a table that gives back no more than that is refused. For
//! [`Answers::GivenEvictions`] nothing is evicted here, and there is no limit.
//!
//! Cost: two map entries (5 bytes each and slack) and 16 bytes per connection, about 100 ns per operation out of cache.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use hashbrown::{HashMap, HashTable};
use structures::{Direction, Family, FoldHasher, PolicyId, Prefix, Tuple, TupleHasher, VirtualTime};
use thiserror::Error;

use crate::trace::{Answers, Connection, Expected, Op, OpKind, Trace};

/// Which list of a trace an operation is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// [`Trace::prefill`].
    Prefill,
    /// [`Trace::ops`].
    Timed,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefill => "prefill",
            Self::Timed => "operation",
        })
    }
}

/// What the model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// That connection, in that direction.
    Found(u32, Direction),
    /// Nothing.
    Absent,
    /// The insert of this connection met that one.
    Duplicate(u32),
    /// No connection; the policy of the longest prefix, if any covers the destination.
    Policy(Option<PolicyId>),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(connection, direction) => write!(f, "connection {connection} ({direction:?})"),
            Self::Absent => f.write_str("no connection"),
            Self::Duplicate(other) => write!(f, "a duplicate of connection {other}"),
            Self::Policy(Some(policy)) => write!(f, "no connection, policy {}", policy.0),
            Self::Policy(None) => f.write_str("no connection, no prefix"),
        }
    }
}

/// What is wrong with a trace.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OracleError {
    /// An operation's answer is not what the trace says.
    #[error("{span} {number} ({:?} of connection {}, {:?}, {tuple}): the trace says {expected}, the reference {got}",
        op.kind, op.connection, op.direction)]
    Answer {
        /// Where it is.
        span: Span,
        /// Its place there.
        number: usize,
        /// The operation.
        op: Box<Op>,
        /// Its packet's tuple.
        tuple: Box<Tuple>,
        /// What the trace says.
        expected: Answer,
        /// What the reference says.
        got: Answer,
    },
    /// An operation is of a kind, or of a form, that has no place there.
    #[error("{span} {number} ({:?} of connection {}): {problem}", op.kind, op.connection)]
    Form {
        /// Where it is.
        span: Span,
        /// Its place there.
        number: usize,
        /// The operation.
        op: Box<Op>,
        /// What is wrong with it.
        problem: String,
    },
    /// A total is not what the trace says.
    #[error("total `{field}`: the trace says {expected}, the reference {got}")]
    Total {
        /// Field of [`Expected`].
        field: &'static str,
        /// What the trace says.
        expected: u64,
        /// What the reference says.
        got: u64,
    },
    /// Connections whose two tuples are the same, or policies that do not match the connections by number.
    #[error("the trace's {list}: {problem}")]
    List {
        /// The list of the trace.
        list: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// What a replay establishes beside the trace being right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The totals, as in the trace.
    pub expected: Expected,
    /// Most connections present at a time, prefill included; expired ones count until they are given back.
    pub peak: u64,
}

/// Replays `trace`; its totals where all of it is right.
///
/// # Errors
/// The first operation, total or list that is wrong.
pub fn check(trace: &Trace) -> Result<Expected, OracleError> {
    replay(trace).map(|outcome| outcome.expected)
}

/// As [`check`], with what else the replay finds.
///
/// # Errors
/// The first operation, total or list that is wrong.
pub fn replay(trace: &Trace) -> Result<Outcome, OracleError> {
    check_lists(trace)?;
    let mut model = Model::new(trace);
    for (span, ops) in [(Span::Prefill, &trace.prefill), (Span::Timed, &trace.ops)] {
        if span == Span::Timed {
            model.totals = Expected::default();
        }
        for (number, op) in ops.iter().enumerate() {
            model.run(At { span, number, op })?;
        }
    }
    model.sweep(trace.end_time());
    model.totals.final_len = model.present;
    check_totals(&trace.expected, &model.totals)?;
    Ok(Outcome {
        expected: model.totals,
        peak: model.peak,
    })
}

fn check_lists(trace: &Trace) -> Result<(), OracleError> {
    let list = |list, problem| Err(OracleError::List { list, problem });
    if trace.connections.len() > 1 << 31 {
        return list(
            "connections",
            format!("{} of them; at most 2^31", trace.connections.len()),
        );
    }
    let policies = if trace.prefixes.is_empty() {
        0
    } else {
        trace.connections.len()
    };
    if trace.policies.len() != policies {
        let (has, prefixes) = (trace.policies.len(), trace.prefixes.len());
        let problem =
            format!("{has} entries; with {prefixes} prefixes it takes {policies}, one per connection");
        return list("policies", problem);
    }
    for (number, connection) in trace.connections.iter().enumerate() {
        if connection.original == connection.reply {
            let problem = format!(
                "number {number}: original and reply are the same ({})",
                connection.reply
            );
            return list("connections", problem);
        }
    }
    Ok(())
}

fn check_totals(expected: &Expected, got: &Expected) -> Result<(), OracleError> {
    let fields = [
        ("hits", expected.hits, got.hits),
        ("misses", expected.misses, got.misses),
        ("inserts", expected.inserts, got.inserts),
        ("removes", expected.removes, got.removes),
        ("expired", expected.expired, got.expired),
        ("final_len", expected.final_len, got.final_len),
    ];
    for (field, expected, got) in fields {
        if expected != got {
            return Err(OracleError::Total { field, expected, got });
        }
    }
    Ok(())
}

/// An operation in its place.
#[derive(Clone, Copy)]
struct At<'t> {
    span: Span,
    number: usize,
    op: &'t Op,
}

impl At<'_> {
    fn form(self, problem: impl Into<String>) -> OracleError {
        OracleError::Form {
            span: self.span,
            number: self.number,
            op: Box::new(*self.op),
            problem: problem.into(),
        }
    }

    fn expect(self, tuple: &Tuple, expected: Answer, got: Answer) -> Result<(), OracleError> {
        if expected == got {
            return Ok(());
        }
        Err(OracleError::Answer {
            span: self.span,
            number: self.number,
            op: Box::new(*self.op),
            tuple: Box::new(*tuple),
            expected,
            got,
        })
    }
}

/// Key of the model's hash; any will do.
const MODEL_SEED: u64 = 0x6f72_6163_6c65;

/// The plain model.
struct Model<'t> {
    connections: &'t [Connection],
    policies: &'t [Option<PolicyId>],
    hasher: FoldHasher,
    /// Connection * 2 + direction, by the tuple that this names.
    map: HashTable<u32>,
    /// By connection: when it expires, while it is in the map.
    expires: Vec<Option<VirtualTime>>,
    /// Times at which something may expire; only where the trace sweeps. Each connection in the map has an entry at or
    /// before its expiry.
    agenda: Option<BinaryHeap<Reverse<(VirtualTime, u32)>>>,
    prefixes: Prefixes,
    /// Whether the policy of this connection was compared.
    policy_checked: Vec<bool>,
    limit: u64,
    present: u64,
    peak: u64,
    now: VirtualTime,
    totals: Expected,
}

impl<'t> Model<'t> {
    fn new(trace: &'t Trace) -> Self {
        let count = trace.connections.len();
        let sweeps = trace.ops.iter().any(|op| op.kind == OpKind::Expire);
        Self {
            connections: &trace.connections,
            policies: &trace.policies,
            hasher: FoldHasher::with_seed(MODEL_SEED),
            map: HashTable::with_capacity(2 * trace.prefill.len()),
            expires: vec![None; count],
            agenda: sweeps.then(BinaryHeap::new),
            prefixes: Prefixes::new(&trace.prefixes),
            policy_checked: vec![false; trace.policies.len()],
            limit: match trace.answers {
                Answers::Exact => trace.max_connections as u64,
                Answers::GivenEvictions => u64::MAX,
            },
            present: 0,
            peak: 0,
            now: VirtualTime(0),
            totals: Expected::default(),
        }
    }

    fn run(&mut self, at: At<'_>) -> Result<(), OracleError> {
        let op = at.op;
        if op.time < self.now {
            return Err(at.form(format!(
                "it is at {} ms, the one before at {} ms",
                op.time.0, self.now.0
            )));
        }
        self.now = op.time;
        if at.span == Span::Prefill && !matches!(op.kind, OpKind::Open | OpKind::Hit) {
            return Err(at.form("prefill only opens and hits"));
        }
        if op.kind == OpKind::Expire {
            self.sweep(op.time);
            return Ok(());
        }
        let Some(connection) = self.connections.get(op.connection as usize) else {
            return Err(at.form(format!("the trace has {} connections", self.connections.len())));
        };
        let tuple = connection.tuple(op.direction);
        let classifies = matches!(op.kind, OpKind::ClassifyHit | OpKind::ClassifyMiss);
        if classifies && self.policies.is_empty() {
            return Err(at.form("the trace has no prefixes"));
        }
        let there = Answer::Found(op.connection, op.direction);
        match op.kind {
            OpKind::Hit => {
                at.expect(tuple, there, self.lookup(tuple, op))?;
                self.totals.hits += 1;
            }
            OpKind::Miss => {
                at.expect(tuple, Answer::Absent, self.lookup(tuple, op))?;
                self.totals.misses += 1;
            }
            OpKind::Open => self.open(at, connection)?,
            OpKind::Close => {
                let found = self
                    .find(tuple)
                    .map_or(Answer::Absent, |(c, d)| Answer::Found(c, d));
                at.expect(tuple, there, found)?;
                self.forget(op.connection);
                self.totals.removes += 1;
            }
            OpKind::ClassifyHit => {
                at.expect(tuple, there, self.classify(tuple, op))?;
                self.totals.hits += 1;
            }
            OpKind::ClassifyMiss => self.classify_miss(at, tuple)?,
            OpKind::Expire => unreachable!("swept above"),
        }
        Ok(())
    }

    fn open(&mut self, at: At<'_>, connection: &Connection) -> Result<(), OracleError> {
        let op = at.op;
        if op.direction != Direction::Original {
            return Err(at.form("a first packet is of the original direction"));
        }
        at.expect(
            &connection.original,
            Answer::Absent,
            self.lookup(&connection.original, op),
        )?;
        if op.timeout_ms == 0 {
            return Err(at.form("a connection with a timeout of 0 is never there"));
        }
        // C3: either tuple, in either direction. The lookup dealt with the original.
        if let Some((other, _)) = self.find(&connection.reply) {
            return at.expect(&connection.reply, Answer::Absent, Answer::Duplicate(other));
        }
        self.totals.misses += 1;
        self.totals.inserts += 1;
        self.insert(op.connection, op.time.after(op.timeout_ms));
        if self.present > self.limit {
            let (present, limit) = (self.present, self.limit);
            return Err(at.form(format!(
                "it is connection {present} of a table limited to {limit}"
            )));
        }
        Ok(())
    }

    fn classify_miss(&mut self, at: At<'_>, tuple: &Tuple) -> Result<(), OracleError> {
        if at.op.direction != Direction::Original {
            return Err(at.form("policies are those of the original direction"));
        }
        let index = at.op.connection as usize;
        let expected = self.policies[index];
        match self.find(tuple) {
            Some((other, direction)) => {
                at.expect(tuple, Answer::Policy(expected), Answer::Found(other, direction))?;
            }
            None if !self.policy_checked[index] => {
                let got = Answer::Policy(self.prefixes.longest(tuple));
                at.expect(tuple, Answer::Policy(expected), got)?;
                self.policy_checked[index] = true;
            }
            None => {}
        }
        self.totals.misses += 1;
        Ok(())
    }

    /// A lookup that touches (C5).
    fn lookup(&mut self, tuple: &Tuple, op: &Op) -> Answer {
        match self.find(tuple) {
            Some((connection, direction)) => {
                self.touch(connection, op.time.after(op.timeout_ms));
                Answer::Found(connection, direction)
            }
            None => Answer::Absent,
        }
    }

    /// As [`Self::lookup`]; what is not there, a prefix answers.
    fn classify(&mut self, tuple: &Tuple, op: &Op) -> Answer {
        match self.lookup(tuple, op) {
            Answer::Absent => Answer::Policy(self.prefixes.longest(tuple)),
            found => found,
        }
    }

    /// The live connection of `tuple`; an expired one that is met is given back (C2).
    fn find(&mut self, tuple: &Tuple) -> Option<(u32, Direction)> {
        let hash = self.hasher.hash(tuple);
        let connections = self.connections;
        let found = self.map.find(hash, |&end| tuple_of(connections, end) == tuple);
        let end = *found?;
        let connection = end / 2;
        if self.expires[connection as usize].is_some_and(|expires| expires <= self.now) {
            self.forget(connection);
            self.totals.expired += 1;
            return None;
        }
        Some((connection, direction_of(end)))
    }

    fn insert(&mut self, connection: u32, expires: VirtualTime) {
        let (connections, hasher) = (self.connections, &self.hasher);
        for end in [connection * 2, connection * 2 + 1] {
            let hash = hasher.hash(tuple_of(connections, end));
            self.map
                .insert_unique(hash, end, |&end| hasher.hash(tuple_of(connections, end)));
        }
        self.expires[connection as usize] = Some(expires);
        if let Some(agenda) = &mut self.agenda {
            agenda.push(Reverse((expires, connection)));
        }
        self.present += 1;
        self.peak = self.peak.max(self.present);
    }

    fn touch(&mut self, connection: u32, expires: VirtualTime) {
        let before = self.expires[connection as usize].replace(expires);
        // An entry that is too early is put off when its time comes; one that is too late would be missed.
        if let Some(agenda) = &mut self.agenda
            && before.is_some_and(|before| expires < before)
        {
            agenda.push(Reverse((expires, connection)));
        }
    }

    fn forget(&mut self, connection: u32) {
        self.expires[connection as usize] = None;
        let connections = self.connections;
        for end in [connection * 2, connection * 2 + 1] {
            let hash = self.hasher.hash(tuple_of(connections, end));
            if let Ok(entry) = self.map.find_entry(hash, |&other| other == end) {
                entry.remove();
            }
        }
        self.present -= 1;
    }

    /// Gives back all whose timeout has passed.
    fn sweep(&mut self, now: VirtualTime) {
        let Some(mut agenda) = self.agenda.take() else {
            // Only the sweep at the end: everything is looked at once.
            for connection in 0..self.connections.len() {
                let due = self.expires[connection].is_some_and(|expires| expires <= now);
                if let (true, Ok(connection)) = (due, u32::try_from(connection)) {
                    self.forget(connection);
                    self.totals.expired += 1;
                }
            }
            return;
        };
        while let Some(&Reverse((due, connection))) = agenda.peek()
            && due <= now
        {
            agenda.pop();
            match self.expires[connection as usize] {
                Some(expires) if expires <= now => {
                    self.forget(connection);
                    self.totals.expired += 1;
                }
                Some(expires) => agenda.push(Reverse((expires, connection))),
                None => {}
            }
        }
        self.agenda = Some(agenda);
    }
}

fn tuple_of(connections: &[Connection], end: u32) -> &Tuple {
    connections[(end / 2) as usize].tuple(direction_of(end))
}

const fn direction_of(end: u32) -> Direction {
    if end.is_multiple_of(2) {
        Direction::Original
    } else {
        Direction::Reply
    }
}

/// Longest-prefix match the plain way: a map of all prefixes, and every length there is, longest first.
struct Prefixes {
    policies: HashMap<Prefix, PolicyId>,
    /// Lengths in use, longest first, per family.
    v4: Vec<u8>,
    v6: Vec<u8>,
}

impl Prefixes {
    fn new(prefixes: &[(Prefix, PolicyId)]) -> Self {
        let lengths = |family: Family| {
            let used = |length: &u8| {
                prefixes
                    .iter()
                    .any(|(p, _)| p.family() == family && p.length() == *length)
            };
            (0..=family.max_prefix_length()).rev().filter(used).collect()
        };
        Self {
            // A prefix given twice has the policy given last, as a table's insert has it.
            policies: prefixes.iter().copied().collect(),
            v4: lengths(Family::V4),
            v6: lengths(Family::V6),
        }
    }

    fn longest(&self, tuple: &Tuple) -> Option<PolicyId> {
        let lengths = match tuple.family() {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        lengths.iter().find_map(|&length| {
            let prefix = Prefix::new(tuple.zone(), tuple.dst(), length)?;
            self.policies.get(&prefix).copied()
        })
    }
}

#[cfg(test)]
mod tests;
