//! The synthetic workloads by name: what each is, for which sizes, and what it asks of a table.
//!
//! Data for `list`, the planner and the report; [`build`] makes the trace. Replays and the flood need a capture: see
//! [`crate::overlay`].

use std::ops::RangeInclusive;

use thiserror::Error;

use crate::generate::{self, MOST_CONNECTIONS, MOST_OPS, Size};
use crate::trace::Trace;

/// A synthetic workload.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its name, on the command line and in records.
    pub name: &'static str,
    /// One line: what it is.
    pub summary: &'static str,
    /// One line: what the operations are, in shares.
    pub mix: &'static str,
    /// Live connections for which it makes sense.
    pub connections: SizeRange,
    /// Whether connections may be dealt out to threads (see [`Trace::is_partitionable`]).
    pub partitionable: bool,
    /// Whether only tables with prefixes can run it.
    pub needs_prefixes: bool,
    /// Whether the table fills, so that one that cannot evict turns newcomers away.
    pub fills: bool,
    make: fn(Size) -> Trace,
}

/// Sizes from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// Fewest live connections.
    pub fewest: u32,
    /// Most live connections.
    pub most: u32,
}

impl SizeRange {
    /// The same as a range.
    #[must_use]
    pub const fn range(self) -> RangeInclusive<u32> {
        self.fewest..=self.most
    }
}

/// Any size at all.
const ANY: SizeRange = SizeRange {
    fewest: 1,
    most: MOST_CONNECTIONS,
};
/// Below 20 connections the tenth of a full table that is not ASSURED is one connection or none.
const WITH_NEWCOMERS: SizeRange = SizeRange {
    fewest: 20,
    most: MOST_CONNECTIONS,
};

/// All synthetic workloads, in the order in which reports show them.
pub const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "steady",
        summary: "connections that stay; every lookup hits, by Zipf popularity, in both directions",
        mix: "100 % hits",
        connections: ANY,
        partitionable: true,
        needs_prefixes: false,
        fills: false,
        make: generate::steady,
    },
    Workload {
        name: "churn",
        summary: "connections come and go; their number stays, and the others are hit",
        mix: "5 % opens, 5 % closes, 0.6 % packets after a close, the rest hits",
        connections: ANY,
        partitionable: true,
        needs_prefixes: false,
        fills: false,
        make: generate::churn,
    },
    Workload {
        name: "miss",
        summary: "scans and backscatter: packets of connections that are not there",
        mix: "90 % misses, 10 % hits",
        connections: ANY,
        partitionable: true,
        needs_prefixes: false,
        fills: false,
        make: generate::miss,
    },
    Workload {
        name: "full",
        summary: "a table at its limit, nine tenths ASSURED, and newcomers who each need a place",
        mix: "20 % opens that evict, 25 % newcomers' packets, 1 % closes, the rest hits",
        connections: WITH_NEWCOMERS,
        partitionable: false,
        needs_prefixes: false,
        fills: true,
        make: generate::full,
    },
    Workload {
        name: "prefix",
        summary: "connections and prefixes in one table: one lookup answers the connection, else the longest prefix",
        mix: "70 % connections, 30 % longest prefixes (a tenth of those: none)",
        connections: ANY,
        partitionable: true,
        needs_prefixes: true,
        fills: false,
        make: generate::prefix,
    },
];

/// Why a workload could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CatalogError {
    /// There is no workload of that name.
    #[error("there is no workload `{name}`; known: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The number of connections is outside what the workload makes sense for.
    #[error("workload `{name}` takes {fewest} to {most} connections, not {asked}")]
    Connections {
        /// The workload.
        name: &'static str,
        /// What was asked for.
        asked: u64,
        /// Fewest it takes.
        fewest: u32,
        /// Most it takes.
        most: u32,
    },
    /// The number of operations is too large.
    #[error("a workload has at most {MOST_OPS} operations, not {0}")]
    Ops(u64),
}

/// The workload of that name.
///
/// # Errors
/// [`CatalogError::Unknown`], which lists the names there are.
pub fn find(name: &str) -> Result<&'static Workload, CatalogError> {
    WORKLOADS
        .iter()
        .find(|workload| workload.name == name)
        .ok_or_else(|| CatalogError::Unknown {
            name: name.to_owned(),
            known: WORKLOADS.map(|workload| workload.name).join(", "),
        })
}

impl Workload {
    /// Makes the trace of `connections` live connections and `ops` operations.
    ///
    /// # Errors
    /// Where a number is out of range.
    pub fn build(&self, connections: u64, ops: u64, seed: u64) -> Result<Trace, CatalogError> {
        let SizeRange { fewest, most } = self.connections;
        let in_range = u32::try_from(connections)
            .ok()
            .filter(|n| self.connections.range().contains(n));
        let connections = in_range.ok_or(CatalogError::Connections {
            name: self.name,
            asked: connections,
            fewest,
            most,
        })?;
        let ops = u32::try_from(ops)
            .ok()
            .filter(|&n| n <= MOST_OPS)
            .ok_or(CatalogError::Ops(ops))?;
        Ok((self.make)(Size {
            connections,
            ops,
            seed,
        }))
    }
}

/// Makes the trace of the workload `name`.
///
/// # Errors
/// Where there is no such workload, or a number is out of range.
pub fn build(name: &str, connections: u64, ops: u64, seed: u64) -> Result<Trace, CatalogError> {
    find(name)?.build(connections, ops, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Answers, OpKind};

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = build("stead", 10, 10, 0).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no workload `stead`; known: steady, churn, miss, full, prefix"
        );
    }

    #[test]
    fn sizes_out_of_range_are_refused_with_the_range() {
        let error = build("full", 3, 10, 0).unwrap_err().to_string();
        assert_eq!(error, "workload `full` takes 20 to 16777216 connections, not 3");
        assert!(matches!(
            build("steady", 0, 10, 0),
            Err(CatalogError::Connections { .. })
        ));
        assert!(matches!(
            build("steady", 1 << 40, 10, 0),
            Err(CatalogError::Connections { .. })
        ));
        assert!(matches!(
            build("steady", 1, 1 << 40, 0),
            Err(CatalogError::Ops(_))
        ));
    }

    #[test]
    fn traces_are_what_the_catalogue_says() {
        for workload in WORKLOADS {
            let trace = build(workload.name, 1000, 5000, 1).unwrap();
            assert_eq!(trace.name, workload.name);
            assert_eq!((trace.seed, trace.ops.len()), (1, 5000));
            assert_eq!(
                trace.is_partitionable(),
                workload.partitionable,
                "{}",
                workload.name
            );
            assert_eq!(trace.prefixes.is_empty(), !workload.needs_prefixes);
            let classifies = trace.ops.iter().any(|op| op.kind == OpKind::ClassifyHit);
            assert_eq!(classifies, workload.needs_prefixes);
            assert_eq!(trace.evict_when_full, workload.fills);
            assert_eq!(trace.answers == Answers::GivenEvictions, workload.fills);
        }
    }
}
