//! The parts of the report that are names and values: what ran, on what, with which traces, and what to beware of.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::plot::{PlotError, swatch};
use crate::record::{Machine, Outcome, Record};
use crate::stats::MIN_ROUNDS;
use crate::summary::{Failure, Group, HARNESS_TABLE, RunSummary};
use crate::units::{bytes, clean, elapsed, grouped, short_count, utc};

use super::command::quoted;
use super::context::Context;
use super::view::Fact;

/// What was run.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    date: String,
    commit: String,
    cells_ok: usize,
    cells_failed: usize,
    command: String,
    facts: Vec<Fact>,
}

pub(super) fn run(context: &Context<'_>) -> Run {
    let program = &context.newest.program;
    let times = context.records.iter().map(|record| record.finished_unix_s);
    let (first, last) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
    let rounds = context
        .records
        .iter()
        .map(|record| record.round)
        .collect::<BTreeSet<_>>()
        .len();
    let dirty = if program.dirty {
        " with uncommitted changes"
    } else {
        ""
    };
    let list = |names: &[String]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            clean(&names.join(", "))
        }
    };
    let mut facts = vec![
        Fact::new(
            "Cells",
            format!(
                "{} ok, {} failed",
                context.summary.cells_ok, context.summary.cells_failed
            ),
        ),
        Fact::new(
            "Records",
            format!(
                "{} in up to {rounds} rounds",
                grouped(context.summary.records as u64)
            ),
        ),
        Fact::new("First to last result", elapsed(last.saturating_sub(first))),
        Fact::new("Finished", utc(last)),
        Fact::new(
            "Version",
            format!(
                "ctbench {}, commit {}{dirty}",
                clean(&program.version),
                clean(&program.commit)
            ),
        ),
        Fact::new("Compiler", clean(&program.rustc)),
        Fact::new("Build", clean(&program.flags)),
        Fact::new("Features", list(&program.features)),
        Fact::new(
            "Seeds",
            joined(context.records.iter().map(|record| record.cell.seed.to_string())),
        ),
    ];
    if context.summary.superseded > 0 {
        let text = format!(
            "{} (newer ones, or ones of a newer build or trace, took their place)",
            context.summary.superseded
        );
        facts.push(Fact::new("Older records left out", text));
    }
    Run {
        date: utc(last),
        commit: clean(&program.commit).chars().take(10).collect(),
        cells_ok: context.summary.cells_ok,
        cells_failed: context.summary.cells_failed,
        command: quoted(&program.argv),
        facts,
    }
}

fn joined(values: impl Iterator<Item = String>) -> String {
    values
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(", ")
}

/// What makes these numbers weaker than they look.
pub(super) fn warnings(context: &Context<'_>) -> Vec<Fact> {
    let mut found = machine_warnings(&context.newest.machine);
    let distinct = |what: fn(&Record) -> String| {
        context
            .records
            .iter()
            .map(|record| what(record))
            .collect::<BTreeSet<_>>()
            .len()
    };
    let mut warn = |name: &str, text: String| found.push(Fact::new(name, text));
    let builds = distinct(|r| {
        format!(
            "{} {} {} {}",
            r.program.commit, r.program.dirty, r.program.rustc, r.program.flags
        )
    });
    if builds > 1 {
        warn(
            "Several builds",
            format!("the records come from {builds} builds; cells of different builds are compared"),
        );
    }
    let machines = distinct(|r| format!("{} {} {}", r.machine.cpu, r.machine.cpus, r.machine.kernel));
    if machines > 1 {
        warn(
            "Several machines",
            format!("the records come from {machines} machines; the passport is the newest's"),
        );
    }
    if context.newest.program.dirty {
        warn(
            "Uncommitted changes",
            "the commit alone does not say what was measured".to_owned(),
        );
    }
    if !context.newest.program.features.is_empty() {
        let features = clean(&context.newest.program.features.join(", "));
        warn(
            "Features",
            format!("built with {features}, which changes what is measured"),
        );
    }
    let few = context
        .summary
        .groups
        .iter()
        .flat_map(Group::measured)
        .filter(|(_, figures)| figures.rounds.len() < MIN_ROUNDS)
        .count();
    if few > 0 {
        warn(
            "Too few rounds",
            format!("{few} cells have fewer than {MIN_ROUNDS} rounds: no interval, no verdict"),
        );
    }
    let threads = context
        .summary
        .groups
        .iter()
        .map(|group| group.threads)
        .max()
        .unwrap_or(0);
    if threads > context.newest.machine.cpus {
        let cpus = context.newest.machine.cpus;
        warn(
            "More threads than CPUs",
            format!("{threads} threads on {cpus}: they waited for each other's time slices"),
        );
    }
    found
}

