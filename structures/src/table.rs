//! The contract every table fulfils.
//!
//! A connection is found by its original **and** by its reply tuple, and the reply need not be the mirror of the
//! original (NAT). All access goes through a per-thread handle, so that what a user would pay (locks, pins, quiescent
//! states) is paid inside the timed span.
//!
//! # Semantics common to all tables
//!
//! * **C1** A tuple finds at most one connection; both tuples of a connection are present, or neither.
//! * **C2** A connection whose `expires <= now` is absent: a lookup misses it, a remove does not find it, an insert of
//!   the same tuple succeeds. When its memory is given back is the table's business; [`FlowHandle::expire`] gives back all.
//! * **C3** An insert that meets a live connection with either tuple, in either direction, changes nothing and returns
//!   [`Insert::Duplicate`].
//! * **C4** Never more than [`Sizing::max_connections`] connections are present (expired ones that were not yet given
//!   back count). At the limit an insert first gives back expired connections it meets, then, if [`Sizing::evict_when_full`], evicts a
//!   connection without [`Status::ASSURED`] that it finds within bounded work, else returns [`Insert::Full`].
//! * **C5** A lookup that hits touches the connection: `last_seen`, `expires` and status bits are those of the packet.
//! * **C6** Conservation: inserted - removed - evicted - expired = [`FlowTable::len`] whenever no operation is running.
//! * **C7** A dump driven to its end shows every connection that was present throughout exactly once, and
//!   none twice, whatever happens to others meanwhile.
//! * **C8** With several handles on several threads, operations on different connections do not disturb each other's answers.

use std::fmt::Debug;

use crate::counters::Counters;
use crate::tuple::{Direction, Prefix, Tuple};

/// Most packets a batch lookup takes at once (a DPDK burst).
pub const MAX_BATCH: usize = 32;

/// Milliseconds on the trace's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VirtualTime(pub u64);

impl VirtualTime {
    /// `self` plus `milliseconds`, saturating.
    #[inline]
    #[must_use]
    pub const fn after(self, milliseconds: u32) -> Self {
        Self(self.0.saturating_add(milliseconds as u64))
    }
}

/// The caller's number for a connection; a table keeps it and returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConnectionId(pub u32);

/// Status bits of a connection, a subset of the kernel's `IPS_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Status(pub u8);

impl Status {
    /// Nothing seen but the first packet.
    pub const NEW: Self = Self(0);
    /// Packets were seen in both directions.
    pub const SEEN_REPLY: Self = Self(1);
    /// Established beyond doubt: never evicted for a newcomer.
    pub const ASSURED: Self = Self(2);

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a connection with this status may be evicted for a newcomer.
    #[must_use]
    pub const fn is_evictable(self) -> bool {
        !self.contains(Self::ASSURED)
    }
}

/// A packet as a table sees it: one cache line, as a packet header in a receive ring would be.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct PacketMeta {
    /// The packet's tuple.
    pub tuple: Tuple,
    /// Arrival time.
    pub now: VirtualTime,
    /// Milliseconds the connection lives on after this packet.
    pub timeout_ms: u32,
    /// Number that a connection made by this packet gets; not used in lookups.
    pub id: ConnectionId,
    /// For the caller; tables never read it.
    pub user: u32,
    /// Status bits the packet sets on its connection.
    pub set_status: Status,
    /// For the caller; tables never read it.
    pub action: u8,
}

const _: () = assert!(size_of::<PacketMeta>() == 64);

impl PacketMeta {
    /// When the connection expires if no packet follows.
    #[inline]
    #[must_use]
    pub const fn expires(&self) -> VirtualTime {
        self.now.after(self.timeout_ms)
    }
}

/// What a lookup found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The number given at insert.
    pub id: ConnectionId,
    /// Which of the connection's tuples matched.
    pub direction: Direction,
}

/// What became of an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insert {
    /// Both tuples are in the table now; evictions, if any, were reported to the sink.
    Inserted,
    /// One of the tuples was there already; nothing changed.
    Duplicate,
    /// The table is full, and nothing evictable was found; nothing changed.
    Full,
}

/// A connection given up for a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted {
    /// Its number.
    pub id: ConnectionId,
    /// Its status when it was evicted.
    pub status: Status,
    /// When it last saw a packet.
    pub last_seen: VirtualTime,
}

/// Receives evictions as they happen, as conntrack's event listeners do.
pub trait EvictionSink {
    /// A connection was evicted.
    fn evicted(&mut self, victim: Evicted);
}

/// Ignores evictions.
#[derive(Debug, Clone, Copy, Default)]
pub struct IgnoreEvictions;

impl EvictionSink for IgnoreEvictions {
    #[inline]
    fn evicted(&mut self, _: Evicted) {}
}

impl EvictionSink for Vec<Evicted> {
    #[inline]
    fn evicted(&mut self, victim: Evicted) {
        self.push(victim);
    }
}

/// Where a resumable dump stands; the default is the beginning. Its meaning is the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DumpCursor {
    /// Table-defined position.
    pub position: u64,
}

/// One connection in a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dumped {
    /// Its number.
    pub id: ConnectionId,
    /// Its original tuple.
    pub original: Tuple,
    /// Its reply tuple.
    pub reply: Tuple,
    /// Its status.
    pub status: Status,
    /// When it expires if no packet follows.
    pub expires: VirtualTime,
}

