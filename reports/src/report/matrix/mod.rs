//! The summary matrices: tables by workloads, each cell the ratio to the column's best.
//!
//! Losses are as visible as wins: a cell shows how many times worse it is, in words and by colour.

mod columns;

use crate::plot::PlotError;
use crate::plot::swatch;
use crate::stats::geometric_mean;
use crate::summary::{Group, Scene};

use super::context::Context;
use super::view::{Matrix, MatrixCell, MatrixRow};
use columns::{Column, distance, two_digits};

pub(super) fn all(context: &Context<'_>) -> Result<Vec<Matrix>, PlotError> {
    let scenes = &context.summary.scenes;
    let mut matrices = Vec::new();
    let fewest: Vec<(&Scene, &Group)> = scenes
        .iter()
        .filter_map(|scene| Some((scene, context.headline(scene)?)))
        .collect();
    let most: Vec<(&Scene, &Group)> = scenes
        .iter()
        .filter_map(|scene| Some((scene, context.most_threads(scene)?)))
        .collect();
    for (id, groups) in [("matrix", &fewest), ("matrix-threads", &most)] {
        let columns: Vec<Column<'_>> = groups
            .iter()
            .flat_map(|(scene, group)| columns::throughput(context, scene, group))
            .collect();
        let title = format!("Throughput, {}", threads_text(&columns));
        matrices.extend(matrix(context, id, title, throughput_caption(&columns), columns)?);
    }
    let tails: Vec<Column<'_>> = fewest
        .iter()
        .map(|(scene, group)| columns::tail(context, scene, group))
        .collect();
    let title = format!("Tail latency, {}", threads_text(&tails));
    matrices.extend(matrix(
        context,
        "matrix-tail",
        title,
        TAIL_CAPTION.to_owned(),
        tails,
    )?);
    let memory = super::figures::memory::scene(context)
        .map(|scene| {
            let groups = context.sizes(scene, context.fewest_threads(scene));
            groups
                .into_iter()
                .map(|group| columns::memory(scene, group))
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    let caption = format!("{MEMORY_CAPTION}{}", super::figures::memory::not_weighed(context));
    matrices.extend(matrix(
        context,
        "matrix-memory",
        "Memory".to_owned(),
        caption,
        memory,
    )?);
    Ok(matrices)
}

fn throughput_caption(columns: &[Column<'_>]) -> String {
    let mut caption = THROUGHPUT_CAPTION.to_owned();
    if columns.iter().any(|column| column.group.at_limit) {
        caption.push_str(LIMIT_CAPTION);
    }
    caption
}

const THROUGHPUT_CAPTION: &str = "How many times lower the median throughput is than the best of the column \
    (1.00× is the best); below it packets per second and the half width of its 95% interval.";
const LIMIT_CAPTION: &str = " Where tables met their limit, only those that evict are ranked: one that refuses newcomers \
    does less work, so its figure is shown and not compared. The column orphaned beside it says what is lost: packets of \
    legitimate connections that had been refused or evicted, of all packets; it is ranked by itself.";
const TAIL_CAPTION: &str = "How many times longer the 99th percentile of time per packet is than the best of the \
    column. Each value is a mean over one burst. Below it the percentile over all rounds; the ratio is that of the \
    medians of the rounds' percentiles.";
const MEMORY_CAPTION: &str = "How many times more bytes per connection than the best of the column, as the allocator \
    counts them, preallocation included. Counted, not estimated: ties are within 1%.";

fn threads_text(columns: &[Column<'_>]) -> String {
    let mut counts: Vec<u32> = columns.iter().map(|column| column.group.threads).collect();
    counts.sort_unstable();
    counts.dedup();
    match counts.as_slice() {
        [1] => "one thread".to_owned(),
        [count] => format!("{count} threads"),
        _ => "as many threads as each column ran".to_owned(),
    }
}

/// `None` where no cell would hold anything.
fn matrix(
    context: &Context<'_>,
    id: &str,
    title: String,
    caption: String,
    columns: Vec<Column<'_>>,
) -> Result<Option<Matrix>, PlotError> {
    if columns.is_empty() || context.tables().next().is_none() {
        return Ok(None);
    }
    let common = common_columns(context, &columns);
    let mut rows = Vec::new();
    for table in context.tables() {
        let cells: Vec<MatrixCell> = columns.iter().map(|column| cell(column, table)).collect();
        let (order, overall) = overall(&columns, &common, table);
        let svg = swatch(table, context.look(table))?;
        rows.push((
            order,
            MatrixRow {
                svg,
                table: table.to_owned(),
                cells,
                overall,
            },
        ));
    }
    rows.sort_by(|one, other| {
        one.0
            .total_cmp(&other.0)
            .then_with(|| one.1.table.cmp(&other.1.table))
    });
    let overall = if common.len() > 1 {
        format!("over {} columns", common.len())
    } else {
        String::new()
    };
    Ok(Some(Matrix {
        id: id.to_owned(),
        title,
        caption,
        columns: columns.into_iter().map(|column| column.head).collect(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        overall,
    }))
}

/// Columns that every table was tried in: a mean over different columns for different tables would compare nothing.
fn common_columns(context: &Context<'_>, columns: &[Column<'_>]) -> Vec<usize> {
    let tried = |column: &Column<'_>| {
        let mut tables = context.tables();
        column.counts && tables.all(|table| column.group.row(table).is_some()) && !column.ratios.is_empty()
    };
    columns
        .iter()
        .enumerate()
        .filter(|(_, column)| tried(column))
        .map(|(index, _)| index)
        .collect()
}

fn cell(column: &Column<'_>, table: &str) -> MatrixCell {
    if let Some(cell) = column.cells.get(table) {
        return cell.clone();
    }
    let failure = column.group.row(table).and_then(|row| row.summary.failure());
    match failure {
        Some(failure) => MatrixCell {
            class: "err",
            text: "ERROR".to_owned(),
            word: "",
            detail: failure.kind.to_owned(),
        },
        None => MatrixCell {
            class: "none",
            text: "—".to_owned(),
            word: "not run",
            detail: String::new(),
        },
    }
}

/// Geometric mean of the ratios over the common columns, and what rows are sorted by. A table that some column does not
/// rank has none, and comes after those that have.
fn overall(columns: &[Column<'_>], common: &[usize], table: &str) -> (f64, Option<MatrixCell>) {
    let common = || common.iter().map(|&index| &columns[index]);
    let ratios: Vec<f64> = common()
        .filter_map(|column| column.ratios.get(table).copied())
        .collect();
    let mean = geometric_mean(&ratios);
    let count = common().count();
    if count < 2 {
        return (mean.unwrap_or(f64::MAX), None);
    }
    let cell = |class, text| MatrixCell {
        class,
        text,
        word: "",
        detail: String::new(),
    };
    let unranked = common()
        .filter(|column| column.cells.contains_key(table) && !column.ratios.contains_key(table))
        .count();
    let missing = count - ratios.len() - unranked;
    let behind = |step: f64| step * 1e100 + mean.unwrap_or(1e99).min(1e99);
    match mean {
        _ if missing > 0 => (behind(2.0), Some(cell("err", format!("{missing} missing")))),
        _ if unranked > 0 => (
            behind(1.0),
            Some(cell("unranked", format!("not ranked in {unranked}"))),
        ),
        Some(mean) => (mean, Some(cell(distance(mean), format!("{}×", two_digits(mean))))),
        None => (f64::MAX, None),
    }
}
