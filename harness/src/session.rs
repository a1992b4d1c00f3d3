//! A run over many cells: which, on which traces, what is done already, what comes next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use regex::Regex;
use reports::{Cell, Machine, Outcome, Program, Record, SCHEMA_VERSION, TraceFacts};
use xxhash_rust::xxh3::xxh3_128;

use crate::args::CellArgs;
use crate::child::CellSpec;
use crate::measure::clock;
use crate::plan::{self, Scale, Selection};
use crate::progress::Progress;
use crate::registry::{self, Table};
use crate::workload::{self, CaptureOptions, Workload};
use crate::{machine, program};

/// Facts of the traces, by workload and connections.
type Traces = BTreeMap<(String, u64), TraceFacts>;

/// Everything chosen and prepared for a run.
#[derive(Debug)]
pub struct Session {
    /// Cells, in a stable order.
    pub cells: Vec<Cell>,
    /// What the profile says.
    pub scale: Scale,
    /// Seed of the run.
    pub seed: u64,
    captures: CaptureOptions,
    traces: Traces,
    program: Program,
    machine: Machine,
}

impl Session {
    /// Chooses the cells and prepares their traces: each is made once, and checked against the sequential reference.
    ///
    /// # Errors
    /// Unknown names, broken captures, a selection without cells, or a trace whose answers are wrong.
    pub fn prepare(args: &CellArgs, interrupted: &AtomicBool) -> Result<Self> {
        let captures = CaptureOptions {
            files: args.capture.clone(),
            strict: args.strict,
        };
        let tables = if args.tables.is_empty() {
            registry::tables()
        } else {
            registry::all_tables()
        };
        check_names("table", &args.tables, tables.iter().map(|t| t.name))?;
        let scale = args.profile.scale(machine::online_cpus());
        let (workloads, mut traces) = known_workloads(&captures, args)?;
        let cells = choose(&tables, &workloads, &scale, args)?;
        let wanted: Vec<(String, u64)> = missing(&cells, &traces);
        let progress = Progress::new("preparing", wanted.len() as u64);
        let built: Vec<_> = wanted
            .into_par_iter()
            .map(|(name, connections)| {
                // Relaxed: a lone flag.
                if interrupted.load(Ordering::Relaxed) {
                    bail!("interrupted while preparing traces");
                }
                let built =
                    workload::build(&name, connections, scale.ops(connections), args.seed, &captures)?;
                workload::check(&built)?;
                progress.step(&format!("{name} {}", plan::size_name(connections)));
                Ok(((name, connections), built.facts()))
            })
            .collect::<Result<_>>()?;
        progress.finish();
        traces.extend(built);
        Ok(Self {
            cells,
            scale,
            seed: args.seed,
            captures,
            traces,
            program: program::facts(),
            machine: machine::passport(),
        })
    }

    /// The trace of a cell.
    ///
    /// # Panics
    /// Never: preparation has made one for each cell.
    #[must_use]
    pub fn trace(&self, cell: &Cell) -> &TraceFacts {
        &self.traces[&(cell.workload.clone(), cell.connections)]
    }

    /// What a child is told for a cell.
    #[must_use]
    pub fn spec(&self, cell: &Cell) -> CellSpec {
        CellSpec {
            cell: cell.clone(),
            ops: self.scale.ops(cell.connections),
            captures: self.captures.clone(),
            trace: self.trace(cell).clone(),
        }
    }

    /// Key of a run: what it measures, on which trace, by which executable. Equal keys are the same result.
    #[must_use]
    pub fn key(&self, cell: &Cell, round: u32) -> String {
        let parameters = serde_json::json!({
            "schema": SCHEMA_VERSION,
            "cell": cell,
            "round": round,
            "trace": self.trace(cell),
            "executable": program::executable_hash(),
            "machine": self.machine,
        });
        format!("{:032x}", xxh3_128(parameters.to_string().as_bytes()))
    }

    /// The record of a run.
    #[must_use]
    pub fn record(&self, cell: &Cell, round: u32, outcome: Outcome) -> Record {
        Record {
            schema: SCHEMA_VERSION,
            key: self.key(cell, round),
            cell: cell.clone(),
            round,
            trace: self.trace(cell).clone(),
            program: self.program.clone(),
            machine: self.machine.clone(),
            finished_unix_s: clock::unix_seconds(),
            outcome,
        }
    }
}

