//! From a profile and the command line to the list of cells.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use regex::Regex;
use reports::Cell;

use crate::registry::Table;
use crate::workload::{Needs, Workload};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Sizes 2^10 to 2^20, at most three minutes on two cores.
    Quick,
    /// Sizes 2^10 to 2^22, every thread count, more rounds: hours.
    Full,
}

/// What a profile measures where the command line does not say otherwise.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Connections of synthetic workloads.
    pub sizes: Vec<u64>,
    /// Further sizes, too dear for every workload: only for `HEADLINE` ones, with single lookups.
    pub headline_sizes: Vec<u64>,
    /// Size at which threads beyond the first are measured.
    pub threaded_sizes: Vec<u64>,
    /// Thread counts.
    pub threads: Vec<u32>,
    /// Repetitions of every cell.
    pub rounds: u32,
    /// Operations: at least this many in a timed span,
    pub least_ops: u64,
    /// and at most this many.
    pub most_ops: u64,
    /// No new run is started after so many seconds, once every cell has one; `None`: no limit.
    pub budget_s: Option<u64>,
}

/// The three minutes that `quick` may take, less what preparation, the run in progress and the report need.
const QUICK_BUDGET_S: u64 = 140;

/// Workloads that every size is measured with.
const HEADLINE: [&str; 1] = ["steady"];

impl Profile {
    /// What the profile measures on a machine with `cpus` CPUs.
    #[must_use]
    pub fn scale(self, cpus: u32) -> Scale {
        match self {
            Self::Quick => Scale {
                sizes: vec![1 << 10, 1 << 14, 1 << 17],
                headline_sizes: vec![1 << 20],
                threaded_sizes: vec![1 << 17],
                threads: if cpus > 1 { vec![1, cpus] } else { vec![1] },
                rounds: 4,
                least_ops: 1 << 17,
                most_ops: 1 << 19,
                budget_s: Some(QUICK_BUDGET_S),
            },
            Self::Full => Scale {
                sizes: (10..=22).step_by(2).map(|bits| 1 << bits).collect(),
                headline_sizes: Vec::new(),
                threaded_sizes: vec![1 << 14, 1 << 18, 1 << 22],
                threads: (1..=cpus).collect(),
                rounds: 10,
                least_ops: 1 << 20,
                most_ops: 1 << 22,
                budget_s: None,
            },
        }
    }
}

impl Scale {
    /// Operations for a workload of `connections`: two per connection, within the profile's limits.
    #[must_use]
    pub fn ops(&self, connections: u64) -> u64 {
        (2 * connections).clamp(self.least_ops, self.most_ops)
    }
}

/// What the command line chose.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Tables by name; empty: all.
    pub tables: Vec<String>,
    /// Workloads by name; empty: all.
    pub workloads: Vec<String>,
    /// Sizes; empty: the profile's.
    pub sizes: Vec<u64>,
    /// Thread counts; empty: the profile's.
    pub threads: Vec<u32>,
    /// Cell names that match.
    pub filter: Option<Regex>,
}

/// Name of a cell, for filters, progress and messages: `table/workload/connections/threads/batch`.
#[must_use]
pub fn cell_name(cell: &Cell) -> String {
    format!(
        "{}/{}/{}/t{}/b{}",
        cell.table,
        cell.workload,
        size_name(cell.connections),
        cell.threads,
        cell.batch
    )
}

/// `2^k` for powers of two, the number otherwise.
#[must_use]
pub fn size_name(connections: u64) -> String {
    if connections.is_power_of_two() {
        format!("2^{}", connections.trailing_zeros())
    } else {
        connections.to_string()
    }
}

/// Lookups handed to a table at once in batch cells.
pub const BATCH: u32 = crate::measure::BURST_U32;

/// All cells, in a stable order.
#[must_use]
pub fn cells(
    tables: &[Table],
    workloads: &[Workload],
    scale: &Scale,
    selection: &Selection,
    seed: u64,
) -> Vec<Cell> {
    let mut cells = Vec::new();
    for workload in workloads.iter().filter(|w| chosen(&selection.workloads, &w.name)) {
        for (connections, threads, batch) in shapes(workload, scale, selection) {
            for table in tables.iter().filter(|t| chosen(&selection.tables, t.name)) {
                if !suits(table, workload) {
                    continue;
                }
                let (table, workload) = (table.name.to_owned(), workload.name.clone());
                cells.push(Cell {
                    table,
                    workload,
                    connections,
                    threads,
                    batch,
                    seed,
                });
            }
        }
    }
    if let Some(filter) = &selection.filter {
        cells.retain(|cell| filter.is_match(&cell_name(cell)));
    }
    cells
}

