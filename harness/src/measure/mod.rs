//! Running one cell: build, prefill, timed span, check.
//!
//! ```text
//! trace --unroll--> one cache line per packet, per thread     (before the clock starts)
//!       --worker--> outcome log, burst times, evictions       (timed)
//!       --check---> right, or the first wrong answer          (after the clock stopped)
//! ```
//! In the timed span there is no I/O, no allocation by the harness, no random number, no assertion and no dynamic dispatch.

pub mod check;
pub mod clock;
pub mod memory;
pub mod outcome;
pub mod run;
pub mod unroll;
pub mod worker;

/// Packets per burst: one clock reading each. 32 is DPDK's customary receive burst.
pub const BURST: usize = structures::MAX_BATCH;
/// [`BURST`] for places that count in 32 bits.
pub const BURST_U32: u32 = 32;
const _: () = assert!(BURST == BURST_U32 as usize);
