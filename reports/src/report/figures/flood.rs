//! What happens over time while a table fills.

use crate::plot::PlotError;
use crate::plot::areas::{Areas, Layer};
use crate::plot::axis::{Axis, linear_axis};
use crate::plot::lines::{Lines, Point, Series};
use crate::plot::look::{Look, Marker};
use crate::record::TimelinePoint;
use crate::summary::{Group, HARNESS_TABLE};
use crate::units::{grouped, short_count};

use super::super::context::{Context, note};
use super::super::view::{DataTable, Figure, LegendItem, Panel, PanelGroup};

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

/// Lines of what was lost: name, look, value.
type EventSpec = (&'static str, Look, fn(&TimelinePoint) -> u64);
const EVENTS: [EventSpec; 4] = [
    (
        "evicted, attack",
        Look {
            color: 1,
            dash: 1,
            marker: Marker::Circle,
        },
        |point| point.evicted_attack,
    ),
    (
        "evicted, legitimate",
        Look {
            color: 0,
            dash: 0,
            marker: Marker::Square,
        },
        |point| point.evicted_legitimate,
    ),
    (
        "refused (full)",
        Look {
            color: 3,
            dash: 2,
            marker: Marker::Up,
        },
        |point| point.refused,
    ),
    (
        "orphaned packets",
        Look {
            color: 6,
            dash: 3,
            marker: Marker::Diamond,
        },
        |point| point.orphaned,
    ),
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
    let mut live = Vec::new();
    let mut events = Vec::new();
    for (table, timeline) in timelines {
        live.push(Panel {
            title: (*table).to_owned(),
            svg: axes.live(table, timeline)?,
            note: String::new(),
        });
        events.push(Panel {
            title: (*table).to_owned(),
            svg: axes.events(table, timeline)?,
            note: String::new(),
        });
    }
    if let Some(last) = events.last_mut() {
        last.note = note(&[group]);
    }
    let mut legend: Vec<LegendItem> = LIVE
        .iter()
        .map(|(name, color, _)| LegendItem {
            svg: String::new(),
            class: format!("box s{color}"),
            name: (*name).into(),
        })
        .collect();
    for (name, look, _) in EVENTS {
        legend.push(LegendItem {
            svg: crate::plot::swatch(name, look)?,
            class: String::new(),
            name: name.into(),
        });
    }
    Ok(Figure {
        id: format!("flood-{}", number + 1),
        title: format!("While the table fills: {}", group.scene.label),
        caption: format!(
            "Above, what is in each table over the time of the trace; below, what each has lost so far. {} connections, {}.",
            short_count(group.connections),
            if group.threads == 1 { "one thread".to_owned() } else { format!("{} threads", group.threads) }
        ),
        reading: "All panels of a row share their axes. A good table keeps the ASSURED connections whole and lets the \
                  attack have only what is left; legitimate evictions and orphaned packets (packets of \
                  legitimate connections that missed because theirs had been evicted or refused) are the damage. \
                  Refused means that the table was full and found nothing to evict. Attack and legitimate are known from how \
                  the trace was made; the table does not see them."
            .into(),
        legend,
        groups: vec![
            PanelGroup { heading: "In the table".into(), panels: live },
            PanelGroup { heading: "Lost so far".into(), panels: events },
        ],
        commands: context.invocation.reproduce([group]),
        data: data(timelines),
    })
}

/// Axes that all tables of a workload share.
struct Axes {
    time: Axis,
    live: Axis,
    events: Axis,
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
        let most = |point: &TimelinePoint| {
            EVENTS
                .iter()
                .map(|(_, _, value)| value(point) as f64)
                .fold(0.0, f64::max)
        };
        Self {
            live: linear_axis("connections", points().map(height)),
            events: linear_axis("since the start", points().map(most)),
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

    fn events(&self, table: &str, timeline: &[TimelinePoint]) -> Result<String, PlotError> {
        let series = EVENTS
            .iter()
            .map(|(_, look, value)| {
                let points: Vec<Point> = timeline
                    .iter()
                    .map(|p| Point {
                        x: place(p, self.by_operation),
                        y: value(p) as f64,
                        interval: None,
                    })
                    .collect();
                // A marker at the end tells the lines apart where dashes are short.
                let markers = points
                    .last()
                    .map(|point| (point.x, point.y))
                    .into_iter()
                    .collect();
                Series {
                    look: *look,
                    points,
                    markers,
                }
            })
            .collect();
        Lines {
            title: format!("Losses of {table} over time"),
            description: "cumulative: evicted attack, evicted legitimate, refused, orphaned packets".into(),
            x: self.time.clone(),
            y: self.events.clone(),
            series,
            marks: Vec::new(),
            references: Vec::new(),
        }
        .svg()
    }
}

fn place(point: &TimelinePoint, by_operation: bool) -> f64 {
    if by_operation {
        point.op as f64
    } else {
        point.time_ms as f64 / MS_PER_S
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