/// Whether a table can run a workload, and says something by it.
fn suits(table: &Table, workload: &Workload) -> bool {
    match workload.needs {
        Needs::Prefixes => table.prefixes || !table.info.answers,
        Needs::Connections => !table.only_prefixes,
    }
}

fn chosen(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|n| n == name)
}

/// The (connections, threads, batch) a workload is measured at.
fn shapes(workload: &Workload, scale: &Scale, selection: &Selection) -> Vec<(u64, u32, u32)> {
    let mut shapes = Vec::new();
    for size in sizes(workload, scale, selection) {
        let threads = thread_counts(size, workload, scale, selection);
        shapes.extend(threads.iter().map(|&count| (size, count, 1)));
        let headline_only = selection.sizes.is_empty() && scale.headline_sizes.contains(&size);
        if workload.batched && threads.contains(&1) && !headline_only {
            shapes.push((size, 1, BATCH));
        }
    }
    shapes
}

fn sizes(workload: &Workload, scale: &Scale, selection: &Selection) -> Vec<u64> {
    if let Some(fixed) = workload.fixed_connections {
        return vec![fixed];
    }
    if !selection.sizes.is_empty() {
        return selection.sizes.clone();
    }
    let headline = HEADLINE.contains(&workload.name.as_str());
    let further = scale.headline_sizes.iter().filter(|_| headline);
    scale.sizes.iter().chain(further).copied().collect()
}

/// One thread, and more where the workload's connections can be dealt out.
fn thread_counts(size: u64, workload: &Workload, scale: &Scale, selection: &Selection) -> Vec<u32> {
    let asked = !selection.threads.is_empty();
    let here = asked || !selection.sizes.is_empty() || scale.threaded_sizes.contains(&size);
    let counts = if asked { &selection.threads } else { &scale.threads };
    let fits = |count: &&u32| **count == 1 || (here && workload.partitionable);
    counts.iter().filter(fits).copied().collect()
}

/// The order of one round: all cells, shuffled by seed and round.
#[must_use]
pub fn round_order(cells: usize, seed: u64, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cells).collect();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ (u64::from(round) << 32));
    order.shuffle(&mut rng);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_every_cell_once_and_rounds_differ() {
        let (a, b) = (round_order(100, 1, 0), round_order(100, 1, 1));
        assert_eq!(a, round_order(100, 1, 0), "seeded");
        assert_ne!(a, b);
        let mut sorted = a;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn names_tell_the_whole_cell() {
        let cell = Cell {
            table: "rcu".into(),
            workload: "steady".into(),
            connections: 1 << 17,
            threads: 2,
            batch: 1,
            seed: 1,
        };
        assert_eq!(cell_name(&cell), "rcu/steady/2^17/t2/b1");
        assert_eq!(size_name(1000), "1000");
    }

    fn workload(name: &str, partitionable: bool) -> Workload {
        Workload {
            name: name.into(),
            about: String::new(),
            fixed_connections: None,
            partitionable,
            batched: true,
            needs: Needs::Connections,
        }
    }

    #[test]
    fn shapes_follow_profile_and_command_line() {
        let scale = Profile::Quick.scale(2);
        let quick = shapes(&workload("steady", true), &scale, &Selection::default());
        assert!(
            quick.contains(&(1 << 20, 1, 1))
                && quick.contains(&(1 << 17, 2, 1))
                && quick.contains(&(1 << 14, 1, BATCH))
        );
        assert!(
            !quick.contains(&(1 << 20, 2, 1)) && !quick.contains(&(1 << 20, 1, BATCH)),
            "too dear"
        );
        let quick = shapes(&workload("full", false), &scale, &Selection::default());
        assert!(
            quick
                .iter()
                .all(|&(size, threads, _)| size < 1 << 20 && threads == 1)
        );

        let asked = Selection {
            sizes: vec![5],
            threads: vec![2],
            ..Selection::default()
        };
        assert_eq!(shapes(&workload("steady", true), &scale, &asked), [(5, 2, 1)]);
        assert!(
            shapes(&workload("full", false), &scale, &asked).is_empty(),
            "nothing silently becomes one thread"
        );
    }

    #[test]
    fn quick_stays_within_its_sizes() {
        let scale = Profile::Quick.scale(2);
        assert_eq!(
            (scale.sizes[0], *scale.headline_sizes.last().unwrap()),
            (1 << 10, 1 << 20)
        );
        assert_eq!(scale.ops(1 << 10), scale.least_ops);
        assert_eq!(scale.ops(1 << 22), scale.most_ops);
    }
}
