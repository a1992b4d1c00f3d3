//! The tables, one folder or file each. Each opens with its design header.

pub mod chained;
#[cfg(any(test, feature = "faulty"))]
pub mod faulty;
pub mod hashtrie;
pub mod hashtrie_lpm;
pub mod null;
pub mod rcu;
