//! Throughput over the number of connections.

use crate::plot::PlotError;
use crate::plot::axis::{linear_axis, log2, log2_axis, log10_axis};
use crate::plot::lines::{Lines, Mark, Point, Series};
use crate::plot::rows::{Row, Rows, Shown};
use crate::stats::{Interval, median};
use crate::summary::{Estimate, Group, HARNESS_TABLE, Scene};
use crate::units::{bytes, digits, grouped, short_number};

use super::super::context::{Context, note};
use super::super::view::{DataTable, Figure, Panel, PanelGroup};
use super::{interval_text, mpps, spread_text};

pub(super) fn figure(context: &Context<'_>) -> Result<Option<Figure>, PlotError> {
    let caches = Caches::of(context);
    let (mut sweeps, mut singles, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    for scene in &context.summary.scenes {
        let groups = context.sizes(scene, context.fewest_threads(scene));
        if groups.iter().all(|group| group.measured().next().is_none()) {
            continue;
        }
        if groups.len() > 1 {
            sweeps.push(sweep(context, scene, &groups, &caches)?);
        } else {
            singles.extend(
                groups
                    .iter()
                    .map(|group| single(context, group))
                    .collect::<Result<Vec<_>, _>>()?,
            );
        }
        shown.extend(groups);
    }
    if shown.is_empty() {
        return Ok(None);
    }
    let mut groups = vec![PanelGroup::plain(String::new(), sweeps)];
    groups.push(PanelGroup::plain("Workloads of one size".into(), singles));
    groups.retain(|group| !group.panels.is_empty());
    let has_row = |table: &str| {
        shown
            .iter()
            .any(|group| group.measured().any(|(row, _)| row.table == table))
    };
    Ok(Some(Figure {
        id: "throughput".into(),
        title: "Throughput by number of connections".into(),
        caption:
            "Millions of packets per second against connections in the table, one panel per workload, at the \
                  fewest threads each ran with. Points are medians over rounds, whiskers their 95% intervals."
                .into(),
        reading: format!(
            "Both axes are logarithmic: equal distances are equal ratios. Each panel has its own vertical scale. \
             Where whiskers of two tables overlap, look at the matrix: it compares round by round. {}",
            caches.explanation()
        ),
        beside: None,
        legend: context.legend(has_row)?,
        commands: context.invocation.reproduce(shown.iter().copied()),
        data: data(&shown),
        groups,
    }))
}

fn sweep(
    context: &Context<'_>,
    scene: &Scene,
    groups: &[&Group],
    caches: &Caches,
) -> Result<Panel, PlotError> {
    let sizes: Vec<u64> = groups.iter().map(|group| group.connections).collect();
    let mut series = Vec::new();
    let mut values = Vec::new();
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
                    x: log2(group.connections),
                    y: place(rate.median),
                    interval,
                })
            })
            .collect();
        // The axis is made for the medians; a whisker from wild rounds is cut at its ends.
        values.extend(points.iter().map(|point| 10f64.powf(point.y)));
        let markers = points.iter().map(|point| (point.x, point.y)).collect();
        series.push(Series {
            look: context.look(table),
            points,
            markers,
        });
    }
    let plot = Lines {
        title: format!("Throughput of {} by number of connections", scene.label),
        description: format!(
            "{} lines, one per table, over {} sizes",
            series.len(),
            sizes.len()
        ),
        x: log2_axis("connections", &sizes),
        y: log10_axis("Mpps", values),
        series,
        marks: caches.marks(),
        references: Vec::new(),
    };
    Ok(Panel {
        title: scene.label.clone(),
        svg: plot.svg()?,
        note: note(groups),
    })
}

