//! The summary matrices: tables by workloads, each cell the ratio to the column's best.
//!
//! Losses are as visible as wins: a cell shows how many times worse it is, in words and by colour.

use std::collections::BTreeMap;

use crate::plot::PlotError;
use crate::plot::swatch;
use crate::stats::geometric_mean;
use crate::summary::{Better, Figures, Group, Place, Scene, Standing, rank};
use crate::units::{digits, duration, grouped, short_count};

use super::context::Context;
use super::view::{Matrix, MatrixCell, MatrixColumn, MatrixRow};

/// Bytes per connection closer than this are called a tie: they are counted, not estimated, so there is no interval,
/// but size classes of the allocator alone move them by as much.
const MEMORY_TIE: f64 = 1.01;

/// A column before it is written down.
struct Column<'a> {
    head: MatrixColumn,
    group: &'a Group,
    places: BTreeMap<&'a str, (Place, String)>,
}

pub(super) fn all(context: &Context<'_>) -> Result<Vec<Matrix>, PlotError> {
    let scenes = &context.summary.scenes;
    let mut matrices = Vec::new();
    let fewest: Vec<Column<'_>> = scenes
        .iter()
        .filter_map(|scene| Some(throughput_column(context, scene, context.headline(scene)?)))
        .collect();
    matrices.extend(matrix(
        context,
        "matrix",
        format!("Throughput, {}", threads_text(&fewest)),
        THROUGHPUT_CAPTION,
        fewest,
    )?);
    let most: Vec<Column<'_>> = scenes
        .iter()
        .filter_map(|scene| {
            let threads = context.summary.threads_of(scene);
            let (first, last) = (threads.first()?, threads.last()?);
            let group = context
                .summary
                .headline(scene, *last, context.options.focus_connections)?;
            (first != last).then(|| throughput_column(context, scene, group))
        })
        .collect();
    let title = format!("Throughput, {}", threads_text(&most));
    matrices.extend(matrix(
        context,
        "matrix-threads",
        title,
        THROUGHPUT_CAPTION,
        most,
    )?);
    let tails: Vec<Column<'_>> = scenes
        .iter()
        .filter_map(|scene| Some(tail_column(context, scene, context.headline(scene)?)))
        .collect();
    let title = format!("Tail latency, {}", threads_text(&tails));
    matrices.extend(matrix(context, "matrix-tail", title, TAIL_CAPTION, tails)?);
    let memory = super::figures::memory::scene(context)
        .map(|scene| {
            let groups = context.sizes(scene, context.fewest_threads(scene));
            groups
                .into_iter()
                .map(|group| memory_column(scene, group))
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    matrices.extend(matrix(
        context,
        "matrix-memory",
        "Memory".to_owned(),
        MEMORY_CAPTION,
        memory,
    )?);
    Ok(matrices)
}

const THROUGHPUT_CAPTION: &str = "How many times lower the median throughput is than the best of the column \
    (1.00× is the best); below it packets per second and the half width of its 95% interval.";
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

fn head(context: &Context<'_>, scene: &Scene, group: &Group) -> MatrixColumn {
    MatrixColumn {
        name: scene.label.clone(),
        about: context.about_workload(&scene.workload),
        size: format!("{} conn.", short_count(group.connections)),
    }
}

fn throughput_column<'a>(context: &Context<'_>, scene: &Scene, group: &'a Group) -> Column<'a> {
    let places = group
        .ranked()
        .filter_map(|(row, figures)| {
            let rate = &figures.packets_per_s;
            let reach = rate.interval.map_or_else(String::new, |i| {
                format!("\n±{:.1}%", 100.0 * i.relative_half_width(rate.median))
            });
            Some((
                row.table.as_str(),
                (row.place?, format!("{} Mpps{reach}", digits(rate.median / 1e6))),
            ))
        })
        .collect();
    Column {
        head: head(context, scene, group),
        group,
        places,
    }
}

fn tail_column<'a>(context: &Context<'_>, scene: &Scene, group: &'a Group) -> Column<'a> {
    let rounds = |figures: &Figures| -> Vec<(u32, f64)> {
        figures
            .rounds
            .iter()
            .filter_map(|round| Some((round.round, round.p99_ns?)))
            .collect()
    };
    let ranked: Vec<_> = group.ranked().collect();
    let entries: Vec<Vec<(u32, f64)>> = ranked.iter().map(|(_, figures)| rounds(figures)).collect();
    let places = ranked
        .iter()
        .zip(rank(&entries, Better::Lower))
        .filter_map(|((row, figures), place)| {
            let latency = figures.latency.as_ref()?;
            Some((row.table.as_str(), (place?, duration(latency.p99_ns))))
        })
        .collect();
    Column {
        head: head(context, scene, group),
        group,
        places,
    }
}

fn memory_column<'a>(scene: &Scene, group: &'a Group) -> Column<'a> {
    let known: Vec<(&str, f64)> = group
        .ranked()
        .filter_map(|(row, figures)| Some((row.table.as_str(), figures.memory.as_ref()?.allocated)))
        .filter(|(_, bytes)| *bytes > 0.0)
        .collect();
    let best = known
        .iter()
        .map(|(_, bytes)| *bytes)
        .fold(f64::INFINITY, f64::min);
    let place = |bytes: f64| {
        let times_worse = bytes / best;
        let standing = match times_worse {
            _ if known.len() == 1 => Standing::Only,
            times if times <= 1.0 => Standing::Best,
            times if times <= MEMORY_TIE => Standing::Tie,
            _ => Standing::Behind,
        };
        Place {
            standing,
            times_worse,
            interval: None,
        }
    };
    let places = known
        .iter()
        .map(|&(table, bytes)| (table, (place(bytes), format!("{} B", digits(bytes)))))
        .collect();
    let head = MatrixColumn {
        name: format!("{} conn.", short_count(group.connections)),
        about: grouped(group.connections),
        size: scene.label.clone(),
    };
    Column { head, group, places }
}

