//! Records, statistics, plots and the HTML report.
//!
//! This crate knows numbers and names; it never sees a table. A report can be rebuilt from old records alone.
//!
//! ```text
//! records.jsonl -> store -> [Record] -> summary -> RunSummary -> summary table (terminal, JSON)
//!                                          ^             |
//!                                        stats           +-----> plots (SVG) -> report (HTML)
//! ```

#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as reports;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub mod plot;
pub mod record;
pub mod report;
pub mod stats;
pub mod store;
pub mod summary;
pub mod units;

pub use record::*;