fn single(context: &Context<'_>, group: &Group) -> Result<Panel, PlotError> {
    let rate_of = |estimate: &Estimate| {
        let interval = estimate
            .interval
            .map(|Interval { low, high }| (mpps(low), mpps(high)));
        (mpps(estimate.median), interval)
    };
    let rows: Vec<Row> = group
        .rows
        .iter()
        .filter(|row| row.table != HARNESS_TABLE)
        .map(|row| {
            let look = context.look(&row.table);
            let (shown, label) = match row.summary.figures() {
                Some(figures) => {
                    let (value, interval) = rate_of(&figures.packets_per_s);
                    (Shown::Points(vec![(look, value, interval)]), digits(value))
                }
                None => (Shown::Nothing("ERROR".into()), String::new()),
            };
            Row {
                name: row.table.clone(),
                look,
                shown,
                label,
            }
        })
        .collect();
    let values = group
        .measured()
        .map(|(_, figures)| mpps(figures.packets_per_s.median));
    let plot = Rows {
        title: format!("Throughput of {}", group.scene.label),
        description: format!("{} tables at {} connections", rows.len(), group.connections),
        // Room for the value behind the longest row.
        x: linear_axis("Mpps", values.map(|value| value * 1.12)),
        rows,
    };
    let size = grouped(group.connections);
    Ok(Panel {
        title: format!("{} ({size} connections)", group.scene.label),
        svg: plot.svg()?,
        note: note(&[group]),
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
            match row.summary.figures() {
                Some(figures) => cells.extend([
                    digits(mpps(figures.packets_per_s.median)),
                    interval_text(&figures.packets_per_s, 1e6),
                    digits(figures.ns_per_packet.median),
                    figures
                        .harness_ns_per_packet
                        .map_or_else(|| "—".to_owned(), digits),
                    spread_text(&figures.packets_per_s),
                    figures.packets_per_s.rounds.to_string(),
                ]),
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
            "Mpps (median)",
            "95% interval",
            "ns/packet",
            "of that harness",
            "spread",
            "rounds",
        ],
        names: 3,
        rows,
    }
}

/// Cache sizes as numbers of connections.
struct Caches {
    /// Name, bytes, connections that fit.
    levels: Vec<(&'static str, u64, f64)>,
    /// Bytes per connection: median over tables, least, most.
    per_connection: Option<(f64, f64, f64)>,
}

impl Caches {
    /// Bytes per connection are the resident ones (pages that were touched, so a preallocation that was never
    /// used does not count), of each table at its largest size, where pages and allocator chunks no longer show.
    fn of(context: &Context<'_>) -> Self {
        let per_table: Vec<f64> = context
            .tables()
            .filter_map(|table| {
                let cells = context
                    .summary
                    .groups
                    .iter()
                    .filter_map(|group| group.row(table)?.summary.figures());
                let memory = cells.filter_map(|figures| figures.memory.as_ref());
                let largest = memory.max_by_key(|memory| memory.connections)?;
                let touched = if largest.resident > 0.0 {
                    largest.resident
                } else {
                    largest.allocated
                };
                (touched > 0.0).then_some(touched)
            })
            .collect();
        let machine = &context.newest.machine;
        let middle = median(&per_table);
        let levels = [
            ("L1d", machine.l1d_bytes),
            ("L2", machine.l2_bytes),
            ("L3", machine.l3_bytes),
        ];
        let known = levels.into_iter().filter_map(|(name, size)| Some((name, size?)));
        Self {
            levels: known
                .filter_map(|(name, size)| Some((name, size, size as f64 / middle?)))
                .filter(|(_, _, connections)| *connections >= 1.0)
                .collect(),
            per_connection: middle.map(|middle| {
                let least = per_table.iter().copied().fold(f64::INFINITY, f64::min);
                let most = per_table.iter().copied().fold(0.0, f64::max);
                (middle, least, most)
            }),
        }
    }

    fn marks(&self) -> Vec<Mark> {
        let mark = |&(name, _, connections): &(&str, u64, f64)| Mark {
            x: connections.log2(),
            label: name.to_owned(),
        };
        self.levels.iter().map(mark).collect()
    }

    fn explanation(&self) -> String {
        let (Some((middle, least, most)), false) = (self.per_connection, self.levels.is_empty()) else {
            return "No cache lines are drawn: cache sizes or memory per connection are unknown.".into();
        };
        let sizes: Vec<String> = self
            .levels
            .iter()
            .map(|(name, size, connections)| {
                format!(
                    "{name} {} = {} connections",
                    bytes(*size),
                    short_number(*connections)
                )
            })
            .collect();
        format!(
            "Dashed lines mark where a table's touched memory is as large as a cache: cache size over resident bytes \
             per connection, median over tables ({} bytes; {} to {}), so each table's own line lies a little left or right: \
             {}. Lines outside of the measured sizes are not drawn. The packets themselves (64 bytes each) pass through \
             the caches too.",
            digits(middle),
            digits(least),
            digits(most),
            sizes.join(", ")
        )
    }
}
