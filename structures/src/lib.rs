//! Connection-tracking tables behind one contract.
//!
//! This crate holds data structures only: no I/O, no clock, no random numbers. A table learns the time
//! from the packet it is given and its seed from its [`Sizing`].
//!
//! | module | what it owns |
//! |---|---|
//! | [`mod@tuple`] | the 40-byte tuple (5-tuple + zone), directions, prefixes |
//! | [`hash`] | keyed hash functions over a tuple |
//! | [`table`] | the contract every table fulfils |
//! | [`counters`] | event counters named as `nf_conntrack` names them |
//! | [`entry`] | the 128-byte connection entry and the slab it lives in |
//! | [`conformance`] | the suite every table must pass |
//! | [`tables`] | the tables |
//! | [`sync`] | atomics and locks, real ones or loom's |

pub mod conformance;
pub mod counters;
pub mod entry;
pub mod hash;
pub mod sync;
pub mod table;
pub mod tables;
pub mod tuple;

pub use counters::Counters;
pub use hash::{FoldHasher, Sip24Hasher, TupleHasher};
pub use table::*;
pub use tuple::{Direction, Family, Prefix, Tuple};
