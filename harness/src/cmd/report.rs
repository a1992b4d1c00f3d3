//! `report`: from records to summary and HTML.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use reports::Record;
use reports::report::ReportOptions;
use reports::summary::RunSummary;

use crate::args::ReportArgs;
use crate::{exit, registry, workload};

/// Name of the report in a run's folder.
pub const FILE: &str = "report.html";

/// Columns of the summary table: what every terminal has.
const WIDTH: usize = 80;

/// Makes the report of a run again.
///
/// # Errors
/// Records that cannot be read, a report that cannot be written.
pub fn run(args: &ReportArgs) -> Result<ExitCode> {
    let loaded = reports::store::read_run(&args.dir)?;
    if let Some(torn) = &loaded.torn {
        eprintln!("{torn}");
    }
    let output = args.output.clone().unwrap_or_else(|| args.dir.join(FILE));
    let shown = if args.json {
        Shown::Json
    } else if args.all {
        Shown::All
    } else {
        Shown::Headline
    };
    let failed = write(&loaded.records, &output, shown)?;
    Ok(if failed {
        ExitCode::from(exit::FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// What of the summary goes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// One screen.
    Headline,
    /// Every workload and size.
    All,
    /// Everything, for programs.
    Json,
}

/// Writes the report and prints summary and path. True where a cell failed.
///
/// # Errors
/// No records, or a file that cannot be written.
pub fn write(records: &[Record], output: &Path, shown: Shown) -> Result<bool> {
    if records.is_empty() {
        bail!("no cell is finished: nothing to report");
    }
    let summary = RunSummary::from_records(records);
    let html = reports::report::render(records, &options())?;
    std::fs::write(output, html).with_context(|| format!("writing {}", output.display()))?;
    if shown == Shown::Json {
        super::print_json(&summary)?;
    } else {
        let text = match shown {
            Shown::All => reports::summary::render_all(&summary, WIDTH),
            _ => reports::summary::render(&summary, WIDTH),
        };
        super::print(&text)?;
        super::print(&format!(
            "\nrecords: {}\n",
            output.with_file_name(reports::store::RECORDS).display()
        ))?;
        super::print(&format!("report:  {}\n", output.display()))?;
    }
    Ok(summary.failed())
}

/// What the report says of tables and workloads.
fn options() -> ReportOptions {
    let about = |table: registry::Table| {
        (
            table.name.to_owned(),
            format!("{}; {}", table.info.summary, table.info.locking),
        )
    };
    ReportOptions {
        about_tables: registry::all_tables().into_iter().map(about).collect(),
        about_workloads: workload::synthetic()
            .into_iter()
            .map(|w| (w.name, gist(&w.about)))
            .collect(),
        ..ReportOptions::default()
    }
}

/// The first clause of a description: what fits over a column.
fn gist(about: &str) -> String {
    about.split([';', ':', ',']).next().unwrap_or(about).to_owned()
}
