//! Workloads by name: synthetic ones from the catalogue, replays and floods from captures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use reports::TraceFacts;
use serde::{Deserialize, Serialize};
use workloads::overlay::{self, FloodOptions, FloodRate, OverlayError};
use workloads::replay::{Replay, ReplayOptions};
use workloads::track::TrackCounts;
use workloads::{Trace, catalog};

/// A workload as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// `steady`, `replay:everyday`, `flood:everyday`, ...
    pub name: String,
    /// One line: what it is.
    pub about: String,
    /// Connections, where the workload decides that itself.
    pub fixed_connections: Option<u64>,
    /// Whether threads may share it.
    pub partitionable: bool,
    /// Whether it is also measured with batched lookups.
    pub batched: bool,
    /// What a table must offer.
    pub needs: Needs,
}

/// What a workload asks of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Connections only.
    Connections,
    /// Prefixes too.
    Prefixes,
}

/// Where captures come from, and how they are read. Part of what a child is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureOptions {
    /// Files given by the user; none: the captures that come with the program.
    pub files: Vec<PathBuf>,
    /// Whether a broken capture is refused instead of used up to the break.
    pub strict: bool,
}

/// A capture by name.
#[derive(Debug, Clone)]
pub struct CaptureSource {
    /// Name in workloads.
    pub name: String,
    data: CaptureData,
}

#[derive(Debug, Clone)]
enum CaptureData {
    BuiltIn(&'static [u8]),
    File(PathBuf),
}

/// The built-in capture that is a flood already: no second one is laid over it.
const RECORDED_FLOOD: &str = "flood";

/// The captures that come with the program; `pcaps/` says how they were recorded.
const BUILT_IN: [(&str, &[u8]); 2] = [
    ("everyday", include_bytes!("../../pcaps/everyday.pcap.zst")),
    ("flood", include_bytes!("../../pcaps/flood.pcap.zst")),
];

impl CaptureOptions {
    /// The captures, each with a name of its own.
    #[must_use]
    pub fn sources(&self) -> Vec<CaptureSource> {
        if self.files.is_empty() {
            let built_in = |&(name, bytes): &(&str, &'static [u8])| CaptureSource {
                name: name.to_owned(),
                data: CaptureData::BuiltIn(bytes),
            };
            return BUILT_IN.iter().map(built_in).collect();
        }
        let mut sources: Vec<CaptureSource> = Vec::new();
        for file in &self.files {
            let stem = capture_stem(file);
            let same = sources
                .iter()
                .filter(|s| s.name == stem || s.name.starts_with(&format!("{stem}~")))
                .count();
            let name = if same == 0 {
                stem
            } else {
                format!("{stem}~{}", same + 1)
            };
            sources.push(CaptureSource {
                name,
                data: CaptureData::File(file.clone()),
            });
        }
        sources
    }

