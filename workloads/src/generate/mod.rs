//! Synthetic workloads: deterministic from a seed, right by construction.
//!
//! | module | workload |
//! |---|---|
//! | [`mod@steady`] | connections that stay, packets that hit |
//! | [`mod@churn`] | connections that come and go while others are hit |
//! | [`mod@miss`] | packets of connections that are not there |
//! | [`mod@full`] | a table at capacity, with newcomers |
//! | [`mod@prefix`] | connections and prefixes in one table |
//!
//! A workload is asked for by [`Size`] and is the same [`Trace`] on every machine: all random draws are xoshiro256++ and
//! integer arithmetic (see the `random` module). Nothing here remembers tuples to keep them apart: they are distinct by
//! numbering (see the `endpoints` module), so that a trace of a million connections takes a fraction of a second. What a
//! trace claims is counted while it is made; [`crate::oracle`] checks it by another way before a table sees it.
//!
//! # Time
//!
//! Prefill happens in the first [`PREFILL_MS`] of virtual time. Packets then come at [`PACKETS_PER_MS`], or faster where
//! the trace would otherwise last longer than [`LONGEST_MS`], which is under the shortest timeout: nothing expires.

pub mod churn;
mod endpoints;
pub mod full;
pub mod miss;
pub mod prefix;
mod random;
mod routes;
pub mod steady;

use structures::{Direction, PolicyId, Prefix, Status, VirtualTime};

pub use churn::churn;
pub use full::full;
pub use miss::miss;
pub use prefix::prefix;
pub use steady::steady;

use self::endpoints::Plan;
pub(crate) use self::random::{Permutation, Random, Zipf};
pub(crate) use self::routes::{host_in, public_address};
use crate::trace::{Answers, Connection, Expected, Op, OpKind, Trace};
use crate::track::tcp::TcpState;
use crate::track::timeouts;

/// Most live connections a workload is made for: four times what an `nf_conntrack` on a big machine holds.
pub const MOST_CONNECTIONS: u32 = 1 << 24;
/// Most operations of a workload: 24 bytes each.
pub const MOST_OPS: u32 = 1 << 27;
/// Most connection numbers in a trace, opened later or never included.
pub(crate) const MOST_NUMBERS: u32 = MOST_CONNECTIONS + MOST_OPS + 1;

/// Milliseconds of virtual time that the prefill takes.
pub const PREFILL_MS: u64 = 1000;
/// Packets per millisecond of virtual time: a million a second.
pub const PACKETS_PER_MS: u64 = 1000;
/// Longest timed span in virtual milliseconds: with the prefill, under [`timeouts::UDP_MS`].
pub const LONGEST_MS: u64 = 20_000;

/// Chance in 1000 that the next packet continues the flow of the one before, in its direction: packets travel in
/// trains (Jain and Routhier, 1986), short ones where a connection tracker sees many flows interleaved. In recorded
/// captures of ordinary traffic between 10 (a DNS server; 500 echo connections) and 200 (an office) in 1000 packets have
/// the tuple of the packet before them; an industrial network has 100.
pub const TRAIN_PER_MILLE: u32 = 100;

const _: () = assert!(PREFILL_MS + LONGEST_MS < timeouts::UDP_MS as u64);

/// Both directions seen, and beyond doubt.
const ESTABLISHED: Status = Status::SEEN_REPLY.with(Status::ASSURED);

/// How big a workload is, and which one of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Live connections, 1 to [`MOST_CONNECTIONS`].
    pub connections: u32,
    /// Operations in the timed span, up to [`MOST_OPS`].
    pub ops: u32,
    /// Seed of everything random.
    pub seed: u64,
}

impl Size {
    /// The same size with connections and operations brought into range.
    fn clamped(self) -> Self {
        Self {
            connections: self.connections.clamp(1, MOST_CONNECTIONS),
            ops: self.ops.min(MOST_OPS),
            seed: self.seed,
        }
    }
}

/// A packet on its way into a trace.
#[derive(Debug, Clone, Copy)]
struct Step {
    kind: OpKind,
    connection: u32,
    direction: Direction,
    set_status: Status,
}

/// Collects operations and counts what they must answer.
#[derive(Debug)]
struct Builder {
    plan: Plan,
    size: Size,
    prefill: Vec<Op>,
    ops: Vec<Op>,
    expected: Expected,
    ops_per_ms: u64,
}

impl Builder {
    /// For connection numbers below `limit`, of which about `numbers` are used.
    fn new(size: Size, numbers: u32, limit: u32) -> Self {
        Self {
            plan: Plan::new(numbers, limit, size.seed),
            size,
            prefill: Vec::with_capacity(size.connections as usize),
            ops: Vec::with_capacity(size.ops as usize),
            expected: Expected::default(),
            ops_per_ms: PACKETS_PER_MS.max(u64::from(size.ops).div_ceil(LONGEST_MS)),
        }
    }

    /// Whether all operations are there.
    fn is_complete(&self) -> bool {
        self.ops.len() >= self.size.ops as usize
    }

