//! What happens over time while a table fills.

use crate::plot::PlotError;
use crate::plot::areas::{Areas, Layer};
use crate::plot::axis::{Axis, linear_axis, log10_axis};
use crate::plot::lines::{Lines, Point, Series};
use crate::record::TimelinePoint;
use crate::summary::{Group, HARNESS_TABLE, Standing};
use crate::units::{digits, grouped, percent, short_count, short_number};

use super::super::context::{Context, note};
use super::super::view::{DataTable, Figure, LegendItem, Panel, PanelGroup};
use super::mpps;

/// Most points drawn of a timeline: two per pixel of the plot.
const MOST_POINTS: usize = 720;
const MS_PER_S: f64 = 1000.0;

/// Layers of what is in the table: name, colour, value.
type LayerSpec = (&'static str, u8, fn(&TimelinePoint) -> u64);
const LIVE: [LayerSpec; 3] = [
    ("legitimate, ASSURED", 0, |point| point.live_assured),
    ("legitimate, not ASSURED", 4, |point| point.live_unassured),
    ("attack", 1, |point| point.live_attack),
];

/// What can be lost: name, value.
type LossSpec = (&'static str, fn(&TimelinePoint) -> u64);
const LOSSES: [LossSpec; 4] = [
    ("orphaned packets", |point| point.orphaned),
    ("evicted, legitimate", |point| point.evicted_legitimate),
    ("evicted, attack", |point| point.evicted_attack),
    ("refused newcomers", |point| point.refused),
];

/// One figure per workload that fills the table.
pub(super) fn figures(context: &Context<'_>) -> Result<Vec<Figure>, PlotError> {
    let mut figures = Vec::new();
    for scene in &context.summary.scenes {
        let Some(group) = context.headline(scene) else {
            continue;
        };
        let timelines: Vec<(&str, Vec<TimelinePoint>)> = group
            .rows
            .iter()
            .filter(|row| row.table != HARNESS_TABLE)
            .filter_map(|row| Some((row.table.as_str(), &row.summary.figures()?.timeline)))
            .filter(|(_, timeline)| !timeline.is_empty())
            .map(|(table, timeline)| (table, thinned(timeline)))
            .collect();
        if !timelines.is_empty() {
            figures.push(figure(context, group, &timelines, figures.len())?);
        }
    }
    Ok(figures)
}

/// Every so many points, the last among them; time never runs backwards.
fn thinned(timeline: &[TimelinePoint]) -> Vec<TimelinePoint> {
    let step = timeline.len().div_ceil(MOST_POINTS).max(1);
    let mut points: Vec<TimelinePoint> = timeline.iter().step_by(step).copied().collect();
    if let Some(last) = timeline.last().filter(|last| points.last() != Some(*last)) {
        points.push(*last);
    }
    points.sort_by_key(|point| (point.time_ms, point.op));
    points
}

fn figure(
    context: &Context<'_>,
    group: &Group,
    timelines: &[(&str, Vec<TimelinePoint>)],
    number: usize,
) -> Result<Figure, PlotError> {
    let axes = Axes::of(timelines);
    let live = timelines.iter().map(|(table, timeline)| {
        Ok(Panel {
            title: (*table).to_owned(),
            svg: axes.live(table, timeline)?,
            note: String::new(),
        })
    });
    let live = live.collect::<Result<Vec<_>, PlotError>>()?;
    let layers = LIVE.iter().map(|(name, color, _)| LegendItem {
        svg: String::new(),
        class: format!("box s{color}"),
        name: (*name).into(),
    });
    let mut groups = vec![PanelGroup {
        heading: "In the table".into(),
        legend: layers.collect(),
        small: true,
        panels: live,
    }];
    let mut lost = Vec::new();
    for loss in &LOSSES {
        lost.extend(axes.lost(context, loss, timelines)?);
    }
    if let Some(first) = lost.first_mut() {
        first.note = note(&[group]);
        let shown = |table: &str| timelines.iter().any(|(name, _)| *name == table);
        groups.push(PanelGroup {
            heading: "Lost so far".into(),
            legend: context.legend(shown)?,
            small: false,
            panels: lost,
        });
    }
    Ok(Figure {
        id: format!("flood-{}", number + 1),
        title: format!("While the table fills: {}", group.scene.label),
        caption: format!(
            "What is in each table over the time of the trace, and what each has lost so far. {} connections, {}.",
            short_count(group.connections),
            if group.threads == 1 {
                "one thread".to_owned()
            } else {
                format!("{} threads", group.threads)
            }
        ),
        reading: "Panels of tables share their axes. A good table keeps the ASSURED connections whole and lets the \
                  attack have only what is left; legitimate evictions and orphaned packets (packets of \
                  legitimate connections that missed because theirs had been evicted or refused) are the damage. \
                  Refused means that the table was full and found nothing to evict. Losses have a logarithmic axis, \
                  because they differ by orders of magnitude; no loss lies on its lowest line. Attack and \
                  legitimate are known from how the trace was made; the table does not see them."
            .into(),
        beside: group
            .at_limit
            .then(|| ("What the limit costs".to_owned(), harm(group))),
        legend: Vec::new(),
        groups,
        commands: context.invocation.reproduce([group]),
        data: data(timelines),
    })
}

/// Axes that all tables of a workload share.
struct Axes {
    time: Axis,
    live: Axis,
    /// Whether points lie at their operation, because the trace's clock stood still.
    by_operation: bool,
}

impl Axes {
    fn of(timelines: &[(&str, Vec<TimelinePoint>)]) -> Self {
        let points = || timelines.iter().flat_map(|(_, timeline)| timeline);
        let by_operation = points().all(|point| point.time_ms == 0);
        let title = if by_operation {
            "operations"
        } else {
            "seconds of the trace"
        };
        let mut time = linear_axis(title, points().map(|point| place(point, by_operation)));
        // Nothing lies beyond the last point.
        time.high = points()
            .map(|point| place(point, by_operation))
            .fold(0.0, f64::max)
            .max(1e-3);
        time.ticks.retain(|(place, _)| *place <= time.high);
        let height =
            |point: &TimelinePoint| LIVE.iter().map(|(_, _, value)| value(point) as f64).sum::<f64>();
        Self {
            live: linear_axis("connections", points().map(height)),
            time,
            by_operation,
        }
    }

    fn live(&self, table: &str, timeline: &[TimelinePoint]) -> Result<String, PlotError> {
        let layers = LIVE
            .iter()
            .map(|(_, color, value)| Layer {
                color: *color,
                points: timeline
                    .iter()
                    .map(|p| (place(p, self.by_operation), value(p) as f64))
                    .collect(),
            })
            .collect();
        Areas {
            title: format!("Connections in {table} over time"),
            description: "stacked: legitimate ASSURED, legitimate not ASSURED, attack".into(),
            x: self.time.clone(),
            y: self.live.clone(),
            layers,
        }
        .svg()
    }

    /// One loss of all tables; `None` where there was none.
    fn lost(
        &self,
        context: &Context<'_>,
        (name, value): &LossSpec,
        timelines: &[(&str, Vec<TimelinePoint>)],
    ) -> Result<Option<Panel>, PlotError> {
        let all = || timelines.iter().flat_map(|(_, timeline)| timeline).map(value);
        if all().all(|count| count == 0) {
            return Ok(None);
        }
        let height = |count: u64| count.max(1) as f64;
        let series = timelines.iter().map(|(table, timeline)| {
            let points: Vec<Point> = timeline
                .iter()
                .map(|point| Point {
                    x: place(point, self.by_operation),
                    y: height(value(point)).log10(),
                    interval: None,
                })
                .collect();
            // A marker at the end tells the lines apart where dashes are short.
            let markers = points.last().map(|point| (point.x, point.y));
            Series {
                look: context.look(table),
                points,
                markers: markers.into_iter().collect(),
            }
        });
        let mut y = log10_axis("since the start", all().map(height).chain([1.0]));
        // Nothing lies below 1, and what lies there is zero.
        y.low = 0.0;
        y.ticks.retain(|(place, _)| *place >= 0.0);
        let plot = Lines {
            title: format!("{name} over time"),
            description: format!("{} lines, one per table, cumulative", timelines.len()),
            x: self.time.clone(),
            y,
            series: series.collect(),
            marks: Vec::new(),
            references: Vec::new(),
        };
        Ok(Some(Panel {
            title: (*name).to_owned(),
            svg: plot.svg()?,
            note: String::new(),
        }))
    }
}

fn place(point: &TimelinePoint, by_operation: bool) -> f64 {
    if by_operation {
        point.op as f64
    } else {
        point.time_ms as f64 / MS_PER_S
    }
}

/// What each table did at its limit, best first as ranked.
fn harm(group: &Group) -> DataTable {
    let rows = group.measured().map(|(row, figures)| {
        let harm = &figures.harm;
        let rank = match (row.standing, row.place) {
            (Standing::Best, _) => "best".to_owned(),
            (Standing::Tie, _) => "tie".to_owned(),
            (Standing::Refuses, _) => "not ranked: refuses".to_owned(),
            (Standing::NoLimit, _) => "not ranked: met no limit".to_owned(),
            (_, Some(place)) => format!("{:.2}×", place.times_worse),
            (_, None) => "—".to_owned(),
        };
        vec![
            row.table.clone(),
            rank,
            digits(mpps(figures.packets_per_s.median)),
            percent(harm.refused_share),
            short_number(harm.refused),
            short_number(harm.evicted_legitimate),
            short_number(harm.evicted_attack),
            percent(harm.orphaned_share),
            short_number(harm.orphaned),
        ]
    });
    DataTable {
        columns: vec![
            "table",
            "rank by Mpps",
            "Mpps",
            "refused, of opens",
            "refused",
            "evicted, legitimate",
            "evicted, attack",
            "orphaned, of packets",
            "orphaned packets",
        ],
        names: 2,
        rows: rows.collect(),
    }
}

/// Only the ends: the whole timelines are in the records.
fn data(timelines: &[(&str, Vec<TimelinePoint>)]) -> DataTable {
    let rows = timelines.iter().filter_map(|(table, timeline)| {
        let last = timeline.last()?;
        let values = [
            last.live_assured,
            last.live_unassured,
            last.live_attack,
            last.evicted_attack,
            last.evicted_legitimate,
            last.refused,
            last.orphaned,
        ];
        let seconds = format!("{:.1} s", last.time_ms as f64 / MS_PER_S);
        Some(
            [(*table).to_owned(), seconds]
                .into_iter()
                .chain(values.map(grouped))
                .collect(),
        )
    });
    DataTable {
        columns: vec![
            "table",
            "at",
            "ASSURED",
            "not ASSURED",
            "attack",
            "evicted attack",
            "evicted legit.",
            "refused",
            "orphaned packets",
        ],
        names: 1,
        rows: rows.collect(),
    }
}
