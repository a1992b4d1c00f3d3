//! The tables, one folder or file each. Each opens with its design header.

pub mod chained;
pub mod null;
pub mod rcu;
