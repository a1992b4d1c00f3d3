//! Everything that ends in a trace.
//!
//! ```text
//! capture file --capture--> frames --decode--> Packet --track--> Trace
//! seed --generate-----------------------------------> Trace
//! flood --overlay--> Packet + Packet --track--> Trace
//! ```
//!
//! A trace is data: the same for every table, with a digest that two runs with the same seed share.

#![forbid(unsafe_code)]

pub mod capture;
pub mod catalog;
pub mod decode;
pub mod flows;
pub mod generate;
pub mod oracle;
pub mod overlay;
pub mod packet;
pub mod replay;
pub mod trace;
pub mod track;

pub use packet::Packet;
pub use trace::{Connection, Expected, Op, OpKind, Trace};
