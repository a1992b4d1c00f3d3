//! The HTML report: one self-contained file.
//!
//! It makes no request to anywhere, runs no script, opens offline, reads on a phone, on paper, in light and in dark.
//! Everything that comes from a record (file names are part of workload names) is escaped by the template engine; only
//! drawings made here are inserted as they are, and those escape their own text.

mod command;
mod context;
mod facts;
mod figures;
mod matrix;
mod view;

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::plot::PlotError;
use crate::record::Record;
use crate::stats::{CONFIDENCE, MIN_ROUNDS};
use crate::summary::RunSummary;
use crate::units::clean;

use context::Context;
use view::{Fact, Figure, Matrix};

/// What a report can be told besides the records.
#[derive(Debug, Clone, Default)]
pub struct ReportOptions {
    /// Title; empty: "ctbench report".
    pub title: String,
    /// Connections that latency, threads and the matrix are shown at, instead of the largest size; the nearest size
    /// that was measured is used.
    pub focus_connections: Option<u64>,
    /// One line about a table, by name.
    pub about_tables: BTreeMap<String, String>,
    /// One line about a workload, by name.
    pub about_workloads: BTreeMap<String, String>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is nothing to report on.
    #[error("no records: run `ctbench bench` first, or name the folder of a run that has a records.jsonl")]
    Empty,
    /// A plot failed.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The template failed.
    #[error("the report's template cannot be filled in: {0:#}")]
    Template(#[from] minijinja::Error),
}

const TEMPLATE: &str = include_str!("template.html");
const STYLE: &str = include_str!("style.css");

/// What the template is filled in with.
#[derive(Debug, Serialize)]
struct Page {
    title: String,
    style: &'static str,
    run: facts::Run,
    warnings: Vec<Fact>,
    errors: Vec<facts::ErrorRow>,
    matrices: Vec<Matrix>,
    figures: Vec<Figure>,
    traces: Vec<facts::TraceRow>,
    machine: Vec<Fact>,
    tables: Vec<facts::TableRow>,
    bursts: String,
    confidence: f64,
    min_rounds: usize,
}

/// The report of a run, as HTML.
///
/// # Errors
/// [`ReportError::Empty`] without records; the others only by a mistake in this crate.
pub fn render(records: &[Record], options: &ReportOptions) -> Result<String, ReportError> {
    let summary = RunSummary::from_records(records);
    let (current, _) = crate::store::current(records);
    let context = Context::new(&summary, &current, options).ok_or(ReportError::Empty)?;
    let mut environment = Environment::new();
    // The name's ending turns escaping on.
    environment.add_template("report.html", TEMPLATE)?;
    let title = if options.title.is_empty() {
        "ctbench report".to_owned()
    } else {
        clean(&options.title)
    };
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let page = Page {
        title,
        style: STYLE,
        run: facts::run(&context),
        warnings: facts::warnings(&context),
        errors: facts::errors(&summary),
        matrices: matrix::all(&context)?,
        figures: figures::all(&context)?,
        traces: facts::traces(&context),
        machine: facts::machine(&context),
        tables: facts::tables(&context)?,
        bursts: facts::bursts(&summary),
        confidence: CONFIDENCE * 100.0,
        min_rounds: MIN_ROUNDS,
    };
    let html = environment.get_template("report.html")?.render(Serde(&page))?;
    Ok(html)
}