/// What a table is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// Hard limit on connections (`nf_conntrack_max`).
    pub max_connections: usize,
    /// Whether an insert at the limit evicts; a table that cannot ignores it and returns [`Insert::Full`].
    pub evict_when_full: bool,
    /// Key of the hash and of any random choice.
    pub seed: u64,
}

/// Why a table could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildError {
    /// `max_connections` is zero or over what the table's links can number.
    Capacity {
        /// What was asked for.
        asked: usize,
        /// The table's own limit.
        limit: usize,
    },
    /// An option has a value the table cannot work with.
    Option {
        /// Its name.
        name: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Capacity { asked, limit } => {
                write!(f, "max_connections is {asked}; this table takes 1 to {limit}")
            }
            Self::Option { name, problem } => write!(f, "option {name}: {problem}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// How a table may be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Any number of threads, each with its own handle.
    Shared,
    /// One handle at a time: one table per core, fed by RSS.
    SingleOwner,
}

/// What a reader of the report must know about a table.
#[derive(Debug, Clone, Copy)]
pub struct TableInfo {
    /// One line: what it is.
    pub summary: &'static str,
    /// How readers and writers are kept apart.
    pub locking: &'static str,
    /// How many threads it may serve.
    pub sharing: Sharing,
    /// Whether it evicts when full.
    pub evicts: bool,
    /// Whether its answers mean anything; false only for the null table.
    pub answers: bool,
}

/// A connection-tracking table.
pub trait FlowTable: Send + Sync + Sized + 'static {
    /// Configuration beyond the sizing; a registry line fixes one value of it.
    type Options: Clone + Debug + Send + Sync + 'static;

    /// Per-thread access.
    type Handle<'t>: FlowHandle;

    /// What a reader of the report must know.
    const INFO: TableInfo;

    /// Builds an empty table.
    ///
    /// # Errors
    /// [`BuildError`] where the sizing or an option is out of range.
    fn new(sizing: &Sizing, options: &Self::Options) -> Result<Self, BuildError>;

    /// A handle for the calling thread.
    fn handle(&self) -> Self::Handle<'_>;

    /// Connections present, expired ones not yet given back included. Exact whenever no operation is running.
    fn len(&self) -> usize;

    /// Whether no connection is present.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory the table holds, by its own count. The harness sets the allocator's count beside it.
    fn memory_bytes(&self) -> usize;
}

/// One thread's access to a table.
///
/// `hash` arguments are always what [`FlowHandle::hash`] of the same table returned for the same tuple.
pub trait FlowHandle {
    /// Hashes a tuple, once, for all operations on it.
    fn hash(&self, tuple: &Tuple) -> u64;

    /// Finds the live connection of `packet.tuple` and touches it.
    fn lookup(&mut self, packet: &PacketMeta, hash: u64) -> Option<Found>;

    /// Looks up `packets` (at most [`MAX_BATCH`]) as if one after the other; hashes, prefetches, then reads.
    ///
    /// `found[i]` is written for each packet. Both slices have the same length.
    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        for (packet, found) in packets.iter().zip(found) {
            let hash = self.hash(&packet.tuple);
            *found = self.lookup(packet, hash);
        }
    }

    /// Inserts the connection that `packet` opens: `packet.tuple` is its original tuple, `reply` its reply tuple, which
    /// differs from the original; `hash` is the original's.
    fn insert(
        &mut self,
        packet: &PacketMeta,
        reply: &Tuple,
        hash: u64,
        evictions: &mut impl EvictionSink,
    ) -> Insert;

    /// Removes the live connection that `tuple` (either direction) belongs to.
    fn remove(&mut self, tuple: &Tuple, hash: u64, now: VirtualTime) -> Option<ConnectionId>;

    /// Gives back every connection with `expires <= now`; returns how many this call gave back.
    fn expire(&mut self, now: VirtualTime) -> usize;

    /// Shows up to `budget` slots' worth of connections to `sink`, from `cursor` on; returns true at the end.
    ///
    /// Expired connections not yet given back may be shown.
    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool;

    /// Tells the table that this thread holds no reference into it (RCU's quiescent state). The harness calls it
    /// after each burst, inside the timed span.
    #[inline]
    fn quiescent(&mut self) {}

    /// What this handle counted; all zero where counters are compiled out.
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// The caller's number for what a prefix says (a policy, a limit, a blackhole).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// What one lookup in a table with prefixes answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classified {
    /// The packet belongs to this connection, which was touched.
    Connection(Found),
    /// No connection; this is the policy of the longest prefix that covers the packet's destination.
    Prefix(PolicyId),
    /// Neither.
    Nothing,
}

/// A table that also holds prefixes: exact connections and longest-prefix match in one structure.
pub trait PrefixHandle: FlowHandle {
    /// Sets the policy of `prefix`; returns the one it had.
    fn insert_prefix(&mut self, prefix: &Prefix, policy: PolicyId) -> Option<PolicyId>;

    /// Forgets `prefix`; returns the policy it had.
    fn remove_prefix(&mut self, prefix: &Prefix) -> Option<PolicyId>;

    /// The connection of `packet` (touched), else the longest prefix that covers its destination.
    fn classify(&mut self, packet: &PacketMeta, hash: u64) -> Classified;
}
