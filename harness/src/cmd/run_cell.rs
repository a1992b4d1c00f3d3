//! `run-cell`: the child's side. Prints one [`Outcome`] as JSON on stdout.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use reports::{ErrorKind, Outcome};

use crate::args::RunCellArgs;
use crate::child::CellSpec;
use crate::measure::run::{Job, RunError};
use crate::measure::worker::LookupMode;
use crate::registry;
use crate::workload;

/// Runs the cell.
///
/// # Errors
/// A malformed specification, a trace that cannot be made again as it was: the parent records them as a crash.
pub fn run(args: &RunCellArgs) -> Result<ExitCode> {
    let spec: CellSpec = serde_json::from_str(&args.spec).context("reading --spec")?;
    let outcome = outcome_of(&spec)?;
    super::print(&serde_json::to_string(&outcome)?)?;
    Ok(ExitCode::SUCCESS)
}

fn outcome_of(spec: &CellSpec) -> Result<Outcome> {
    let cell = &spec.cell;
    let table = registry::all_tables()
        .into_iter()
        .find(|table| table.name == cell.table);
    let table = table.with_context(|| format!("no table is named {}", cell.table))?;
    let trace = workload::build(
        &cell.workload,
        cell.connections,
        spec.ops,
        cell.seed,
        &spec.captures,
    )?
    .trace;
    let digest = trace.digest().to_string();
    if digest != spec.trace.digest {
        bail!(
            "the trace of {} has digest {digest}, not {}",
            cell.workload,
            spec.trace.digest
        );
    }
    let job = Job {
        trace: &trace,
        threads: cell.threads as usize,
        mode: if cell.batch > 1 {
            LookupMode::Batched
        } else {
            LookupMode::Single
        },
        cores: core_affinity::get_core_ids().unwrap_or_default(),
    };
    Ok(match table.run(&job) {
        Ok(measurement) => Outcome::Ok(Box::new(measurement)),
        Err(error) => Outcome::Error {
            kind: kind_of(&error),
            message: error.to_string(),
        },
    })
}

const fn kind_of(error: &RunError) -> ErrorKind {
    match error {
        RunError::Build(_) | RunError::NotPartitionable { .. } => ErrorKind::Build,
        RunError::Wrong(_) => ErrorKind::WrongAnswer,
    }
}
