//! Throughput over threads.

use std::collections::{BTreeMap, BTreeSet};

use crate::plot::PlotError;
use crate::plot::axis::{log2, log2_axis, log10_axis};
use crate::plot::lines::{Lines, Point, Series};
use crate::stats::Interval;
use crate::summary::{Group, Scene};
use crate::units::{digits, grouped, short_count};

use super::super::context::{Context, note};
use super::super::view::{DataTable, Figure, Panel, PanelGroup};
use super::{interval_text, mpps};

pub(super) fn figure(context: &Context<'_>) -> Result<Option<Figure>, PlotError> {
    let (mut panels, mut shown) = (Vec::new(), Vec::new());
    for scene in &context.summary.scenes {
        let groups = by_threads(context, scene);
        if groups.len() > 1 && groups.iter().any(|group| group.measured().next().is_some()) {
            panels.push(panel(context, scene, &groups)?);
            shown.push(groups);
        }
    }
    if panels.is_empty() {
        return Ok(None);
    }
    let all: Vec<&Group> = shown.iter().flatten().copied().collect();
    let has_row = |table: &str| {
        all.iter()
            .any(|group| group.measured().any(|(row, _)| row.table == table))
    };
    Ok(Some(Figure {
        id: "threads".into(),
        title: "Throughput by threads".into(),
        caption: "Millions of packets per second of all threads together, at one size per workload. Whiskers are 95% \
                  intervals over rounds; dashed grey lines are perfect scaling."
            .into(),
        reading: "Both axes are logarithmic, so perfect scaling is a straight line parallel to the dashed ones: they start \
                  at the best and the worst table's throughput at the fewest threads. A line that bends down pays for \
                  sharing; one that falls is slower with more threads. All threads work on one table."
            .into(),
        beside: None,
        legend: context.legend(has_row)?,
        groups: vec![PanelGroup::plain(String::new(), panels)],
        commands: context.invocation.reproduce(all.iter().copied()),
        data: data(context, &shown),
    }))
}

/// The groups of the size that the most threads ran at, by threads.
fn by_threads<'a>(context: &Context<'a>, scene: &'a Scene) -> Vec<&'a Group> {
    let threads = context.summary.threads_of(scene);
    let Some(most) = threads.last() else {
        return Vec::new();
    };
    let Some(at) = context
        .summary
        .headline(scene, *most, context.options.focus_connections)
    else {
        return Vec::new();
    };
    let mut groups: Vec<&Group> = context
        .summary
        .of_scene(scene)
        .filter(|group| group.connections == at.connections)
        .collect();
    groups.sort_by_key(|group| group.threads);
    groups
}

fn panel(context: &Context<'_>, scene: &Scene, groups: &[&Group]) -> Result<Panel, PlotError> {
    let threads: Vec<u64> = groups.iter().map(|group| u64::from(group.threads)).collect();
    let (mut series, mut values) = (Vec::new(), Vec::new());
    for table in context.tables() {
        let points: Vec<Point> = groups
            .iter()
            .filter_map(|group| {
                let rate = &group.row(table)?.summary.figures()?.packets_per_s;
                let place = |value: f64| mpps(value).log10();
                let interval = rate
                    .interval
                    .map(|Interval { low, high }| (place(low), place(high)));
                Some(Point {
                    x: log2(u64::from(group.threads)),
                    y: place(rate.median),
                    interval,
                })
            })
            .collect();
        values.extend(points.iter().map(|point| 10f64.powf(point.y)));
        let markers = points.iter().map(|point| (point.x, point.y)).collect();
        series.push(Series {
            look: context.look(table),
            points,
            markers,
        });
    }
    // Who refuses is nobody's measure of scaling.
    let ranked = |table: &str| {
        groups
            .iter()
            .any(|group| group.ranked().any(|(row, _)| row.table == table))
    };
    let judged = context.tables().zip(&series).filter(|(table, _)| ranked(table));
    let references = perfect_scaling(judged.map(|(_, series)| series), &threads);
    values.extend(references.iter().flatten().map(|(_, y)| 10f64.powf(*y)));
    let size = groups.first().map_or(0, |group| group.connections);
    let plot = Lines {
        title: format!("Throughput of {} by threads", scene.label),
        description: format!(
            "{} lines, one per table, at {size} connections, with perfect scaling",
            series.len()
        ),
        x: log2_axis("threads", &threads),
        y: log10_axis("Mpps", values),
        series,
        marks: Vec::new(),
        references,
    };
    let title = format!("{} ({} connections)", scene.label, short_count(size));
    Ok(Panel {
        title,
        svg: plot.svg()?,
        note: failed_threads(groups),
    })
}

/// Tables without a number, and with how many threads where not with all.
fn failed_threads(groups: &[&Group]) -> String {
    let notes: BTreeMap<u32, String> = groups
        .iter()
        .map(|group| (group.threads, note(&[group])))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let distinct: BTreeSet<&String> = notes.values().collect();
    if notes.len() == groups.len() && distinct.len() == 1 {
        return distinct.into_iter().cloned().collect();
    }
    let each = notes
        .iter()
        .map(|(threads, text)| format!("Threads {threads}: {text}"));
    each.collect::<Vec<_>>().join(" ")
}

/// Lines through the best and the worst point at the fewest threads, as steep as the threads grow.
fn perfect_scaling<'a>(series: impl Iterator<Item = &'a Series>, threads: &[u64]) -> Vec<Vec<(f64, f64)>> {
    let (Some(first), Some(last)) = (threads.first(), threads.last()) else {
        return Vec::new();
    };
    let starts: Vec<f64> = series
        .filter_map(|series| series.points.first())
        .filter(|point| point.x <= log2(*first))
        .map(|point| point.y)
        .collect();
    let line = |start: f64| {
        let gain = (log2(*last) - log2(*first)) * 2f64.log10();
        vec![(log2(*first), start), (log2(*last), start + gain)]
    };
    let ends = [
        starts.iter().copied().reduce(f64::max),
        starts.iter().copied().reduce(f64::min),
    ];
    ends.into_iter().flatten().map(line).collect()
}

fn data(context: &Context<'_>, shown: &[Vec<&Group>]) -> DataTable {
    let mut rows = Vec::new();
    for groups in shown {
        for table in context.tables() {
            let mut base: Option<(u32, f64)> = None;
            for group in groups {
                let Some(row) = group.row(table) else { continue };
                let mut cells = vec![
                    group.scene.label.clone(),
                    table.to_owned(),
                    group.threads.to_string(),
                ];
                match row.summary.figures() {
                    Some(figures) => {
                        let rate = &figures.packets_per_s;
                        let (threads, single) = *base.get_or_insert((group.threads, rate.median));
                        let speedup = rate.median / single;
                        let perfect = f64::from(group.threads) / f64::from(threads.max(1));
                        cells.extend([
                            grouped(group.connections),
                            digits(mpps(rate.median)),
                            interval_text(rate, 1e6),
                            format!("{speedup:.2}×"),
                            format!("{:.0}%", 100.0 * speedup / perfect),
                        ]);
                    }
                    None => cells.push("ERROR".into()),
                }
                rows.push(cells);
            }
        }
    }
    DataTable {
        columns: vec![
            "workload",
            "table",
            "threads",
            "connections",
            "Mpps (median)",
            "95% interval",
            "speedup",
            "of perfect",
        ],
        names: 3,
        rows,
    }
}
