//! The columns of the matrices: of each table its figure, its ratio to the best, and the words that go with it.

use std::collections::BTreeMap;

use crate::summary::{Better, Figures, Group, Place, Row, Scene, Standing, rank};
use crate::units::{digits, duration, fit_middle, grouped, percent, short_count, short_number};

use super::super::context::Context;
use super::super::view::{MatrixCell, MatrixColumn};

/// Bytes per connection closer than this are called a tie: they are counted, not estimated, so there is no interval,
/// but size classes of the allocator alone move them by as much.
const MEMORY_TIE: f64 = 1.01;

/// Names of workloads may be names of files: longer ones would make the heads taller than the matrix.
const LONGEST_HEAD: usize = 36;

/// A column before it is written down.
pub(super) struct Column<'a> {
    pub(super) head: MatrixColumn,
    pub(super) group: &'a Group,
    /// Cells of the tables with a figure.
    pub(super) cells: BTreeMap<&'a str, MatrixCell>,
    /// How many times worse than the best: of the ranked ones.
    pub(super) ratios: BTreeMap<&'a str, f64>,
    /// Whether it counts in the mean over columns.
    pub(super) counts: bool,
}

impl<'a> Column<'a> {
    /// Of ranked tables; those that the group does not rank get their figure and why.
    fn of(
        head: MatrixColumn,
        group: &'a Group,
        figures: impl IntoIterator<Item = (&'a Row, Option<Place>, String)>,
    ) -> Self {
        let (mut cells, mut ratios) = (BTreeMap::new(), BTreeMap::new());
        for (row, place, detail) in figures {
            let cell = match place {
                Some(place) => {
                    ratios.insert(row.table.as_str(), place.times_worse);
                    placed(&place, detail)
                }
                None => unranked(row.standing, detail),
            };
            cells.insert(row.table.as_str(), cell);
        }
        Self {
            head,
            group,
            cells,
            ratios,
            counts: true,
        }
    }
}

/// What a group is ranked by: the rounds of each ranked table, none of the others.
fn ranked_rounds(group: &Group, rounds: impl Fn(&Figures) -> Vec<(u32, f64)>) -> Vec<Vec<(u32, f64)>> {
    let entry = |(row, figures): (&Row, &Figures)| match row.place {
        Some(_) => rounds(figures),
        None => Vec::new(),
    };
    group.measured().map(entry).collect()
}

/// Packets per second; at the limit followed by what was lost.
pub(super) fn throughput<'a>(context: &Context<'_>, scene: &Scene, group: &'a Group) -> Vec<Column<'a>> {
    let figures = group.measured().map(|(row, figures)| {
        let rate = &figures.packets_per_s;
        let reach = rate.interval.map_or_else(String::new, |i| {
            format!("\n±{:.1}%", 100.0 * i.relative_half_width(rate.median))
        });
        (
            row,
            row.place,
            format!("{} Mpps{reach}", digits(rate.median / 1e6)),
        )
    });
    let mut columns = vec![Column::of(head(context, scene, group), group, figures)];
    columns.extend(group.at_limit.then(|| orphaned(scene, group)));
    columns
}

fn head(context: &Context<'_>, scene: &Scene, group: &Group) -> MatrixColumn {
    MatrixColumn {
        name: fit_middle(&scene.label, LONGEST_HEAD),
        about: context.about_workload(&scene.workload),
        size: format!("{} conn.", short_count(group.connections)),
    }
}

/// Share of packets whose connection had been evicted or refused. Ranked by itself, and all that met their limit are:
/// this is where a table that refuses shows what that costs. Counted, not estimated, so equal is a tie and all else is not.
fn orphaned<'a>(scene: &Scene, group: &'a Group) -> Column<'a> {
    let met = |figures: &Figures| figures.harm.at_limit();
    let shares = group.measured().filter(|(_, figures)| met(figures));
    let shares: Vec<f64> = shares.map(|(_, figures)| figures.harm.orphaned_share).collect();
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    let equal = shares.iter().filter(|share| **share <= least).count();
    let cell = |(row, figures): (&'a Row, &Figures)| {
        let share = figures.harm.orphaned_share;
        let detail = format!("{} packets", short_number(figures.harm.orphaned));
        if !met(figures) {
            return (row.table.as_str(), unranked(Standing::NoLimit, detail));
        }
        let (class, word) = match share {
            _ if shares.len() == 1 => ("only", "only one"),
            share if share <= least && equal == 1 => ("best", "best"),
            share if share <= least => ("tie", "tie"),
            share => (loss(share), ""),
        };
        let cell = MatrixCell {
            class,
            text: percent(share),
            word,
            detail,
        };
        (row.table.as_str(), cell)
    };
    Column {
        head: MatrixColumn {
            name: "orphaned".to_owned(),
            about: format!("packets, in {}", fit_middle(&scene.label, LONGEST_HEAD)),
            size: "less is better".to_owned(),
        },
        group,
        cells: group.measured().map(cell).collect(),
        ratios: BTreeMap::new(),
        counts: false,
    }
}