fn machine_warnings(machine: &Machine) -> Vec<Fact> {
    let mut found = Vec::new();
    let mut warn = |name: &str, text: String| found.push(Fact::new(name, text));
    if let Some(hypervisor) = &machine.hypervisor {
        let name = clean(hypervisor);
        warn(
            "Virtual machine",
            format!("under {name}: neighbours steal time and cache; page tables are two-dimensional"),
        );
    }
    if machine.smt == Some(true) {
        warn(
            "SMT is on",
            "two logical CPUs may share one core: two threads may gain less than two cores would".to_owned(),
        );
    }
    match machine.governor.as_deref() {
        Some("performance") => {}
        Some(governor) => {
            let name = clean(governor);
            warn(
                "Frequency governor",
                format!("{name}: the clock may change during a run; performance holds it"),
            );
        }
        None => warn(
            "Frequency governor",
            "not shown by this kernel: the clock may change unseen".to_owned(),
        ),
    }
    match machine.thp.as_deref() {
        Some("always") => warn(
            "Transparent huge pages",
            "always: large tables may get 2 MiB pages, small ones not, and not in every round".to_owned(),
        ),
        None => warn("Transparent huge pages", "setting unknown".to_owned()),
        Some(_) => {}
    }
    if machine.l2_bytes.is_none() || machine.l3_bytes.is_none() {
        warn(
            "Caches",
            "not all cache sizes are known: their lines are missing from the plots".to_owned(),
        );
    }
    found
}

/// Cells that failed in the same way.
#[derive(Debug, Serialize)]
pub(super) struct ErrorRow {
    table: String,
    workload: String,
    connections: String,
    threads: String,
    kind: &'static str,
    /// How many cells.
    cells: usize,
    /// Failed rounds of all rounds, all these cells together.
    rounds: String,
    message: String,
}