    fn source(&self, name: &str) -> Result<CaptureSource> {
        let sources = self.sources();
        let names: Vec<_> = sources.iter().map(|s| s.name.clone()).collect();
        let found = sources.into_iter().find(|s| s.name == name);
        found.with_context(|| format!("no capture is named {name}; there are: {}", names.join(", ")))
    }
}

/// `a/b/name.pcap.zst` -> `name`.
fn capture_stem(file: &Path) -> String {
    let name = file
        .file_name()
        .map_or_else(|| "capture".to_owned(), |n| n.to_string_lossy().into_owned());
    name.split('.')
        .next()
        .filter(|stem| !stem.is_empty())
        .unwrap_or(&name)
        .to_owned()
}

impl CaptureSource {
    /// Reads the capture: packets, and what was met on the way.
    ///
    /// # Errors
    /// Where the file cannot be opened or is no capture, or is broken and `strict` is set.
    pub fn load(&self, strict: bool) -> Result<Replay> {
        let options = ReplayOptions {
            strict,
            ..ReplayOptions::default()
        };
        let loaded = match &self.data {
            CaptureData::BuiltIn(bytes) => Replay::from_bytes(Path::new(&self.name), bytes, &options),
            CaptureData::File(path) => Replay::load(path, &options),
        };
        // Its text names the file and holds its source already: a chain would say it twice.
        loaded.map_err(|problem| anyhow!("{problem}"))
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.data {
            CaptureData::BuiltIn(_) => format!("{} (built in)", self.name),
            CaptureData::File(path) => path.display().to_string(),
        }
    }
}

/// Workloads whose packets come in runs of lookups, long enough to show what a batch gains.
const BATCHED: [&str; 2] = ["steady", "miss"];
/// Prefix of the names of replays.
const REPLAY: &str = "replay:";
/// Prefix of the names of floods.
pub const FLOOD: &str = "flood:";

impl CaptureOptions {
    /// Names of the workloads that the captures give.
    #[must_use]
    pub fn workload_names(&self) -> Vec<String> {
        let of_source = |source: &CaptureSource| {
            let flooded = !matches!(source.data, CaptureData::BuiltIn(_)) || source.name != RECORDED_FLOOD;
            let flood = flooded.then(|| format!("{FLOOD}{}", source.name));
            std::iter::once(format!("{REPLAY}{}", source.name))
                .chain(flood)
                .collect::<Vec<_>>()
        };
        self.sources().iter().flat_map(of_source).collect()
    }
}

impl Workload {
    fn of_catalog(entry: &catalog::Workload) -> Self {
        Self {
            name: entry.name.to_owned(),
            about: format!("{} ({})", entry.summary, entry.mix),
            fixed_connections: None,
            partitionable: entry.partitionable,
            batched: BATCHED.contains(&entry.name),
            needs: if entry.needs_prefixes {
                Needs::Prefixes
            } else {
                Needs::Connections
            },
        }
    }

    /// The planner's view of a workload made from a capture.
    #[must_use]
    pub fn of_capture(name: String, built: &Built) -> Self {
        Self {
            about: capture_about(&name).to_owned(),
            name,
            fixed_connections: Some(built.connections),
            partitionable: built.trace.is_partitionable(),
            batched: false,
            needs: Needs::Connections,
        }
    }
}

/// The synthetic workloads.
#[must_use]
pub fn synthetic() -> Vec<Workload> {
    catalog::WORKLOADS.iter().map(Workload::of_catalog).collect()
}

/// One line about a workload made from a capture.
#[must_use]
pub fn capture_about(name: &str) -> &'static str {
    if name.starts_with(FLOOD) {
        "a SYN flood laid over the capture; the table fills and evicts"
    } else {
        "the capture's packets on the capture's own clock"
    }
}

/// Makes the trace of a workload. `connections` and `ops` matter to synthetic ones only.
///
/// # Errors
/// An unknown name, or a capture that cannot be read.
pub fn build(name: &str, connections: u64, ops: u64, seed: u64, captures: &CaptureOptions) -> Result<Built> {
    if let Some(capture) = name.strip_prefix(REPLAY) {
        return replay(name, &captures.source(capture)?, captures.strict);
    }
    if let Some(capture) = name.strip_prefix(FLOOD) {
        return flood(name, &captures.source(capture)?, captures.strict, seed);
    }
    let trace = catalog::build(name, connections, ops, seed)?;
    Ok(Built {
        trace,
        connections,
        source: format!("generator {name}, seed {seed}"),
        notes: Vec::new(),
    })
}

fn replay(name: &str, source: &CaptureSource, strict: bool) -> Result<Built> {
    let replay = source.load(strict)?;
    let (trace, counts) = replay.trace(name);
    let mut notes = describe_capture(&replay);
    notes.extend(describe_tracking(&counts));
    Ok(Built {
        connections: counts.peak_connections,
        source: format!("{}, xxh3-128 {}", source.place(), replay.facts.file_digest),
        trace,
        notes,
    })
}

