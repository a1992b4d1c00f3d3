//! A builder of believable synthetic runs. No measured number is in here: a small model of caches and locks, and noise
//! from a fixed generator, so that every build gives the same records.

#![allow(dead_code, reason = "each test program uses its own part of this module")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "model figures are small and positive"
)]
#![allow(
    unreachable_pub,
    reason = "included as a module by the crate's own tests and by test programs"
)]

use reports::{
    AnswerTotals, Cell, ClockFacts, ErrorKind, Machine, Measurement, MemoryFacts, Outcome, Program, Record,
    SCHEMA_VERSION, TimelinePoint, TraceFacts,
};

const KIB: u64 = 1024;
/// Time of the first record: 2026-11-20 19:05 UTC.
const START_UNIX_S: u64 = 1_795_201_500;
const CAPTURE_CONNECTIONS: u64 = 21_733;
const BURST: u32 = 32;
const PACKETS: u64 = 1 << 20;

/// How a table of the model behaves.
struct Model {
    name: &'static str,
    /// Nanoseconds per packet while everything is in the first cache.
    base_ns: f64,
    /// Cache lines touched per lookup.
    lines: f64,
    /// Bytes per connection that grow with the connections.
    bytes: f64,
    /// Bytes per connection set aside beforehand.
    preallocated: f64,
    /// Share of the work that cannot run in parallel.
    serial: f64,
}

const MODELS: [Model; 7] = [
    Model {
        name: "chained",
        base_ns: 14.0,
        lines: 3.1,
        bytes: 96.0,
        preallocated: 16.0,
        serial: 0.08,
    },
    Model {
        name: "hashtrie",
        base_ns: 17.0,
        lines: 3.6,
        bytes: 128.0,
        preallocated: 1.0,
        serial: 0.05,
    },
    Model {
        name: "hashtrie-lpm",
        base_ns: 21.0,
        lines: 4.4,
        bytes: 144.0,
        preallocated: 1.0,
        serial: 0.05,
    },
    Model {
        name: "rcu",
        base_ns: 11.0,
        lines: 2.6,
        bytes: 104.0,
        preallocated: 24.0,
        serial: 0.01,
    },
    Model {
        name: "std",
        base_ns: 46.0,
        lines: 3.4,
        bytes: 180.0,
        preallocated: 0.0,
        serial: 0.9,
    },
    Model {
        name: "hashbrown",
        base_ns: 13.6,
        lines: 3.2,
        bytes: 148.0,
        preallocated: 0.0,
        serial: 0.9,
    },
    Model {
        name: "null",
        base_ns: 1.6,
        lines: 0.0,
        bytes: 0.0,
        preallocated: 0.0,
        serial: 0.0,
    },
];

const OTHER: Model = Model {
    name: "other",
    base_ns: 19.0,
    lines: 3.0,
    bytes: 120.0,
    preallocated: 8.0,
    serial: 0.2,
};

pub const TABLES: [&str; 7] = [
    "chained",
    "hashtrie",
    "hashtrie-lpm",
    "rcu",
    "std",
    "hashbrown",
    "null",
];
pub const WORKLOADS: [&str; 8] = [
    "steady",
    "churn",
    "miss",
    "full",
    "prefix",
    "flood:everyday",
    "replay:everyday",
    "replay:flood",
];

/// Builds runs. Every part can be replaced.
pub struct RunBuilder {
    tables: Vec<String>,
    workloads: Vec<String>,
    sizes: Vec<u64>,
    threads: Vec<u32>,
    rounds: u32,
    errors: Vec<(String, String, ErrorKind, String)>,
    timelines: bool,
    batch_cells: bool,
}

impl RunBuilder {
    /// The whole believable run: all tables and workloads, 2^10..2^20 connections, 1 and 2 threads, 5 rounds.
    pub fn new() -> Self {
        Self {
            tables: TABLES.map(str::to_owned).to_vec(),
            workloads: WORKLOADS.map(str::to_owned).to_vec(),
            sizes: (10..=20).step_by(2).map(|power| 1 << power).collect(),
            threads: vec![1, 2],
            rounds: 5,
            errors: Vec::new(),
            timelines: true,
            batch_cells: false,
        }
    }