/// Synthetic workloads and those of the captures. A capture decides its own size, so it is read here.
fn known_workloads(captures: &CaptureOptions, args: &CellArgs) -> Result<(Vec<Workload>, Traces)> {
    let mut workloads = workload::synthetic();
    let mut traces = BTreeMap::new();
    let names = workloads
        .iter()
        .map(|w| w.name.clone())
        .chain(captures.workload_names());
    check_names("workload", &args.workloads, names)?;
    for name in captures.workload_names() {
        if !args.workloads.is_empty() && !args.workloads.contains(&name) {
            continue;
        }
        let built = match workload::build(&name, 0, 0, args.seed, captures) {
            // Not every capture can be flooded; only who asks for it by name is refused.
            Err(problem) if name.starts_with(workload::FLOOD) && args.workloads.is_empty() => {
                eprintln!("{name}: left out: {problem:#}");
                continue;
            }
            built => built?,
        };
        workload::check(&built)?;
        for note in &built.notes {
            eprintln!("{name}: {note}");
        }
        let connections = built.connections;
        traces.insert((name.clone(), connections), built.facts());
        workloads.push(Workload::of_capture(name, &built));
    }
    Ok((workloads, traces))
}

/// Cells by selection; each named thing must exist, and something must be left.
fn choose(tables: &[Table], workloads: &[Workload], scale: &Scale, args: &CellArgs) -> Result<Vec<Cell>> {
    let filter = args.filter.as_deref().map(Regex::new).transpose();
    let selection = Selection {
        tables: args.tables.clone(),
        workloads: args.workloads.clone(),
        sizes: args.flows.clone(),
        threads: args.threads.clone(),
        filter: filter.context("--filter is no regular expression")?,
    };
    let cells = plan::cells(tables, workloads, scale, &selection, args.seed);
    if cells.is_empty() {
        bail!("no cell is left by this selection; `ctbench list cells` shows what there is");
    }
    Ok(cells)
}

fn check_names<N: Into<String>>(what: &str, asked: &[String], known: impl Iterator<Item = N>) -> Result<()> {
    let known: Vec<String> = known.map(Into::into).collect();
    match asked.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => bail!("no {what} is named {name}; there are: {}", known.join(", ")),
    }
}

fn missing(cells: &[Cell], traces: &Traces) -> Vec<(String, u64)> {
    let mut wanted: Vec<_> = cells
        .iter()
        .map(|cell| (cell.workload.clone(), cell.connections))
        .collect();
    wanted.sort();
    wanted.dedup();
    wanted.retain(|key| !traces.contains_key(key));
    wanted
}

/// Set by the first Ctrl-C; the second ends the program at once.
///
/// # Errors
/// Where the system takes no handler.
pub fn interruption() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        // Relaxed: a lone flag.
        if handler.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(crate::exit::INTERRUPTED));
        }
        eprintln!("\ninterrupted: finishing up (once more: stop at once)");
    })
    .context("installing the Ctrl-C handler")?;
    Ok(flag)
}

/// The folder a run writes to.
///
/// # Errors
/// Where `--resume` finds no earlier run.
pub fn run_folder(out: Option<&PathBuf>, resume: bool, profile: &str) -> Result<PathBuf> {
    if let Some(out) = out {
        return Ok(out.clone());
    }
    let results = PathBuf::from(RESULTS);
    if resume {
        return latest(&results, profile).with_context(|| {
            format!(
                "--resume found no earlier run in {}; name its folder with --out",
                results.display()
            )
        });
    }
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    Ok(results.join(format!("{profile}-{now}")))
}

/// Folder of runs without `--out`.
pub const RESULTS: &str = "results";

/// The newest run of a profile: its name ends with the time.
fn latest(results: &std::path::Path, profile: &str) -> Option<PathBuf> {
    let prefix = format!("{profile}-");
    let entries = std::fs::read_dir(results).ok()?.flatten();
    let runs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    runs.map(|entry| entry.path()).max()
}