/// As many SYNs as captured packets while the flood lasts: an attack, not a nuisance.
const FLOOD_SHARE: f64 = 0.5;

fn flood(name: &str, source: &CaptureSource, strict: bool, seed: u64) -> Result<Built> {
    let replay = source.load(strict)?;
    let with_rate = |rate| overlay::flood_trace(name, &replay.packets, &FloodOptions::new(seed, rate));
    let flood = match with_rate(FloodRate::ShareOfPackets(FLOOD_SHARE)) {
        // Few packets and many connections: the share would not fill the table.
        Err(OverlayError::NeverFills { .. }) => with_rate(FloodRate::Filling),
        flood => flood,
    }?;
    Ok(Built {
        connections: flood.trace.max_connections as u64,
        source: format!(
            "{}, xxh3-128 {}, SYN flood of seed {seed}",
            source.place(),
            replay.facts.file_digest
        ),
        notes: vec![flood.report.to_string()],
        trace: flood.trace,
    })
}

/// What a capture holds and what of it was skipped, for people.
#[must_use]
pub fn describe_capture(replay: &Replay) -> Vec<String> {
    let facts = &replay.facts;
    let flows = &facts.flows;
    let mut lines = vec![format!(
        "{} packets, {} flows ({} TCP, {} UDP, {} ICMP, {} other; {} IPv6) in {:.1} s",
        flows.packets,
        flows.flows,
        flows.tcp_flows,
        flows.udp_flows,
        flows.icmp_flows,
        flows.other_flows,
        flows.ipv6_flows,
        flows.duration_ns as f64 / 1e9,
    )];
    let skipped: Vec<String> = facts
        .skipped
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(r, n)| format!("{n} {r}"))
        .collect();
    if !skipped.is_empty() {
        lines.push(format!("skipped: {}", skipped.join(", ")));
    }
    if let Some(link) = &facts.unknown_link {
        lines.push(format!("frames of link type {link} are not decoded"));
    }
    if let Some(broken) = &facts.broken {
        lines.push(format!("BROKEN, used up to there (--strict refuses): {broken}"));
    }
    if facts.limited {
        lines.push(format!(
            "only the first {} packets are used",
            replay.packets.len()
        ));
    }
    lines
}

fn describe_tracking(counts: &TrackCounts) -> Option<String> {
    let odd = [
        (counts.time_steps_back, "packets older than the one before"),
        (counts.later_fragments, "later fragments without ports"),
        (counts.same_endpoints, "packets from and to the same endpoint"),
        (counts.over_limit, "packets past the limit of connections"),
    ];
    let odd: Vec<String> = odd
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    (!odd.is_empty()).then(|| format!("tracked with care: {}", odd.join(", ")))
}

/// Checks a trace's answers against the sequential reference.
///
/// # Errors
/// Where the trace contradicts itself: a fault of ctbench, never of a table.
pub fn check(built: &Built) -> Result<()> {
    workloads::oracle::check(&built.trace).with_context(|| {
        format!(
            "the trace of {} disagrees with the sequential reference: please report this",
            built.trace.name
        )
    })?;
    Ok(())
}

/// A trace, and where it came from.
#[derive(Debug)]
pub struct Built {
    /// The trace.
    pub trace: Trace,
    /// Connections it is sized for; for captures the most that are live at once.
    pub connections: u64,
    /// For records.
    pub source: String,
    /// What to tell the user: skipped packets, achieved rates.
    pub notes: Vec<String>,
}

impl Built {
    /// Facts for records.
    #[must_use]
    pub fn facts(&self) -> TraceFacts {
        TraceFacts {
            digest: self.trace.digest().to_string(),
            ops: self.trace.ops.len() as u64,
            connections: self.trace.connections.len() as u64,
            source: self.source.clone(),
        }
    }
}