/// `None` where no cell would hold anything.
fn matrix(
    context: &Context<'_>,
    id: &str,
    title: String,
    caption: &str,
    columns: Vec<Column<'_>>,
) -> Result<Option<Matrix>, PlotError> {
    if columns.is_empty() || context.ranked_tables().next().is_none() {
        return Ok(None);
    }
    let common = common_columns(context, &columns);
    let mut rows = Vec::new();
    for table in context.ranked_tables() {
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
        caption: caption.to_owned(),
        columns: columns.into_iter().map(|column| column.head).collect(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        overall,
    }))
}

/// Columns that every table was tried in: a mean over different columns for different tables would compare nothing.
fn common_columns(context: &Context<'_>, columns: &[Column<'_>]) -> Vec<usize> {
    let tried = |column: &Column<'_>| {
        let mut tables = context.ranked_tables();
        tables.all(|table| column.group.row(table).is_some()) && !column.places.is_empty()
    };
    columns
        .iter()
        .enumerate()
        .filter(|(_, column)| tried(column))
        .map(|(index, _)| index)
        .collect()
}

fn cell(column: &Column<'_>, table: &str) -> MatrixCell {
    if let Some((place, detail)) = column.places.get(table) {
        return placed(place, detail.clone());
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

fn placed(place: &Place, detail: String) -> MatrixCell {
    let (class, word) = match place.standing {
        Standing::Best => ("best", "best"),
        Standing::Tie => ("tie", "tie"),
        Standing::TooFew => ("few", "too few rounds"),
        Standing::Only => ("only", "only one"),
        Standing::Behind | Standing::Harness | Standing::Failed => (distance(place.times_worse), ""),
    };
    MatrixCell {
        class,
        text: format!("{}×", two_digits(place.times_worse)),
        word,
        detail,
    }
}

fn two_digits(times: f64) -> String {
    if times < 9.995 {
        format!("{times:.2}")
    } else {
        digits(times)
    }
}

/// Steps of colour.
fn distance(times_worse: f64) -> &'static str {
    match times_worse {
        times if times <= 1.1 => "d1",
        times if times <= 1.5 => "d2",
        times if times <= 2.0 => "d3",
        times if times <= 4.0 => "d4",
        _ => "d5",
    }
}

/// Geometric mean of the ratios over the common columns, and what rows are sorted by.
fn overall(columns: &[Column<'_>], common: &[usize], table: &str) -> (f64, Option<MatrixCell>) {
    let ratios: Vec<f64> = common
        .iter()
        .filter_map(|&index| {
            columns[index]
                .places
                .get(table)
                .map(|(place, _)| place.times_worse)
        })
        .collect();
    if common.len() < 2 {
        return (ratios.first().copied().unwrap_or(f64::MAX), None);
    }
    let missing = common.len() - ratios.len();
    if missing > 0 {
        let text = format!("{missing} missing");
        return (
            f64::MAX,
            Some(MatrixCell {
                class: "err",
                text,
                word: "",
                detail: String::new(),
            }),
        );
    }
    match geometric_mean(&ratios) {
        Some(mean) => {
            let text = format!("{}×", two_digits(mean));
            (
                mean,
                Some(MatrixCell {
                    class: distance(mean),
                    text,
                    word: "",
                    detail: String::new(),
                }),
            )
        }
        None => (f64::MAX, None),
    }
}
