//! Memory per connection.

use crate::plot::PlotError;
use crate::plot::axis::linear_axis;
use crate::plot::rows::{Row, Rows, Shown};
use crate::summary::{Group, HARNESS_TABLE, Scene};
use crate::units::{digits, grouped, short_count};

use super::super::context::{Context, note};
use super::super::view::{DataTable, Figure, LegendItem, Panel, PanelGroup};

/// Most sizes drawn; the data table has all.
const MOST_PANELS: usize = 6;

/// The workload whose tables are weighed: `steady` where there is one (its table is filled and rests), else the one with
/// the most sizes.
pub(in super::super) fn scene<'a>(context: &'a Context<'_>) -> Option<&'a Scene> {
    let weighed = |scene: &&Scene| {
        let mut groups = context.summary.of_scene(scene);
        groups.any(|group| group.measured().any(|(_, figures)| figures.memory.is_some()))
    };
    context.summary.scenes.iter().filter(weighed).max_by_key(|scene| {
        let sizes = context.sizes(scene, context.fewest_threads(scene)).len();
        (scene.workload == "steady", scene.batch == 1, sizes)
    })
}

/// Why workloads are missing here, and in columns of bytes per connection elsewhere; empty where none is.
pub(in super::super) fn not_weighed(context: &Context<'_>) -> String {
    let weighed = |scene: &Scene| {
        let mut measured = context.summary.of_scene(scene).flat_map(Group::measured);
        measured.any(|(_, figures)| figures.memory.is_some())
    };
    let missing: Vec<&str> = context
        .summary
        .scenes
        .iter()
        .filter(|scene| !weighed(scene))
        .map(|scene| scene.label.as_str())
        .collect();
    if missing.is_empty() {
        return String::new();
    }
    format!(
        " No prefill, so not measured (the table begins empty): {}.",
        missing.join(", ")
    )
}

pub(super) fn figure(context: &Context<'_>) -> Result<Option<Figure>, PlotError> {
    let Some(scene) = scene(context) else {
        return Ok(None);
    };
    let groups = context.sizes(scene, context.fewest_threads(scene));
    let allocated = |group: &Group| -> Vec<f64> {
        group
            .measured()
            .filter_map(|(_, figures)| Some(figures.memory.as_ref()?.allocated))
            .collect()
    };
    let most = groups
        .iter()
        .flat_map(|group| allocated(group))
        .fold(0.0, f64::max);
    let panels = spread(&groups)
        .into_iter()
        .map(|group| panel(context, group, most))
        .collect::<Result<Vec<_>, _>>()?;
    let shown = |table: &str| table != HARNESS_TABLE && groups.iter().any(|group| group.row(table).is_some());
    let mut legend = context.legend(shown)?;
    legend.extend(
        [
            ("swatch-first", "empty table (preallocation)"),
            ("swatch-rest", "added by filling it"),
            ("swatch-tick", "the table's own count"),
        ]
        .map(|(class, name)| LegendItem {
            svg: String::new(),
            class: class.into(),
            name: name.into(),
        }),
    );
    Ok(Some(Figure {
        id: "memory".into(),
        title: "Memory per connection".into(),
        caption: format!(
            "Bytes the allocator had handed out for the filled table, over its connections, in {}. The dark part was \
             there before the first connection (preallocation); the tick is what the table counts itself.{}",
            scene.label,
            not_weighed(context)
        ),
        reading: "All panels share one axis. The baseline is zero bytes, not the empty table: a table that reserves \
                  everything beforehand pays for it here. Bytes are what was asked for, allocator rounding \
                  included, the allocator's own free pages not; the data table has resident bytes too. A tick far \
                  from the end of its bar means that the table's own count leaves something out."
            .into(),
        beside: None,
        legend,
        commands: context.invocation.reproduce(groups.iter().copied()),
        data: data(&groups),
        groups: vec![PanelGroup::plain(String::new(), panels)],
    }))
}

/// At most [`MOST_PANELS`] sizes, the smallest and the largest among them.
fn spread<'a>(groups: &[&'a Group]) -> Vec<&'a Group> {
    if groups.len() <= MOST_PANELS {
        return groups.to_vec();
    }
    (0..MOST_PANELS)
        .map(|index| groups[index * (groups.len() - 1) / (MOST_PANELS - 1)])
        .collect()
}

fn panel(context: &Context<'_>, group: &Group, most: f64) -> Result<Panel, PlotError> {
    let rows: Vec<Row> = context
        .tables()
        .filter_map(|table| {
            let row = group.row(table)?;
            let memory = row.summary.figures().map(|figures| figures.memory.as_ref());
            let (shown, label) = match memory {
                Some(Some(memory)) => {
                    let bar = Shown::Bar {
                        all: memory.allocated,
                        first: memory.preallocated,
                        tick: Some(memory.own),
                    };
                    (bar, digits(memory.allocated))
                }
                Some(None) => (Shown::Nothing("not weighed".into()), String::new()),
                None => (Shown::Nothing("ERROR".into()), String::new()),
            };
            Some(Row {
                name: table.to_owned(),
                look: context.look(table),
                shown,
                label,
            })
        })
        .collect();
    let plot = Rows {
        title: format!("Bytes per connection at {} connections", group.connections),
        description: format!("{} bars, one per table, in {}", rows.len(), group.scene.label),
        // Room for the value behind the longest bar.
        x: linear_axis("bytes per connection", [most * 1.15]),
        rows,
    };
    let title = format!("{} connections", short_count(group.connections));
    Ok(Panel {
        title,
        svg: plot.svg()?,
        note: note(&[group]),
    })
}

fn data(groups: &[&Group]) -> DataTable {
    let mut rows = Vec::new();
    for group in groups {
        for row in group.rows.iter().filter(|row| row.table != HARNESS_TABLE) {
            let mut cells = vec![grouped(group.connections), row.table.clone()];
            match row.summary.figures().map(|figures| figures.memory.as_ref()) {
                Some(Some(memory)) => cells.extend([
                    grouped(memory.connections),
                    digits(memory.allocated),
                    digits(memory.preallocated),
                    digits(memory.own),
                    digits(memory.resident),
                ]),
                Some(None) => cells.push("not weighed".into()),
                None => cells.push("ERROR".into()),
            }
            rows.push(cells);
        }
    }
    DataTable {
        columns: vec![
            "size",
            "table",
            "connections present",
            "allocated B/conn.",
            "of that empty",
            "own count",
            "resident",
        ],
        names: 2,
        rows,
    }
}
