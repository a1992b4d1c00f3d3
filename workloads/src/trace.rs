//! The trace: what a table is asked to do, and what it must answer.
//!
//! A trace is compact (connections once, operations by number); the harness unrolls it into one cache line per packet
//! before the clock starts. Answers are part of the trace. [`crate::oracle`] checks them against a sequential
//! reference before any table sees the trace.

use structures::{ConnectionId, Direction, PolicyId, Prefix, Status, Tuple, VirtualTime};
use xxhash_rust::xxh3::Xxh3;

/// Bumped whenever the meaning of a trace changes; part of the digest.
pub const TRACE_VERSION: u32 = 1;

/// A connection a trace speaks of: its two tuples. Its number is its place in [`Trace::connections`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Tuple of the packets in the direction of the first.
    pub original: Tuple,
    /// Tuple of the answers; the mirror of `original` unless translated (NAT).
    pub reply: Tuple,
}

impl Connection {
    /// The tuple of packets in `direction`.
    #[must_use]
    pub const fn tuple(&self, direction: Direction) -> &Tuple {
        match direction {
            Direction::Original => &self.original,
            Direction::Reply => &self.reply,
        }
    }
}

/// What an operation does, and what it must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpKind {
    /// A packet of a connection that is present: lookup, hit.
    Hit = 0,
    /// A packet of a connection that is absent and is not opened by it: lookup, miss.
    Miss = 1,
    /// A first packet: lookup, miss; then insert with the same hash.
    Open = 2,
    /// A last packet: the connection is removed by this packet's tuple, without a lookup before it (no hit is counted).
    Close = 3,
    /// Everything whose timeout has passed is given back. No connection.
    Expire = 4,
    /// One lookup that answers: this connection, else the longest prefix (tables with prefixes only). The connection is
    /// present.
    ClassifyHit = 5,
    /// As above; the connection is absent, and the answer is the longest prefix that covers its destination, or nothing:
    /// [`Trace::policies`]. Always in the original direction.
    ClassifyMiss = 6,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// When, on the trace's clock.
    pub time: VirtualTime,
    /// The connection's number in [`Trace::connections`]; 0 for [`OpKind::Expire`].
    pub connection: u32,
    /// Milliseconds the connection lives on after this packet.
    pub timeout_ms: u32,
    /// What is done and expected.
    pub kind: OpKind,
    /// The packet's direction.
    pub direction: Direction,
    /// Status bits the packet sets.
    pub set_status: Status,
    /// Whether the packet belongs to synthetic attack traffic.
    pub attack: bool,
}

/// How far answers are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Every answer is fixed: the table never fills.
    Exact,
    /// The table fills and evicts as it sees fit: each answer must be right given the evictions the table reported.
    GivenEvictions,
}

/// Totals over the operations (the prefill not counted), as the sequential reference has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// Lookups that hit.
    pub hits: u64,
    /// Lookups that miss, those of opening packets included.
    pub misses: u64,
    /// Connections inserted.
    pub inserts: u64,
    /// Connections removed by a packet.
    pub removes: u64,
    /// Connections given back because their timeout passed, a final sweep at the end of the trace included.
    pub expired: u64,
    /// Connections present at the end, after that sweep.
    pub final_len: u64,
}

/// A workload ready to run.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The workload's name.
    pub name: String,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Limit the table is built with.
    pub max_connections: usize,
    /// Whether the table is to evict at the limit.
    pub evict_when_full: bool,
    /// How far answers are fixed.
    pub answers: Answers,
    /// Connections by number.
    pub connections: Vec<Connection>,
    /// Prefixes inserted before everything else.
    pub prefixes: Vec<(Prefix, PolicyId)>,
    /// For traces with prefixes: by connection number, the policy of the longest prefix that covers the destination of
    /// the **original** tuple. [`OpKind::ClassifyMiss`] is always in that direction. Empty without prefixes.
    pub policies: Vec<Option<PolicyId>>,
    /// Operations before the timed span; all of kind [`OpKind::Open`] or [`OpKind::Hit`].
    pub prefill: Vec<Op>,
    /// Operations of the timed span.
    pub ops: Vec<Op>,
    /// Totals over `ops`; for [`Answers::GivenEvictions`], as if nothing had been evicted (`final_len` is then
    /// not bounded by the limit).
    pub expected: Expected,
}

