//! What all parts of the report draw from.

use std::collections::BTreeMap;

use crate::plot::look::{Look, looks};
use crate::plot::{PlotError, swatch};
use crate::record::Record;
use crate::summary::{Group, HARNESS_TABLE, Row, RunSummary, Scene, Standing};
use crate::units::{clean, short_count};

use super::ReportOptions;
use super::command::Invocation;
use super::view::LegendItem;

pub(super) struct Context<'a> {
    pub(super) summary: &'a RunSummary,
    pub(super) records: &'a [&'a Record],
    pub(super) newest: &'a Record,
    pub(super) options: &'a ReportOptions,
    pub(super) looks: BTreeMap<String, Look>,
    pub(super) invocation: Invocation,
}

impl<'a> Context<'a> {
    /// `None` without records.
    pub(super) fn new(
        summary: &'a RunSummary,
        records: &'a [&'a Record],
        options: &'a ReportOptions,
    ) -> Option<Self> {
        let newest = records
            .iter()
            .copied()
            .max_by_key(|record| record.finished_unix_s)?;
        Some(Self {
            summary,
            records,
            newest,
            options,
            looks: looks(&summary.tables),
            invocation: Invocation::of(&newest.program.argv),
        })
    }

    pub(super) fn look(&self, table: &str) -> Look {
        self.looks
            .get(table)
            .copied()
            .unwrap_or_else(|| looks(&[table])[table])
    }

    /// Tables but the harness.
    pub(super) fn tables(&self) -> impl Iterator<Item = &'a str> {
        self.summary
            .tables
            .iter()
            .map(String::as_str)
            .filter(|table| *table != HARNESS_TABLE)
    }

    /// Legend of the tables that a figure shows, in the order of the run.
    pub(super) fn legend(&self, shown: impl Fn(&str) -> bool) -> Result<Vec<LegendItem>, PlotError> {
        let tables = self.summary.tables.iter().filter(|table| shown(table));
        tables
            .map(|table| {
                let svg = swatch(table, self.look(table))?;
                Ok(LegendItem {
                    svg,
                    class: String::new(),
                    name: table.clone(),
                })
            })
            .collect()
    }

    /// The fewest threads a scene ran with.
    pub(super) fn fewest_threads(&self, scene: &Scene) -> u32 {
        self.summary.threads_of(scene).first().copied().unwrap_or(1)
    }

    /// The group a scene is judged by, at its fewest threads.
    pub(super) fn headline(&self, scene: &'a Scene) -> Option<&'a Group> {
        self.summary
            .headline(scene, self.fewest_threads(scene), self.options.focus_connections)
    }

    /// The group a scene is judged by at its most threads; `None` where it ran with one number of threads only.
    pub(super) fn most_threads(&self, scene: &'a Scene) -> Option<&'a Group> {
        let threads = self.summary.threads_of(scene);
        let most = threads.last().copied().filter(|_| threads.len() > 1)?;
        self.summary.headline(scene, most, self.options.focus_connections)
    }

    /// The groups of a scene at a number of threads, by size.
    pub(super) fn sizes(&self, scene: &'a Scene, threads: u32) -> Vec<&'a Group> {
        let mut groups: Vec<&Group> = self
            .summary
            .of_scene(scene)
            .filter(|group| group.threads == threads)
            .collect();
        groups.sort_by_key(|group| group.connections);
        groups
    }

    /// What a workload asks of a table, in a few words; empty where nobody said.
    pub(super) fn about_workload(&self, workload: &str) -> String {
        if let Some(about) = self.options.about_workloads.get(workload) {
            return clean(about);
        }
        let kind = workload.split_once(':').map_or(workload, |(kind, _)| kind);
        let about = match kind {
            "steady" => "lookups that hit, some far more often",
            "churn" => "connections open, live and close",
            "miss" => "packets of connections that are not there",
            "full" => "a table at capacity that must evict",
            "prefix" => "exact connection, else longest prefix",
            "flood" => "a SYN flood laid over a capture",
            "replay" => "the packets of a capture",
            _ => "",
        };
        about.to_owned()
    }
}

/// What a panel's note says of tables that are not like the others: without a number, or not ranked.
pub(super) fn note(groups: &[&Group]) -> String {
    let notes = [
        (
            "ERROR, no number: ",
            at_sizes(groups, |row| row.standing == Standing::Failed),
        ),
        (
            "Not ranked, refuses newcomers when full: ",
            at_sizes(groups, |row| row.standing == Standing::Refuses),
        ),
        (
            "Not ranked, met no limit: ",
            at_sizes(groups, |row| row.standing == Standing::NoLimit),
        ),
    ];
    let told = notes.into_iter().filter(|(_, tables)| !tables.is_empty());
    let told: Vec<String> = told.map(|(what, tables)| format!("{what}{tables}.")).collect();
    told.join(" ")
}

/// Tables whose rows are so, and at which sizes where not at all of them.
fn at_sizes(groups: &[&Group], which: fn(&Row) -> bool) -> String {
    let mut sizes = BTreeMap::<&str, Vec<String>>::new();
    for group in groups {
        for row in group.rows.iter().filter(|row| which(row)) {
            sizes
                .entry(&row.table)
                .or_default()
                .push(short_count(group.connections));
        }
    }
    let named = sizes.into_iter().map(|(table, sizes)| {
        if sizes.len() == groups.len() {
            table.to_owned()
        } else {
            format!("{table} (at {})", sizes.join(", "))
        }
    });
    named.collect::<Vec<_>>().join(", ")
}
