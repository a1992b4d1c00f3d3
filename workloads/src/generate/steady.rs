//! `steady`: N connections, all ASSURED, and packets that hit.
//!
//! What a connection tracker does most of the time. Popularity is Zipf with exponent 1, uncorrelated with the order of
//! insertion; half of the packets go each way; packets come in short trains; nothing is opened, closed or expires.

use super::{Builder, ESTABLISHED, Permutation, Random, Size, Traffic};
use crate::trace::Trace;

/// Makes the workload.
#[must_use]
pub fn steady(size: Size) -> Trace {
    let size = size.clamped();
    let live = size.connections;
    let mut builder = Builder::new(size, live, live);
    builder.prefill(|_| ESTABLISHED);
    let by_rank = Permutation::new(u64::from(live), size.seed, 10);
    let mut random = Random::new(size.seed, 11);
    let mut traffic = Traffic::new(live);
    while !builder.is_complete() {
        let (rank, direction) = traffic.next(&mut random);
        builder.hit(by_rank.apply32(rank), direction);
    }
    builder.finish("steady", live, live as usize)
}
