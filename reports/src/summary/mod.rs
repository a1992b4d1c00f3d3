//! The run summed up: cells grouped where they may be compared, ranked inside each group.
//!
//! A **scene** is a workload with a batch size and a seed; a **group** is a scene at one number of connections and
//! of threads, and only tables within one group are compared. Where tables of a group met their limit, only those that
//! evict are ranked: see [`harm`].

pub mod cell;
pub mod harm;
mod headline;
pub mod rank;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use cell::{
    CellResult, CellSummary, Estimate, Failure, Figures, Latency, MemoryPerConnection, Round, kind_name,
};
pub use harm::{AtLimit, Harm};
pub use headline::render;
pub use rank::{Better, Place, Standing, rank};
pub use text::render_all;

use crate::record::Record;
use crate::store;
use crate::units::clean;

/// Name of the table that does nothing: its cost is the harness's.
pub const HARNESS_TABLE: &str = "null";

/// A workload with what else fixes its trace and timing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Scene {
    /// Workload name.
    pub workload: String,
    /// Lookups handed to the table at once.
    pub batch: u32,
    /// Seed.
    pub seed: u64,
    /// Name for people: the workload, with the batch where it is not 1, and the seed where the run has several.
    pub label: String,
}

/// A table's row in a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Table name, fit for display.
    pub table: String,
    /// Place by throughput; `None` for rows that are not ranked.
    pub place: Option<Place>,
    /// Standing by throughput.
    pub standing: Standing,
    /// Its numbers or its failure.
    pub summary: CellSummary,
}

/// Cells that may be compared: equal in all but the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Which workload.
    pub scene: Scene,
    /// Connections.
    pub connections: u64,
    /// Threads.
    pub threads: u32,
    /// Whether a table of this group met its limit: evicted or refused.
    pub at_limit: bool,
    /// Best first; then those not ranked, fastest first; then failed ones; the harness last.
    pub rows: Vec<Row>,
}

impl Group {
    /// The row of a table.
    #[must_use]
    pub fn row(&self, table: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.table == table)
    }

    /// Rows with numbers, the harness left out.
    pub fn measured(&self) -> impl Iterator<Item = (&Row, &Figures)> {
        self.rows
            .iter()
            .filter(|row| row.table != HARNESS_TABLE)
            .filter_map(|row| row.summary.figures().map(|figures| (row, figures)))
    }

    /// Rows that may be called best: those of [`Self::measured`] that did what the workload asks.
    pub fn ranked(&self) -> impl Iterator<Item = (&Row, &Figures)> {
        self.measured().filter(|(row, _)| row.place.is_some())
    }
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// All groups, by scene, threads, connections.
    pub groups: Vec<Group>,
    /// All tables in order of name, the harness last.
    pub tables: Vec<String>,
    /// All scenes.
    pub scenes: Vec<Scene>,
    /// Cells with numbers.
    pub cells_ok: usize,
    /// Cells without.
    pub cells_failed: usize,
    /// Records that went in.
    pub records: usize,
    /// Records left out because newer ones, or ones of another commit or trace, took their place.
    pub superseded: usize,
}

impl RunSummary {
    /// Sums up records of one run, or of several merged ones.
    #[must_use]
    pub fn from_records(records: &[Record]) -> Self {
        let (kept, superseded) = store::current(records);
        let mut cells = BTreeMap::new();
        for record in &kept {
            cells.entry(&record.cell).or_insert_with(Vec::new).push(*record);
        }
        let summaries: Vec<CellSummary> = cells
            .values()
            .filter_map(|group| CellSummary::of(group))
            .collect();
        let cells_failed = summaries
            .iter()
            .filter(|summary| summary.failure().is_some())
            .count();
        let cells_ok = summaries.len() - cells_failed;
        let tables = table_order(&summaries);
        let groups = groups(summaries);
        let scenes = groups
            .iter()
            .map(|group| group.scene.clone())
            .collect::<BTreeSet<_>>();
        Self {
            scenes: scenes.into_iter().collect(),
            tables,
            groups,
            cells_ok,
            cells_failed,
            records: kept.len(),
            superseded,
        }
    }

