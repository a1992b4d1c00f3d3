//! `miss`: packets of connections that are not there.
//!
//! Nine of ten packets miss, as under scans (original direction: probes that the ruleset drops, so that nothing is
//! opened) and backscatter (reply direction: answers of a flood's victim to addresses it was told). A miss is the
//! worst case of a chain (walked to its end) and the best of a filter; the share of hits keeps real connections' entries
//! moving through the caches. Absent connections are numbered beyond the live ones, so that they differ from all of them
//! as any two connections do; they are drawn uniformly: a scan has no favourites.

use structures::Status;

use super::{Builder, ESTABLISHED, Permutation, Random, Size, Step, Traffic, either_way};
use crate::trace::{OpKind, Trace};

/// Misses per 1000 packets.
pub const MISSES_PER_MILLE: u32 = 900;
/// Most absent connections; tables are touched in more places than any cache has lines.
pub const MOST_ABSENT: u32 = 1 << 20;
/// Fewest absent connections, so that small tables too are probed in more than a few places.
pub const FEWEST_ABSENT: u32 = 1 << 10;

/// Makes the workload.
#[must_use]
pub fn miss(size: Size) -> Trace {
    let size = size.clamped();
    let live = size.connections;
    let absent = live.clamp(FEWEST_ABSENT, MOST_ABSENT);
    let mut builder = Builder::new(size, live + absent, live + absent);
    builder.prefill(|_| ESTABLISHED);
    let by_rank = Permutation::new(u64::from(live), size.seed, 20);
    let mut random = Random::new(size.seed, 21);
    let mut traffic = Traffic::new(live);
    while !builder.is_complete() {
        if random.chance(MISSES_PER_MILLE) {
            builder.push(Step {
                kind: OpKind::Miss,
                connection: live + random.below32(absent),
                direction: either_way(&mut random),
                set_status: Status::NEW,
            });
        } else {
            let (rank, direction) = traffic.next(&mut random);
            builder.hit(by_rank.apply32(rank), direction);
        }
    }
    builder.finish("miss", live + absent, live as usize)
}
