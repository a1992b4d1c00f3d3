//! The record: what one run of one cell produced, as one JSON line.
//!
//! Numbers are integers in base units (nanoseconds, bytes, operations); rounding happens on display. A failed
//! run is a record too: its outcome says why, and it carries no number.

use serde::{Deserialize, Serialize};

/// Bumped when the meaning of a field changes; readers refuse other versions.
pub const SCHEMA_VERSION: u32 = 1;

/// What is measured: the parameters a result may be compared by. Two records with equal cells and rounds are runs
/// of the same thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Registry name: table and configuration, such as `chained` or `chained-siphash`.
    pub table: String,
    /// Workload name, such as `steady`, `churn` or `replay:everyday`.
    pub workload: String,
    /// Connections the workload is sized for (concurrent connections for replays: measured).
    pub connections: u64,
    /// Threads in the timed span.
    pub threads: u32,
    /// Lookups handed to the table at once: 1, or up to this many.
    pub batch: u32,
    /// Seed of trace and table.
    pub seed: u64,
}

/// One run of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Hash over cell, round, trace digest, program revision and measuring parameters, hexadecimal. Resume and staleness follow from it.
    pub key: String,
    /// What was run.
    pub cell: Cell,
    /// Which repetition, from 0.
    pub round: u32,
    /// The trace it ran.
    pub trace: TraceFacts,
    /// The program that ran it.
    pub program: Program,
    /// The machine it ran on.
    pub machine: Machine,
    /// Unix time of the end of the run, seconds.
    pub finished_unix_s: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All answers right: the numbers.
    Ok(Box<Measurement>),
    /// No number.
    Error {
        /// What kind of failure.
        kind: ErrorKind,
        /// For a person: which operation, what was expected, what came.
        message: String,
    },
}

/// Kinds of failed runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The table gave a wrong answer.
    WrongAnswer,
    /// The child process died or reported nothing.
    Crash,
    /// The child process ran past its limit.
    Timeout,
    /// The table could not be built as asked.
    Build,
}

/// The trace a run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceFacts {
    /// 128-bit digest, hexadecimal.
    pub digest: String,
    /// Operations in the timed span.
    pub ops: u64,
    /// Connections it speaks of.
    pub connections: u64,
    /// Where it comes from: capture file names, or the generator.
    pub source: String,
}

/// The program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Crate version.
    pub version: String,
    /// Git commit it was built from, or `unknown` outside a checkout.
    pub commit: String,
    /// Whether the work tree had changes.
    pub dirty: bool,
    /// `rustc --version` of the build.
    pub rustc: String,
    /// Profile, target, target features and RUSTFLAGS of the build.
    pub flags: String,
    /// Cargo features that change what is measured.
    pub features: Vec<String>,
    /// Command line that produced the record.
    pub argv: Vec<String>,
}

/// The machine passport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// CPU model name.
    pub cpu: String,
    /// Microcode version, where known.
    pub microcode: Option<String>,
    /// Online logical CPUs.
    pub cpus: u32,
    /// Cache sizes of CPU 0 in bytes: L1 data, L2, L3, where known.
    pub l1d_bytes: Option<u64>,
    /// See above.
    pub l2_bytes: Option<u64>,
    /// See above.
    pub l3_bytes: Option<u64>,
    /// Frequency governor, where the kernel shows one.
    pub governor: Option<String>,
    /// Whether simultaneous multithreading is active, where known.
    pub smt: Option<bool>,
    /// NUMA nodes, where known.
    pub numa_nodes: Option<u32>,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// Hypervisor, where the CPU shows one.
    pub hypervisor: Option<String>,
    /// CPU vulnerability mitigations: name and state.
    pub mitigations: Vec<(String, String)>,
    /// Transparent huge pages setting, where known.
    pub thp: Option<String>,
}

/// The numbers of a good run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Operations in the timed span, all threads.
    pub ops: u64,
    /// Packets among them (all but expiry sweeps).
    pub packets: u64,
    /// Wall time from the common start to the end of the last thread, nanoseconds.
    pub wall_ns: u64,
    /// Time spent inserting the prefill, one thread, nanoseconds.
    pub prefill_ns: u64,
    /// Connections inserted in the prefill.
    pub prefill_connections: u64,
    /// Operations per timed burst (the unit of `batch_ns`), whatever [`Cell::batch`] is.
    pub burst: u32,
    /// Per-burst durations of all threads: (duration in nanoseconds, how many batches), ascending. Three significant digits.
    pub batch_ns: Vec<(u64, u64)>,
    /// Durations of the single slowest batch per thread, exact, nanoseconds.
    pub worst_batch_ns: u64,
    /// What the clock costs.
    pub clock: ClockFacts,
    /// Memory.
    pub memory: MemoryFacts,
    /// Totals of the answers, checked.
    pub answers: AnswerTotals,
    /// What happened over time; only for workloads that fill the table.
    pub timeline: Vec<TimelinePoint>,
    /// Counters of the table, by name; empty unless built with the feature `counters`.
    pub counters: Vec<(String, u64)>,
}

/// What reading the clock costs and resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockFacts {
    /// Median cost of one reading, picoseconds.
    pub cost_ps: u64,
    /// Smallest step seen, nanoseconds.
    pub resolution_ns: u64,
}

/// Memory by the allocator's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFacts {
    /// Bytes the allocator had handed out for the empty table (its preallocation).
    pub empty_bytes: u64,
    /// Bytes handed out when the prefill was in.
    pub filled_bytes: u64,
    /// Bytes resident (touched pages) that the filled table added, as the allocator sees them.
    pub resident_bytes: u64,
    /// The table's own count when filled.
    pub own_bytes: u64,
    /// Connections present when filled.
    pub connections: u64,
}

/// Totals of answers over the timed span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AnswerTotals {
    /// Lookups that hit.
    pub hits: u64,
    /// Lookups that missed.
    pub misses: u64,
    /// Connections inserted.
    pub inserts: u64,
    /// Inserts refused because a tuple was there.
    pub duplicates: u64,
    /// Inserts refused because the table was full.
    pub full: u64,
    /// Connections removed.
    pub removes: u64,
    /// Connections expired.
    pub expired: u64,
    /// Evicted connections of attack traffic.
    pub evicted_attack: u64,
    /// Evicted legitimate connections that had not yet seen a reply.
    pub evicted_new: u64,
    /// Evicted legitimate connections that had seen a reply but were not ASSURED.
    pub evicted_replied: u64,
    /// Packets of legitimate connections that missed because their connection had been evicted or refused.
    pub orphaned_packets: u64,
    /// Connections present at the end.
    pub final_len: u64,
}

/// The state of the table at one moment of the trace. Counts since the start of the timed span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// Trace time, milliseconds since the first operation of the timed span.
    pub time_ms: u64,
    /// Operations done.
    pub op: u64,
    /// Live legitimate connections that are ASSURED.
    pub live_assured: u64,
    /// Live legitimate connections that are not.
    pub live_unassured: u64,
    /// Live attack connections.
    pub live_attack: u64,
    /// Evicted so far: attack connections.
    pub evicted_attack: u64,
    /// Evicted so far: legitimate connections.
    pub evicted_legitimate: u64,
    /// Inserts refused so far because the table was full.
    pub refused: u64,
    /// Packets of legitimate connections that missed because of an eviction or refusal, so far.
    pub orphaned: u64,
}