/// Steps of colour for a share of packets lost.
fn loss(share: f64) -> &'static str {
    match share {
        share if share <= 0.001 => "d1",
        share if share <= 0.01 => "d2",
        share if share <= 0.05 => "d3",
        share if share <= 0.2 => "d4",
        _ => "d5",
    }
}

pub(super) fn tail<'a>(context: &Context<'_>, scene: &Scene, group: &'a Group) -> Column<'a> {
    let entries = ranked_rounds(group, |figures| {
        let rounds = figures.rounds.iter();
        rounds
            .filter_map(|round| Some((round.round, round.p99_ns?)))
            .collect()
    });
    let figures =
        group
            .measured()
            .zip(rank(&entries, Better::Lower))
            .filter_map(|((row, figures), place)| {
                let latency = figures.latency.as_ref()?;
                Some((row, place, duration(latency.p99_ns)))
            });
    Column::of(head(context, scene, group), group, figures)
}

pub(super) fn memory<'a>(scene: &Scene, group: &'a Group) -> Column<'a> {
    let bytes_of = |figures: &Figures| {
        let bytes = figures.memory.as_ref().map(|memory| memory.allocated);
        bytes.filter(|bytes| *bytes > 0.0)
    };
    let known: Vec<f64> = group
        .ranked()
        .filter_map(|(_, figures)| bytes_of(figures))
        .collect();
    let best = known.iter().copied().fold(f64::INFINITY, f64::min);
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
    let figures = group.measured().filter_map(|(row, figures)| {
        let bytes = bytes_of(figures)?;
        Some((
            row,
            row.place.map(|_| place(bytes)),
            format!("{} B", digits(bytes)),
        ))
    });
    let head = MatrixColumn {
        name: format!("{} conn.", short_count(group.connections)),
        about: grouped(group.connections),
        size: scene.label.clone(),
    };
    Column::of(head, group, figures)
}

fn placed(place: &Place, detail: String) -> MatrixCell {
    let (class, word) = match place.standing {
        Standing::Best => ("best", "best"),
        Standing::Tie => ("tie", "tie"),
        Standing::TooFew => ("few", "too few rounds"),
        Standing::Only => ("only", "only one"),
        _ => (distance(place.times_worse), ""),
    };
    MatrixCell {
        class,
        text: format!("{}×", two_digits(place.times_worse)),
        word,
        detail,
    }
}

fn unranked(standing: Standing, detail: String) -> MatrixCell {
    let text = match standing {
        Standing::Refuses => "refuses",
        Standing::NoLimit => "no limit",
        _ => "—",
    };
    MatrixCell {
        class: "unranked",
        text: text.to_owned(),
        word: "",
        detail,
    }
}

pub(super) fn two_digits(times: f64) -> String {
    if times < 9.995 {
        format!("{times:.2}")
    } else {
        digits(times)
    }
}

/// Steps of colour.
pub(super) fn distance(times_worse: f64) -> &'static str {
    match times_worse {
        times if times <= 1.1 => "d1",
        times if times <= 1.5 => "d2",
        times if times <= 2.0 => "d3",
        times if times <= 4.0 => "d4",
        _ => "d5",
    }
}