impl Trace {
    /// Time of the last operation, where the final sweep happens.
    #[must_use]
    pub fn end_time(&self) -> VirtualTime {
        self.ops
            .last()
            .or(self.prefill.last())
            .map_or(VirtualTime(0), |op| op.time)
    }

    /// Whether connections may be dealt out to threads, each thread doing the operations of its own in trace order.
    ///
    /// Answers then depend on nothing that another thread does: none is evicted, and nobody sweeps. The order between
    /// connections is lost, so that more of them may be present at a time than in the sequential run: generators leave
    /// headroom for that.
    #[must_use]
    pub fn is_partitionable(&self) -> bool {
        self.answers == Answers::Exact && self.ops.iter().all(|op| op.kind != OpKind::Expire)
    }

    /// 128-bit digest of all that a table can see and must answer. Two traces with the same digest are the same workload.
    #[must_use]
    pub fn digest(&self) -> TraceDigest {
        let mut hasher = Xxh3::new();
        hasher.update(&TRACE_VERSION.to_le_bytes());
        hasher.update(&(self.max_connections as u64).to_le_bytes());
        hasher.update(&[
            u8::from(self.evict_when_full),
            u8::from(self.answers == Answers::Exact),
        ]);
        hasher.update(&(self.connections.len() as u64).to_le_bytes());
        for connection in &self.connections {
            hash_tuple(&mut hasher, &connection.original);
            hash_tuple(&mut hasher, &connection.reply);
        }
        hasher.update(&(self.prefixes.len() as u64).to_le_bytes());
        for (prefix, policy) in &self.prefixes {
            hasher.update(&prefix.bits().to_le_bytes());
            hasher.update(&[prefix.length(), prefix.family() as u8]);
            hasher.update(&prefix.zone().to_le_bytes());
            hasher.update(&policy.0.to_le_bytes());
        }
        hasher.update(&(self.policies.len() as u64).to_le_bytes());
        for policy in &self.policies {
            // One more bit than a policy has, so that none differs from any.
            let number = policy.map_or(0, |policy| u64::from(policy.0) + 1);
            hasher.update(&number.to_le_bytes());
        }
        for ops in [&self.prefill, &self.ops] {
            hasher.update(&(ops.len() as u64).to_le_bytes());
            for op in ops {
                hash_op(&mut hasher, op);
            }
        }
        TraceDigest(hasher.digest128())
    }
}

fn hash_tuple(hasher: &mut Xxh3, tuple: &Tuple) {
    // Words are native-endian views of fixed bytes; to_ne_bytes gives those bytes back on any machine.
    let mut bytes = [0u8; 40];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(tuple.words()) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    hasher.update(&bytes);
}

fn hash_op(hasher: &mut Xxh3, op: &Op) {
    let mut bytes = [0u8; 20];
    bytes[..8].copy_from_slice(&op.time.0.to_le_bytes());
    bytes[8..12].copy_from_slice(&op.connection.to_le_bytes());
    bytes[12..16].copy_from_slice(&op.timeout_ms.to_le_bytes());
    bytes[16] = op.kind as u8;
    bytes[17] = op.direction as u8;
    bytes[18] = op.set_status.0;
    bytes[19] = u8::from(op.attack);
    hasher.update(&bytes);
}

/// Digest of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceDigest(pub u128);

impl std::fmt::Display for TraceDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<u32> for Connection {
    /// A made-up UDP connection, for tests: number `n` between 10.0.0.0/8 and 192.0.2.1:53.
    fn from(n: u32) -> Self {
        let [_, b, c, d] = n.to_be_bytes();
        let port = 1024 + u16::from(n.to_be_bytes()[0]);
        let original = Tuple::v4(17, [10, b, c, d].into(), port, [192, 0, 2, 1].into(), 53);
        Self {
            original,
            reply: original.mirrored(),
        }
    }
}

/// Shorthand for the number of a connection as tables know it.
#[must_use]
pub const fn id_of(connection: u32) -> ConnectionId {
    ConnectionId(connection)
}