    pub fn tables(mut self, names: &[&str]) -> Self {
        self.tables = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    pub fn workloads(mut self, names: &[&str]) -> Self {
        self.workloads = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    pub fn sizes(mut self, sizes: &[u64]) -> Self {
        self.sizes = sizes.to_vec();
        self
    }

    pub fn threads(mut self, threads: &[u32]) -> Self {
        self.threads = threads.to_vec();
        self
    }

    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds;
        self
    }

    /// Adds cells with batched lookups.
    pub fn with_batch_cells(mut self) -> Self {
        self.batch_cells = true;
        self
    }

    pub fn without_timelines(mut self) -> Self {
        self.timelines = false;
        self
    }

    /// Every record of `table` on `workload` fails so.
    pub fn error(mut self, table: &str, workload: &str, kind: ErrorKind, message: &str) -> Self {
        self.errors
            .push((table.to_owned(), workload.to_owned(), kind, message.to_owned()));
        self
    }

    /// Some rows fail, as they do in life.
    pub fn with_believable_errors(self) -> Self {
        self.error(
            "hashtrie",
            "full",
            ErrorKind::WrongAnswer,
            "op 48213 (hit, original, connection 1771): expected connection 1771, got nothing",
        )
        .error(
            "std",
            "flood:everyday",
            ErrorKind::Timeout,
            "no result after 60 s; child killed",
        )
    }

    pub fn build(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for workload in &self.workloads {
            let captured = workload.contains(':');
            let sizes = if captured {
                vec![CAPTURE_CONNECTIONS]
            } else {
                self.sizes.clone()
            };
            for table in &self.tables {
                if workload == "prefix" && !matches!(table.as_str(), "hashtrie-lpm" | "null") {
                    continue;
                }
                for &connections in &sizes {
                    for (threads, batch) in self.shapes(workload) {
                        for round in 0..self.rounds {
                            let cell = Cell {
                                table: table.clone(),
                                workload: workload.clone(),
                                connections,
                                threads,
                                batch,
                                seed: 1,
                            };
                            records.push(self.record(cell, round, records.len() as u64));
                        }
                    }
                }
            }
        }
        records
    }

    fn shapes(&self, workload: &str) -> Vec<(u32, u32)> {
        let mut shapes: Vec<(u32, u32)> = self.threads.iter().map(|&threads| (threads, 1)).collect();
        if self.batch_cells && matches!(workload, "steady" | "miss") {
            shapes.push((1, 32));
        }
        shapes
    }

    fn record(&self, cell: Cell, round: u32, number: u64) -> Record {
        let failed = self
            .errors
            .iter()
            .find(|(table, workload, ..)| *table == cell.table && *workload == cell.workload);
        let outcome = match failed {
            Some((_, _, kind, message)) => Outcome::Error {
                kind: *kind,
                message: message.clone(),
            },
            None => Outcome::Ok(Box::new(self.measurement(&cell, round))),
        };
        Record {
            schema: SCHEMA_VERSION,
            key: format!("{:016x}", Noise::of(&format!("{cell:?}/{round}")).0),
            trace: TraceFacts {
                digest: format!(
                    "{:032x}",
                    u128::from(Noise::of(&cell.workload).0) << 32 | u128::from(cell.connections)
                ),
                ops: PACKETS,
                connections: cell.connections,
                source: match cell.workload.split_once(':') {
                    Some((_, capture)) => format!("pcaps/{capture}.pcap.zst"),
                    None => "generator".to_owned(),
                },
            },
            program: program(),
            machine: machine(),
            finished_unix_s: START_UNIX_S + number / 4,
            round,
            outcome,
            cell,
        }
    }

    fn measurement(&self, cell: &Cell, round: u32) -> Measurement {
        let model = MODELS
            .iter()
            .find(|model| model.name == cell.table)
            .unwrap_or(&OTHER);
        let mut noise = Noise::of(&format!("{cell:?}/{round}"));
        // One phase of the machine per round hits all tables alike.
        let mut phase = Noise::of(&format!("phase {round}"));
        let slow = (1.0 + 0.02 * phase.unit()) * (1.0 + 0.015 * (noise.unit() - 0.5));
        let ns = packet_ns(model, cell) * slow;
        let speedup = 1.0 / (model.serial + (1.0 - model.serial) / f64::from(cell.threads));
        let packets = PACKETS;
        let batch_ns = histogram(ns * f64::from(BURST), packets / u64::from(BURST), &mut noise);
        let worst = batch_ns.last().map_or(0, |pair| pair.0);
        let grown = (model.bytes * cell.connections as f64) as u64;
        let set_aside = (model.preallocated * cell.connections as f64) as u64 + 4 * KIB;
        let misses = if cell.workload == "miss" {
            packets
        } else {
            packets / 20
        };
        Measurement {
            ops: packets + 100,
            packets,
            wall_ns: (ns * packets as f64 / speedup) as u64,
            prefill_ns: cell.connections * 90,
            prefill_connections: if cell.workload.contains(':') {
                0
            } else {
                cell.connections
            },
            worst_batch_ns: worst,
            burst: BURST,
            batch_ns,
            clock: ClockFacts {
                cost_ps: 21_300,
                resolution_ns: 1,
            },
            // Captures begin with an empty table: nothing to weigh.
            memory: if cell.workload.contains(':') {
                MemoryFacts {
                    empty_bytes: set_aside,
                    filled_bytes: set_aside,
                    resident_bytes: set_aside / 2,
                    own_bytes: set_aside,
                    connections: 0,
                }
            } else {
                MemoryFacts {
                    empty_bytes: set_aside,
                    filled_bytes: set_aside + grown,
                    resident_bytes: set_aside / 2 + grown,
                    own_bytes: set_aside + grown - grown / 20,
                    connections: cell.connections,
                }
            },
            answers: answers(model, cell, misses),
            timeline: if self.timelines && floods(&cell.workload) {
                timeline(model)
            } else {
                Vec::new()
            },
            counters: Vec::new(),
        }
    }
}

fn floods(workload: &str) -> bool {
    workload.starts_with("flood:") || workload == "full"
}

/// Tables without eviction refuse newcomers when full.
fn refuses(model: &Model) -> bool {
    matches!(model.name, "std" | "hashbrown")
}

fn answers(model: &Model, cell: &Cell, misses: u64) -> AnswerTotals {
    const OPENS: u64 = 50_000;
    let mut answers = AnswerTotals {
        hits: PACKETS - misses,
        misses,
        final_len: cell.connections,
        ..Default::default()
    };
    if !floods(&cell.workload) || model.name == "null" {
        return answers;
    }
    if refuses(model) {
        (answers.inserts, answers.full) = (OPENS / 10, OPENS - OPENS / 10);
        answers.orphaned_packets = PACKETS / 4;
    } else {
        answers.inserts = OPENS;
        let legitimate = if model.name.starts_with("hashtrie") {
            2_000
        } else {
            14_000
        };
        (answers.evicted_attack, answers.evicted_new) = (OPENS - legitimate, legitimate);
        answers.orphaned_packets = 2 * (legitimate - 2_000);
    }
    answers
}

/// Nanoseconds of one packet on one thread: base, plus lines that miss each cache.
fn packet_ns(model: &Model, cell: &Cell) -> f64 {
    let footprint = (model.bytes + model.preallocated + 64.0) * cell.connections as f64;
    let missing = |cache: f64| (1.0 - cache / footprint).max(0.0);
    let machine = machine();
    let [l1, l2, l3] =
        [machine.l1d_bytes, machine.l2_bytes, machine.l3_bytes].map(|size| size.unwrap_or(0) as f64);
    // Prefetched lookups wait for several lines at a time.
    let overlap = if cell.batch > 1 { 0.45 } else { 1.0 };
    let memory = overlap * model.lines * (1.2 * missing(l1) + 4.0 * missing(l2) + 18.0 * missing(l3));
    let work = match cell.workload.as_str() {
        "churn" => 1.9,
        "miss" => 0.8,
        "full" | "flood:everyday" => 1.6,
        "prefix" => 2.2,
        _ => 1.0,
    };
    let at_limit = if !floods(&cell.workload) {
        1.0
    } else if refuses(model) {
        // Turning newcomers away is little work: by speed alone these tables win.
        0.2
    } else if model.name.starts_with("hashtrie") {
        0.7
    } else {
        1.0
    };
    if model.name == "null" {
        model.base_ns
    } else {
        (model.base_ns + memory) * work * at_limit
    }
}

/// A skewed distribution about `center` with a few interrupts.
fn histogram(center: f64, batches: u64, noise: &mut Noise) -> Vec<(u64, u64)> {
    let mut pairs = Vec::new();
    let mut left = batches;
    for step in 0..40u32 {
        let share = (-(f64::from(step) - 8.0).powi(2) / 40.0).exp() / 11.2;
        let count = ((batches as f64 * share) as u64).min(left);
        left -= count;
        pairs.push(((center * (0.8 + 0.025 * f64::from(step))) as u64 + 1, count));
    }
    for (factor, share) in [(2.5, 0.004), (4.0, 0.0009), (9.0, 0.0002)] {
        let count = ((batches as f64 * share) as u64).min(left);
        left -= count;
        pairs.push(((center * factor * (1.0 + 0.1 * noise.unit())) as u64 + 1, count));
    }
    pairs[8].1 += left;
    pairs.push(((center * 40.0 * (1.0 + noise.unit())) as u64 + 20_000, 1));
    pairs.retain(|pair| pair.1 > 0);
    pairs.sort_unstable();
    pairs
}

/// A flood that begins after a quarter of the trace, at a fixed capacity.
fn timeline(model: &Model) -> Vec<TimelinePoint> {
    const STEPS: u64 = 120;
    const CAPACITY: u64 = 32_768;
    let steals = if model.name.starts_with("hashtrie") {
        0.05
    } else {
        0.35
    };
    let refuses = refuses(model);
    let (mut attack, mut unassured, mut evicted_attack, mut evicted_legitimate, mut refused) =
        (0, 3000u64, 0, 0, 0);
    (0..=STEPS)
        .map(|step| {
            let assured = 9000 + 6000 * step / STEPS;
            let arriving = if step > STEPS / 4 { 900 } else { 0 };
            let room = CAPACITY.saturating_sub(assured + unassured + attack);
            attack += arriving.min(room);
            let over = arriving - arriving.min(room);
            if refuses {
                refused += over;
            } else {
                let from_legitimate = ((over as f64 * steals) as u64).min(unassured.saturating_sub(400));
                evicted_legitimate += from_legitimate;
                evicted_attack += over - from_legitimate;
                unassured -= from_legitimate;
                unassured = (unassured + 60).min(3000);
            }
            // What becomes ASSURED takes its room from attack connections that time out.
            attack = attack.min(CAPACITY - assured - unassured);
            TimelinePoint {
                time_ms: step * 500,
                op: step * 9000,
                live_assured: assured,
                live_unassured: unassured,
                live_attack: attack,
                evicted_attack,
                evicted_legitimate,
                refused,
                orphaned: 3 * evicted_legitimate + refused / 50,
            }
        })
        .collect()
}

pub fn program() -> Program {
    Program {
        version: "0.1.0".into(),
        commit: "d571ad2c0ffee0123456789abcdef0123456789a".into(),
        dirty: false,
        rustc: "rustc 1.95.0 (synthetic)".into(),
        flags: "release, x86_64-unknown-linux-gnu, lto=thin, RUSTFLAGS=-C target-cpu=native".into(),
        features: vec![],
        argv: ["ctbench", "bench", "--profile", "quick", "--seed", "1"]
            .map(str::to_owned)
            .to_vec(),
    }
}

pub fn machine() -> Machine {
    Machine {
        cpu: "Synthetic CPU @ 2.70GHz".into(),
        microcode: Some("0x1".into()),
        cpus: 2,
        l1d_bytes: Some(48 * KIB),
        l2_bytes: Some(2048 * KIB),
        l3_bytes: Some(32 * KIB * KIB),
        governor: None,
        smt: Some(true),
        numa_nodes: Some(1),
        memory_bytes: 16 * KIB * KIB * KIB,
        kernel: "6.18.0".into(),
        hypervisor: Some("KVM".into()),
        mitigations: vec![
            ("spectre_v2".into(), "Mitigation: Enhanced IBRS".into()),
            ("meltdown".into(), "Not affected".into()),
        ],
        thp: Some("always".into()),
    }
}

/// A small generator seeded by text.
pub struct Noise(pub u64);

impl Noise {
    /// FNV-1a over the text as seed.
    pub fn of(text: &str) -> Self {
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// The next number below 2^53.
    pub fn whole(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 11
    }

    /// The next number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.whole() as f64 / (1u64 << 53) as f64
    }
}