    /// The groups of a scene.
    pub fn of_scene<'a>(&'a self, scene: &'a Scene) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(move |group| group.scene == *scene)
    }

    /// Thread counts of a scene, ascending.
    #[must_use]
    pub fn threads_of(&self, scene: &Scene) -> Vec<u32> {
        self.of_scene(scene)
            .map(|group| group.threads)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// The group a scene is judged by: at `threads` threads, the largest size that has the most tables; or, where `focus`
    /// is given, the size nearest to it. `None` where nothing ran at that number of threads.
    #[must_use]
    pub fn headline<'a>(&'a self, scene: &'a Scene, threads: u32, focus: Option<u64>) -> Option<&'a Group> {
        let distance = |group: &Group| match focus {
            Some(focus) => ((group.connections.max(1) as f64).ln() - (focus.max(1) as f64).ln()).abs(),
            None => 0.0,
        };
        self.of_scene(scene)
            .filter(|group| group.threads == threads)
            .min_by(|one, other| {
                distance(one)
                    .total_cmp(&distance(other))
                    .then(other.rows.len().cmp(&one.rows.len()))
                    .then(other.connections.cmp(&one.connections))
            })
    }

    /// Whether a cell has no number.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.cells_failed > 0
    }

    /// The summary as JSON, for programs.
    ///
    /// # Errors
    /// Never in practice: all parts can be encoded.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

fn table_order(summaries: &[CellSummary]) -> Vec<String> {
    let names: BTreeSet<(bool, String)> = summaries
        .iter()
        .map(|summary| (summary.cell.table == HARNESS_TABLE, clean(&summary.cell.table)))
        .collect();
    names.into_iter().map(|(_, name)| name).collect()
}

fn groups(summaries: Vec<CellSummary>) -> Vec<Group> {
    let seeds: BTreeSet<u64> = summaries.iter().map(|summary| summary.cell.seed).collect();
    let mut grouped = BTreeMap::<(Scene, u32, u64), Vec<CellSummary>>::new();
    for summary in summaries {
        let cell = &summary.cell;
        let workload = clean(&cell.workload);
        let mut label = workload.clone();
        if cell.batch > 1 {
            label.push_str(&format!(", {} at once", cell.batch));
        }
        if seeds.len() > 1 {
            label.push_str(&format!(", seed {}", cell.seed));
        }
        let scene = Scene {
            workload,
            batch: cell.batch,
            seed: cell.seed,
            label,
        };
        grouped
            .entry((scene, cell.threads, cell.connections))
            .or_default()
            .push(summary);
    }
    grouped
        .into_iter()
        .map(|((scene, threads, connections), cells)| {
            let at_limit = at_limit(&cells);
            Group {
                scene,
                connections,
                threads,
                at_limit,
                rows: rows(cells, at_limit),
            }
        })
        .collect()
}

fn at_limit(cells: &[CellSummary]) -> bool {
    cells
        .iter()
        .filter(|cell| cell.cell.table != HARNESS_TABLE)
        .filter_map(CellSummary::figures)
        .any(|figures| figures.harm.at_limit())
}

/// Why a cell with numbers is not ranked.
fn unranked(cell: &CellSummary, figures: &Figures, at_limit: bool) -> Option<Standing> {
    if cell.cell.table == HARNESS_TABLE {
        return Some(Standing::Harness);
    }
    match figures.harm.conduct() {
        _ if !at_limit => None,
        AtLimit::Evicts => None,
        AtLimit::Refuses => Some(Standing::Refuses),
        AtLimit::Unlimited => Some(Standing::NoLimit),
    }
}