/// One row per table, workload, kind and message: a table that fails at every size would fill the page otherwise.
pub(super) fn errors(summary: &RunSummary) -> Vec<ErrorRow> {
    let mut same = BTreeMap::<_, Vec<(&Group, &Failure)>>::new();
    for group in &summary.groups {
        for row in &group.rows {
            if let Some(failure) = row.summary.failure() {
                let key = (&row.table, &group.scene.label, failure.kind, &failure.message);
                same.entry(key).or_default().push((group, failure));
            }
        }
    }
    same.into_iter()
        .map(|((table, workload, kind, message), cells)| {
            let sizes: BTreeSet<u64> = cells.iter().map(|(group, _)| group.connections).collect();
            let threads: BTreeSet<u32> = cells.iter().map(|(group, _)| group.threads).collect();
            let failed: usize = cells.iter().map(|(_, failure)| failure.failed_rounds).sum();
            let rounds: usize = cells.iter().map(|(_, failure)| failure.rounds).sum();
            ErrorRow {
                table: table.clone(),
                workload: workload.clone(),
                connections: sizes.into_iter().map(short_count).collect::<Vec<_>>().join(", "),
                threads: threads
                    .into_iter()
                    .map(|count| count.to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
                kind,
                cells: cells.len(),
                rounds: format!("{failed} of {rounds}"),
                message: message.clone(),
            }
        })
        .collect()
}

/// A trace.
#[derive(Debug, Serialize)]
pub(super) struct TraceRow {
    workload: String,
    size: String,
    ops: String,
    connections: String,
    source: String,
    digest: String,
}

/// One row per trace; a workload that differs between tables (it must not) shows as several.
pub(super) fn traces(context: &Context<'_>) -> Vec<TraceRow> {
    let mut seen = BTreeMap::new();
    for record in context.records {
        let key = (
            record.cell.workload.clone(),
            record.cell.connections,
            record.cell.seed,
            record.trace.digest.clone(),
        );
        seen.entry(key).or_insert(&record.trace);
    }
    seen.into_iter()
        .map(|((workload, connections, _, digest), trace)| TraceRow {
            workload: clean(&workload),
            size: short_count(connections),
            ops: grouped(trace.ops),
            connections: grouped(trace.connections),
            source: clean(&trace.source),
            digest: clean(&digest),
        })
        .collect()
}

pub(super) fn machine(context: &Context<'_>) -> Vec<Fact> {
    let machine = &context.newest.machine;
    let size = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), bytes);
    let text = |value: Option<&str>| value.map_or_else(|| "unknown".to_owned(), clean);
    let mut facts = vec![
        Fact::new("CPU", clean(&machine.cpu)),
        Fact::new("Microcode", text(machine.microcode.as_deref())),
        Fact::new("Logical CPUs", machine.cpus.to_string()),
        Fact::new("L1 data cache", size(machine.l1d_bytes)),
        Fact::new("L2 cache", size(machine.l2_bytes)),
        Fact::new("L3 cache", size(machine.l3_bytes)),
        Fact::new(
            "SMT",
            machine.smt.map_or("unknown", |on| if on { "on" } else { "off" }),
        ),
        Fact::new("Frequency governor", text(machine.governor.as_deref())),
        Fact::new(
            "NUMA nodes",
            machine
                .numa_nodes
                .map_or_else(|| "unknown".to_owned(), |nodes| nodes.to_string()),
        ),
        Fact::new("Memory", bytes(machine.memory_bytes)),
        Fact::new("Transparent huge pages", text(machine.thp.as_deref())),
        Fact::new("Kernel", clean(&machine.kernel)),
        Fact::new(
            "Hypervisor",
            machine
                .hypervisor
                .as_deref()
                .map_or_else(|| "none seen".to_owned(), clean),
        ),
    ];
    if let Some(clock) = context.records.iter().find_map(|record| match &record.outcome {
        Outcome::Ok(measurement) => Some(measurement.clock),
        Outcome::Error { .. } => None,
    }) {
        let cost = clock.cost_ps as f64 / 1000.0;
        let text = format!("{cost:.1} ns a reading, steps of {} ns", clock.resolution_ns);
        facts.push(Fact::new("Clock", text));
    }
    let mitigations = machine
        .mitigations
        .iter()
        .map(|(name, state)| Fact::new(format!("Mitigation: {}", clean(name)), clean(state)));
    facts.extend(mitigations);
    facts
}

/// A table of the run, for the legend of the whole report.
#[derive(Debug, Serialize)]
pub(super) struct TableRow {
    svg: String,
    name: String,
    about: String,
}

pub(super) fn tables(context: &Context<'_>) -> Result<Vec<TableRow>, PlotError> {
    let about = |table: &str| match context.options.about_tables.get(table) {
        Some(about) => clean(about),
        None if table == HARNESS_TABLE => {
            "does nothing: the cost of the harness itself; never ranked".to_owned()
        }
        None => String::new(),
    };
    let tables = context.summary.tables.iter();
    tables
        .map(|table| {
            Ok(TableRow {
                svg: swatch(table, context.look(table))?,
                name: table.clone(),
                about: about(table),
            })
        })
        .collect()
}

/// Burst sizes that were timed, in words: `32`, or `1 and 32`.
pub(super) fn bursts(summary: &RunSummary) -> String {
    let sizes: BTreeSet<u32> = summary
        .groups
        .iter()
        .flat_map(Group::measured)
        .filter_map(|(_, figures)| figures.latency.as_ref().map(|latency| latency.burst))
        .collect();
    sizes
        .into_iter()
        .map(|size| size.to_string())
        .collect::<Vec<_>>()
        .join(" and ")
}