    /// Connection 0 to `connections - 1` present before the span, in order of number, with the status of each.
    fn prefill(&mut self, status: impl Fn(u32) -> Status) {
        let count = u64::from(self.size.connections);
        for connection in 0..self.size.connections {
            let time = VirtualTime(u64::from(connection) * PREFILL_MS / count);
            let step = Step {
                kind: OpKind::Open,
                connection,
                direction: Direction::Original,
                set_status: status(connection),
            };
            let op = self.op(time, step);
            self.prefill.push(op);
        }
        self.expected.final_len = count;
    }

    /// One more operation of the span.
    fn push(&mut self, step: Step) {
        let time = VirtualTime(PREFILL_MS + self.ops.len() as u64 / self.ops_per_ms);
        let expected = &mut self.expected;
        match step.kind {
            OpKind::Hit | OpKind::ClassifyHit => expected.hits += 1,
            OpKind::Miss | OpKind::ClassifyMiss => expected.misses += 1,
            OpKind::Open => {
                expected.misses += 1;
                expected.inserts += 1;
                expected.final_len += 1;
            }
            OpKind::Close => {
                expected.removes += 1;
                expected.final_len -= 1;
            }
            OpKind::Expire => {}
        }
        let op = self.op(time, step);
        self.ops.push(op);
    }

    /// A packet of an established connection.
    fn hit(&mut self, connection: u32, direction: Direction) {
        self.push(Step {
            kind: OpKind::Hit,
            connection,
            direction,
            set_status: ESTABLISHED,
        });
    }

    fn op(&self, time: VirtualTime, step: Step) -> Op {
        let tcp = self.plan.is_tcp(step.connection);
        Op {
            time,
            connection: step.connection,
            timeout_ms: timeout_of(tcp, step.set_status),
            kind: step.kind,
            direction: step.direction,
            set_status: step.set_status,
            attack: false,
        }
    }

    /// The trace of connections `0..numbers`, never full.
    fn finish(self, name: &str, numbers: u32, max_connections: usize) -> Trace {
        let connections = self.plan.connections(numbers);
        self.finish_with(name, connections, max_connections)
    }

    fn finish_with(self, name: &str, connections: Vec<Connection>, max_connections: usize) -> Trace {
        Trace {
            name: name.to_owned(),
            seed: self.size.seed,
            max_connections,
            evict_when_full: false,
            answers: Answers::Exact,
            connections,
            prefixes: Vec::<(Prefix, PolicyId)>::new(),
            policies: Vec::new(),
            prefill: self.prefill,
            ops: self.ops,
            expected: self.expected,
        }
    }
}

/// The timeout after a packet that left its connection with `status`, as the tracker has it.
const fn timeout_of(tcp: bool, status: Status) -> u32 {
    match (
        tcp,
        status.contains(Status::ASSURED),
        status.contains(Status::SEEN_REPLY),
    ) {
        (true, true, _) => TcpState::Established.timeout_ms(),
        (true, false, true) => TcpState::SynRecv.timeout_ms(),
        (true, false, false) => TcpState::SynSent.timeout_ms(),
        (false, true, _) => timeouts::UDP_STREAM_MS,
        (false, false, _) => timeouts::UDP_MS,
    }
}

/// Draws which connection the next packet belongs to: Zipf by rank, in trains.
#[derive(Debug)]
struct Traffic {
    zipf: Zipf,
    current: Option<(u32, Direction)>,
}

impl Traffic {
    fn new(ranks: u32) -> Self {
        Self {
            zipf: Zipf::new(ranks),
            current: None,
        }
    }

    /// A rank (0 is the most popular) and a direction.
    fn next(&mut self, random: &mut Random) -> (u32, Direction) {
        if let Some(current) = self.current
            && random.chance(TRAIN_PER_MILLE)
        {
            return current;
        }
        let drawn = (self.zipf.draw(random), either_way(random));
        self.current = Some(drawn);
        drawn
    }
}

fn either_way(random: &mut Random) -> Direction {
    if random.coin() {
        Direction::Original
    } else {
        Direction::Reply
    }
}

/// A connection that was opened a moment ago and has packets to come.
#[derive(Debug, Clone, Copy)]
struct Young {
    connection: u32,
    /// Where the workload keeps it.
    slot: u32,
    /// Packets sent since the first.
    packets: u32,
}

/// The connections opened last: packets of many handshakes are interleaved.
#[derive(Debug, Default)]
struct Nursery(Vec<Young>);

/// Handshakes in progress at a time: 64 at a million packets a second are a round trip of a millisecond or so at the
/// rates of opening that the workloads have.
const NURSERY: usize = 64;

impl Nursery {
    /// Takes in one more; the nursery is kept at `limit` or [`NURSERY`] by forgetting one.
    fn admit(&mut self, young: Young, limit: usize, random: &mut Random) {
        if self.0.len() < limit.clamp(1, NURSERY) {
            self.0.push(young);
        } else {
            let at = random.index(self.0.len());
            self.0[at] = young;
        }
    }

    /// One of them, at random.
    fn pick(&self, random: &mut Random) -> Option<usize> {
        (!self.0.is_empty()).then(|| random.index(self.0.len()))
    }
}

#[cfg(test)]
mod tests;