/// Ranks the cells of a group and gives each the harness's cost.
fn rows(mut cells: Vec<CellSummary>, at_limit: bool) -> Vec<Row> {
    let harness = cells
        .iter()
        .find(|cell| cell.cell.table == HARNESS_TABLE)
        .and_then(CellSummary::figures)
        .map(|figures| figures.ns_per_packet.median);
    for cell in &mut cells {
        if let CellResult::Ok(figures) = &mut cell.result {
            figures.harness_ns_per_packet = harness;
        }
    }
    let entries: Vec<Vec<(u32, f64)>> = cells
        .iter()
        .map(|cell| match cell.figures() {
            Some(figures) if unranked(cell, figures, at_limit).is_none() => figures
                .rounds
                .iter()
                .map(|round| (round.round, round.packets_per_s))
                .collect(),
            _ => Vec::new(),
        })
        .collect();
    let places = rank(&entries, Better::Higher);
    let mut rows: Vec<Row> = cells
        .into_iter()
        .zip(places)
        .map(|(summary, place)| row(summary, place, at_limit))
        .collect();
    let order = |row: &Row| match row.standing {
        Standing::Harness => 3,
        Standing::Failed => 2,
        Standing::Refuses | Standing::NoLimit => 1,
        _ => 0,
    };
    rows.sort_by(|one, other| {
        let worse = |row: &Row| row.place.map_or(0.0, |place| place.times_worse);
        let rate = |row: &Row| {
            let figures = row.summary.figures();
            figures.map_or(0.0, |figures| figures.packets_per_s.median)
        };
        order(one)
            .cmp(&order(other))
            .then(worse(one).total_cmp(&worse(other)))
            .then(rate(other).total_cmp(&rate(one)))
            .then_with(|| one.table.cmp(&other.table))
    });
    rows
}

