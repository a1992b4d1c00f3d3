//! Distribution of the time per packet.

use crate::plot::PlotError;
use crate::plot::axis::{log10_axis, nanoseconds, nines, percentile_axis};
use crate::plot::lines::{Lines, Point, Series};
use crate::plot::look::Look;
use crate::stats::total;
use crate::summary::{Figures, Group};
use crate::units::{duration, grouped, short_count};

use super::super::context::{Context, note};
use super::super::view::{DataTable, Figure, Panel, PanelGroup};

/// Steps closer than this on the percentile axis are left out: less than a pixel.
const LEAST_STEP: f64 = 0.012;
/// Percentiles are drawn as far as so many bursts can tell them, to 99.99: what is rarer is mostly the machine's
/// interrupts, would press everything else to the floor, and is in the data table.
const MOST_BURSTS: u64 = 10_000;
/// Percentiles that get a marker, as number of nines.
const MARKED: [f64; 4] = [std::f64::consts::LOG10_2, 1.0, 2.0, 3.0];

pub(super) fn figure(context: &Context<'_>) -> Result<Option<Figure>, PlotError> {
    let groups: Vec<&Group> = context
        .summary
        .scenes
        .iter()
        .filter_map(|scene| context.headline(scene))
        .filter(|group| group.measured().any(|(_, figures)| figures.latency.is_some()))
        .collect();
    if groups.is_empty() {
        return Ok(None);
    }
    let panels = groups
        .iter()
        .map(|group| panel(context, group))
        .collect::<Result<_, _>>()?;
    let has_row = |table: &str| {
        groups
            .iter()
            .any(|group| group.measured().any(|(row, _)| row.table == table))
    };
    Ok(Some(Figure {
        id: "latency".into(),
        title: "Latency: time per packet by percentile".into(),
        caption: format!(
            "Time per packet over percentiles of bursts, all rounds together. Each value is a mean over a burst of {}: \
             a burst is what the clock can time without disturbing, and one slow packet shows with that fraction of its delay.",
            super::super::facts::bursts(context.summary)
        ),
        reading: "Percentiles are spaced by nines: each step to the right is ten times rarer. A flat line is a \
                  predictable table; a line that turns up at the right has rare slow bursts (resizes, evictions, locks, but \
                  also interrupts of the machine, which hit every table alike). Lines end at 99.99, or where \
                  there are no more bursts to tell percentiles from; the maximum is in the numbers below."
            .into(),
        beside: None,
        legend: context.legend(has_row)?,
        groups: vec![PanelGroup::plain(String::new(), panels)],
        commands: context.invocation.reproduce(groups.iter().copied()),
        data: data(&groups),
    }))
}

fn panel(context: &Context<'_>, group: &Group) -> Result<Panel, PlotError> {
    let ranked: Vec<(Look, &Figures)> = group
        .measured()
        .map(|(row, figures)| (context.look(&row.table), figures))
        .collect();
    let most = ranked
        .iter()
        .map(|(_, figures)| total(&figures.batches))
        .max()
        .unwrap_or(0);
    let x = percentile_axis("percentile", most.min(MOST_BURSTS));
    let series: Vec<Series> = ranked
        .iter()
        .filter_map(|(look, figures)| series(*look, figures))
        .collect();
    let values = series
        .iter()
        .flat_map(|series| series.points.iter().map(|point| 10f64.powf(point.y)));
    let mut y = log10_axis("per packet", values);
    for (place, label) in &mut y.ticks {
        *label = nanoseconds(10f64.powf(*place));
    }
    let plot = Lines {
        title: format!("Time per packet of {} by percentile", group.scene.label),
        description: format!(
            "{} lines, one per table, at {} connections",
            series.len(),
            group.connections
        ),
        x,
        y,
        series,
        marks: Vec::new(),
        references: Vec::new(),
    };
    let title = format!(
        "{} ({} connections)",
        group.scene.label,
        short_count(group.connections)
    );
    Ok(Panel {
        title,
        svg: plot.svg()?,
        note: note(&[group]),
    })
}

/// Steps of the distribution: a value holds from the share of bursts below it to the share up to it.
fn series(look: Look, figures: &Figures) -> Option<Series> {
    let latency = figures.latency.as_ref()?;
    let all = total(&figures.batches);
    let end = nines(all.saturating_sub(1), all).min(nines(MOST_BURSTS - 1, MOST_BURSTS));
    let (mut points, mut below) = (Vec::<Point>::new(), 0u64);
    for &(burst_ns, count) in &figures.batches {
        let y = (burst_ns.max(1) as f64 / f64::from(latency.burst.max(1))).log10();
        let from = nines(below, all);
        if from > end {
            break;
        }
        below = below.saturating_add(count);
        let to = nines(below, all).min(end);
        if points
            .last()
            .is_none_or(|last| to - last.x >= LEAST_STEP || from - last.x >= LEAST_STEP)
        {
            points.push(Point {
                x: from,
                y,
                interval: None,
            });
            points.push(Point {
                x: to.max(from),
                y,
                interval: None,
            });
        }
    }
    let height_at = |x: f64| points.iter().find(|point| point.x >= x).map(|point| (x, point.y));
    let markers = MARKED
        .into_iter()
        .filter(|place| *place <= end)
        .filter_map(height_at)
        .collect();
    Some(Series {
        look,
        points,
        markers,
    })
}

fn data(groups: &[&Group]) -> DataTable {
    let mut rows = Vec::new();
    for group in groups {
        for row in &group.rows {
            let mut cells = vec![
                group.scene.label.clone(),
                grouped(group.connections),
                row.table.clone(),
            ];
            let latency = row.summary.figures().map(|figures| figures.latency.as_ref());
            match latency {
                Some(Some(latency)) => cells.extend([
                    duration(latency.p50_ns),
                    duration(latency.p90_ns),
                    duration(latency.p99_ns),
                    format!(
                        "{} to {}",
                        duration(latency.p99_rounds_ns.0),
                        duration(latency.p99_rounds_ns.1)
                    ),
                    duration(latency.p999_ns),
                    duration(latency.max_ns),
                    grouped(latency.batches),
                ]),
                Some(None) => cells.push("no burst was timed".into()),
                None => cells.push("ERROR".into()),
            }
            rows.push(cells);
        }
    }
    DataTable {
        columns: vec![
            "workload",
            "connections",
            "table",
            "p50",
            "p90",
            "p99",
            "p99 of rounds",
            "p99.9",
            "max",
            "bursts",
        ],
        names: 3,
        rows,
    }
}
