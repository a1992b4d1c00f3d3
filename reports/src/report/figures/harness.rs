//! What measuring itself costs.

use crate::plot::PlotError;
use crate::plot::axis::log10_axis;
use crate::plot::rows::{Row, Rows, Shown};
use crate::summary::{Figures, Group, HARNESS_TABLE};
use crate::units::digits;

use super::super::context::Context;
use super::super::view::{DataTable, Figure, Panel, PanelGroup};

pub(super) fn figure(context: &Context<'_>) -> Result<Option<Figure>, PlotError> {
    let groups: Vec<(&Group, &Figures)> = context
        .summary
        .scenes
        .iter()
        .filter_map(|scene| context.headline(scene))
        .filter_map(|group| Some((group, group.row(HARNESS_TABLE)?.summary.figures()?)))
        .collect();
    if groups.is_empty() {
        return Ok(None);
    }
    let rows: Vec<Row> = groups
        .iter()
        .map(|(group, null)| row(context, group, null))
        .collect();
    let values = groups.iter().flat_map(|(group, null)| {
        group
            .measured()
            .map(|(_, figures)| figures.ns_per_packet.median)
            .chain([null.ns_per_packet.median])
    });
    let mut x = log10_axis("ns per packet", values.collect::<Vec<_>>());
    // Room for the words behind the slowest table.
    x.high += (x.high - x.low) * 0.15;
    x.keep_decades();
    let plot = Rows {
        title: "Cost of the harness beside the tables".into(),
        description:
            "one row per workload: nanoseconds per packet of the null table and of every other table".into(),
        x,
        rows,
    };
    let panel = Panel {
        title: "ns per packet, null and all tables".into(),
        svg: plot.svg()?,
        note: String::new(),
    };
    let has_row = |table: &str| groups.iter().any(|(group, _)| group.row(table).is_some());
    Ok(Some(Figure {
        id: "harness".into(),
        title: "The harness's own cost".into(),
        caption: "The null table answers nothing and touches nothing: its time per packet is the loop, the walk over the \
                  packets and the clock, which every other table's time contains. \
                  The percentage is the null table's part of the fastest table's time."
            .into(),
        reading: "It is shown beside the others and never subtracted: a processor overlaps the loop with the table's \
                  own waiting, so the difference would be too small for slow tables and wrong for all. Where the \
                  null table takes a large part of the fastest table's time, differences between fast tables are larger than \
                  their ratio says. The axis is logarithmic."
            .into(),
        beside: None,
        legend: context.legend(has_row)?,
        groups: vec![PanelGroup::plain(String::new(), vec![panel])],
        commands: context.invocation.reproduce(groups.iter().map(|(group, _)| *group)),
        data: data(&groups),
    }))
}

fn fastest(group: &Group) -> Option<(&str, f64)> {
    let times = group
        .ranked()
        .map(|(row, figures)| (row.table.as_str(), figures.ns_per_packet.median));
    times.min_by(|one, other| one.1.total_cmp(&other.1))
}

fn row(context: &Context<'_>, group: &Group, null: &Figures) -> Row {
    let own = null.ns_per_packet.median.log10();
    let mut points: Vec<_> = group
        .measured()
        .map(|(row, figures)| {
            (
                context.look(&row.table),
                figures.ns_per_packet.median.log10(),
                None,
            )
        })
        .collect();
    points.push((context.look(HARNESS_TABLE), own, None));
    let label = fastest(group)
        .map(|(_, time)| format!("{:.0}%", 100.0 * null.ns_per_packet.median / time))
        .unwrap_or_default();
    Row {
        name: group.scene.label.clone(),
        look: context.look(HARNESS_TABLE),
        shown: Shown::Points(points),
        label,
    }
}

fn data(groups: &[(&Group, &Figures)]) -> DataTable {
    let rows = groups
        .iter()
        .map(|(group, null)| {
            let own = null.ns_per_packet.median;
            let (table, time, share) = match fastest(group) {
                Some((table, time)) => (
                    table.to_owned(),
                    digits(time),
                    format!("{:.0}%", 100.0 * own / time),
                ),
                None => ("—".to_owned(), "—".to_owned(), "—".to_owned()),
            };
            let burst = null.latency.as_ref().map_or(1, |latency| latency.burst.max(1));
            let clock = null.clock_ns / f64::from(burst);
            vec![
                group.scene.label.clone(),
                digits(own),
                table,
                time,
                share,
                digits(clock),
                digits(null.clock_ns),
            ]
        })
        .collect();
    DataTable {
        columns: vec![
            "workload",
            "null ns/packet",
            "fastest table",
            "its ns/packet",
            "null's part",
            "clock ns/packet",
            "clock ns/reading",
        ],
        names: 1,
        rows,
    }
}