fn row(summary: CellSummary, place: Option<Place>, at_limit: bool) -> Row {
    let standing = match summary.figures() {
        None => Standing::Failed,
        Some(figures) => unranked(&summary, figures, at_limit)
            .unwrap_or_else(|| place.map_or(Standing::Only, |place| place.standing)),
    };
    Row {
        table: clean(&summary.cell.table),
        place,
        standing,
        summary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ErrorKind;
    use crate::support::RunBuilder;

    #[test]
    fn nothing_sums_up_to_nothing() {
        let summary = RunSummary::from_records(&[]);
        assert!(summary.groups.is_empty() && summary.tables.is_empty());
        assert!(summary.to_json().unwrap().contains("\"cells_ok\": 0"));
    }

    #[test]
    fn only_cells_equal_in_all_but_the_table_are_compared() {
        let summary = RunSummary::from_records(&RunBuilder::new().build());
        for group in &summary.groups {
            for row in &group.rows {
                let cell = &row.summary.cell;
                assert_eq!(
                    (&cell.workload, cell.connections),
                    (&group.scene.workload, group.connections)
                );
                assert_eq!(cell.threads, group.threads);
            }
            let best = group
                .rows
                .iter()
                .filter(|row| row.standing == Standing::Best)
                .count();
            assert_eq!(best, usize::from(group.ranked().count() > 1), "{group:?}");
        }
        assert_eq!(
            summary.cells_ok,
            summary.groups.iter().map(|group| group.rows.len()).sum::<usize>()
        );
    }

    #[test]
    fn the_harness_is_shown_beside_every_row_and_never_wins() {
        let summary = RunSummary::from_records(&RunBuilder::new().build());
        for group in &summary.groups {
            let null = group.rows.last().unwrap();
            assert_eq!(
                (null.table.as_str(), null.standing),
                (HARNESS_TABLE, Standing::Harness)
            );
            let cost = null.summary.figures().unwrap().ns_per_packet.median;
            for (_, figures) in group.measured() {
                assert_eq!(figures.harness_ns_per_packet, Some(cost));
                assert!(figures.ns_per_packet.median > cost);
            }
        }
    }

    /// By packets per second alone the refusing tables of these records are the best.
    #[test]
    fn who_refuses_newcomers_does_not_win() {
        let records = RunBuilder::new()
            .workloads(&["full", "flood:everyday"])
            .threads(&[1])
            .build();
        let summary = RunSummary::from_records(&records);
        assert!(!summary.groups.is_empty());
        for group in &summary.groups {
            assert!(group.at_limit);
            let rate = |row: &Row| row.summary.figures().unwrap().packets_per_s.median;
            let fastest = group
                .measured()
                .max_by(|one, other| rate(one.0).total_cmp(&rate(other.0)));
            assert_eq!(fastest.unwrap().0.standing, Standing::Refuses);
            for name in ["std", "hashbrown"] {
                let row = group.row(name).unwrap();
                assert_eq!((row.standing, row.place), (Standing::Refuses, None));
                assert!(row.summary.figures().is_some(), "its figures stay");
                assert!(group.ranked().all(|(other, _)| other.table != name));
            }
            assert!(!matches!(
                group.rows[0].standing,
                Standing::Refuses | Standing::NoLimit
            ));
            assert_eq!(
                group
                    .rows
                    .iter()
                    .filter(|row| row.standing == Standing::Best)
                    .count(),
                1
            );
            assert_eq!(group.rows.last().unwrap().table, HARNESS_TABLE);
        }
        assert!(summary.to_json().unwrap().contains("\"standing\": \"refuses\""));
    }

    #[test]
    fn who_never_met_a_limit_is_not_ranked_beside_those_who_did() {
        let mut records = RunBuilder::new()
            .workloads(&["full"])
            .sizes(&[1024])
            .threads(&[1])
            .build();
        for record in records.iter_mut().filter(|record| record.cell.table == "rcu") {
            if let crate::record::Outcome::Ok(measurement) = &mut record.outcome {
                measurement.answers = crate::record::AnswerTotals::default();
            }
        }
        let summary = RunSummary::from_records(&records);
        let row = summary.groups[0].row("rcu").unwrap();
        assert_eq!((row.standing, row.place), (Standing::NoLimit, None));
        // Where nobody met one, the same answers are no reason.
        let free = RunSummary::from_records(&RunBuilder::new().workloads(&["steady"]).build());
        assert!(free.groups.iter().all(|group| !group.at_limit));
        assert!(
            free.groups
                .iter()
                .flat_map(Group::measured)
                .all(|(row, _)| row.place.is_some())
        );
    }

    #[test]
    fn failed_cells_are_counted_and_unranked() {
        let records = RunBuilder::new()
            .workloads(&["steady"])
            .sizes(&[1024])
            .threads(&[1])
            .error("rcu", "steady", ErrorKind::Crash, "signal 11")
            .build();
        let summary = RunSummary::from_records(&records);
        assert_eq!((summary.cells_ok, summary.cells_failed), (6, 1));
        let row = summary.groups[0].row("rcu").unwrap();
        assert_eq!((row.standing, row.place), (Standing::Failed, None));
    }

    #[test]
    fn seeds_are_named_only_where_there_are_several_and_batches_where_there_are_any() {
        let mut records = RunBuilder::new()
            .workloads(&["steady"])
            .sizes(&[1024])
            .threads(&[1])
            .rounds(1)
            .build();
        assert_eq!(RunSummary::from_records(&records).scenes[0].label, "steady");
        let mut second = records.clone();
        second.iter_mut().for_each(|record| record.cell.seed = 2);
        records.extend(second);
        let labels: Vec<String> = RunSummary::from_records(&records)
            .scenes
            .into_iter()
            .map(|s| s.label)
            .collect();
        assert_eq!(labels, ["steady, seed 1", "steady, seed 2"]);
        records.iter_mut().for_each(|record| record.cell.batch = 32);
        assert_eq!(
            RunSummary::from_records(&records[..5]).scenes[0].label,
            "steady, 32 at once"
        );
    }

    #[test]
    fn headline_is_the_largest_full_size_or_the_one_asked_for() {
        let mut records = RunBuilder::new()
            .workloads(&["steady"])
            .sizes(&[1024, 4096])
            .threads(&[1])
            .build();
        records.extend(
            RunBuilder::new()
                .tables(&["rcu"])
                .workloads(&["steady"])
                .sizes(&[1 << 22])
                .threads(&[1])
                .build(),
        );
        let summary = RunSummary::from_records(&records);
        let scene = &summary.scenes[0];
        assert_eq!(summary.headline(scene, 1, None).unwrap().connections, 4096);
        assert_eq!(summary.headline(scene, 1, Some(1500)).unwrap().connections, 1024);
        assert!(summary.headline(scene, 7, None).is_none());
    }
}
