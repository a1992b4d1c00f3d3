//! Records, statistics, plots and the HTML report.
//!
//! This crate knows numbers and names; it never sees a table. A report can be rebuilt from old records alone.

#![forbid(unsafe_code)]

pub mod record;

pub use record::*;
