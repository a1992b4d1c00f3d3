//! `full`: a table at its limit, and newcomers who keep coming.
//!
//! ```text
//! 20 % opens, each at the limit (except the first after a close): somebody must go
//! 25 % next packets of newcomers; 40 % of newcomers never send a second (scans, half-open)
//! one newcomer in 12 that got an answer finishes its handshake: ASSURED; then an ASSURED connection closes
//! the rest: Zipf traffic of the ASSURED, nine tenths of the table
//! ```
//! The share of ASSURED connections stays about constant. Which connections go is the table's choice: answers are right
//! given the evictions it reports ([`Answers::GivenEvictions`]). A table that never evicts an ASSURED connection and
//! evicts the oldest of the others keeps newcomers for as long as the tenth of the table that is theirs lasts.

use structures::{Direction, Status};

use super::{Builder, ESTABLISHED, Nursery, Permutation, Random, Size, Step, Traffic, Young, either_way};
use crate::trace::{Answers, OpKind, Trace};

/// ASSURED connections of a full table, per 1000.
pub const ASSURED_PER_MILLE: u32 = 900;
/// Opens per 1000 packets.
pub const OPENS_PER_MILLE: u32 = 200;
/// Next packets of newcomers per 1000 packets.
const YOUNG_PER_MILLE: u32 = 250;
/// Of 1000 newcomers, those that send a second packet.
const ANSWERED_PER_MILLE: u32 = 600;
/// Of 1000 newcomers that were answered, those that become ASSURED.
const PROMOTED_PER_MILLE: u32 = 83;

/// Makes the workload.
#[must_use]
pub fn full(size: Size) -> Trace {
    let size = size.clamped();
    let mut filled = Full::new(size);
    while !filled.builder.is_complete() {
        filled.next();
    }
    let numbers = filled.next_number;
    let mut trace = filled.builder.finish("full", numbers, size.connections as usize);
    trace.evict_when_full = true;
    trace.answers = Answers::GivenEvictions;
    trace
}

/// The state of the population, as if nobody were evicted.
struct Full {
    builder: Builder,
    random: Random,
    traffic: Traffic,
    /// The ASSURED by popularity rank (of a table of one: the one).
    assured: Vec<u32>,
    /// The rank whose connection closes next, and what takes its place.
    leaving: Option<(u32, u32)>,
    nursery: Nursery,
    next_number: u32,
}

impl Full {
    fn new(size: Size) -> Self {
        let live = size.connections;
        let assured = u64::from(live) * u64::from(ASSURED_PER_MILLE) / 1000;
        // Prefilled connections that are ASSURED are those whose rank is below the share.
        let rank_of = Permutation::new(u64::from(live), size.seed, 40);
        let ranks = u32::try_from(assured).unwrap_or(live).max(1);
        let mut by_rank = vec![0; ranks as usize];
        for connection in 0..live {
            if let Some(slot) = by_rank.get_mut(rank_of.apply32(connection) as usize) {
                *slot = connection;
            }
        }
        let mut builder = Builder::new(size, live + size.ops / 5, live + size.ops + 1);
        builder.prefill(|connection| {
            let rank = rank_of.apply32(connection);
            match rank {
                rank if u64::from(rank) < assured => ESTABLISHED,
                rank if rank % 2 == 0 => Status::SEEN_REPLY,
                _ => Status::NEW,
            }
        });
        Self {
            builder,
            random: Random::new(size.seed, 41),
            traffic: Traffic::new(ranks),
            assured: by_rank,
            leaving: None,
            nursery: Nursery::default(),
            next_number: live,
        }
    }

    fn next(&mut self) {
        if let Some((rank, successor)) = self.leaving.take() {
            return self.close(rank, successor);
        }
        match self.random.below32(1000) {
            n if n < OPENS_PER_MILLE => self.open(),
            n if n < OPENS_PER_MILLE + YOUNG_PER_MILLE && self.young_packet() => {}
            _ => {
                let (rank, direction) = self.traffic.next(&mut self.random);
                // A table of one has nobody ASSURED: its packets leave the status alone.
                let set_status = if self.builder.size.connections > 1 {
                    ESTABLISHED
                } else {
                    Status::NEW
                };
                self.builder.push(Step {
                    kind: OpKind::Hit,
                    connection: self.assured[rank as usize],
                    direction,
                    set_status,
                });
            }
        }
    }

    fn open(&mut self) {
        let connection = self.next_number;
        self.next_number += 1;
        if self.random.chance(ANSWERED_PER_MILLE) {
            // Few enough handshakes at a time that the newcomers' tenth of the table holds them twice over.
            let limit = self.builder.size.connections as usize / 20;
            let young = Young {
                connection,
                slot: 0,
                packets: 0,
            };
            self.nursery.admit(young, limit, &mut self.random);
        }
        self.builder.push(Step {
            kind: OpKind::Open,
            connection,
            direction: Direction::Original,
            set_status: Status::NEW,
        });
    }

    /// An ASSURED connection's last packet; the newcomer that became ASSURED takes its rank.
    fn close(&mut self, rank: u32, successor: u32) {
        let connection = std::mem::replace(&mut self.assured[rank as usize], successor);
        self.builder.push(Step {
            kind: OpKind::Close,
            connection,
            direction: either_way(&mut self.random),
            set_status: ESTABLISHED,
        });
    }

    /// The next packet of a newcomer: the answer, then the last we see of it or the end of its handshake. False where
    /// no newcomer has packets to come.
    fn young_packet(&mut self) -> bool {
        let Some(at) = self.nursery.pick(&mut self.random) else {
            return false;
        };
        let young = self.nursery.0[at];
        let (direction, set_status) = if young.packets == 0 {
            self.nursery.0[at].packets += 1;
            (Direction::Reply, Status::SEEN_REPLY)
        } else {
            self.nursery.0.swap_remove(at);
            if self.random.chance(PROMOTED_PER_MILLE) {
                let ranks = u32::try_from(self.assured.len()).unwrap_or(u32::MAX);
                self.leaving = Some((self.random.below32(ranks), young.connection));
                (Direction::Original, ESTABLISHED)
            } else {
                (Direction::Original, Status::SEEN_REPLY)
            }
        };
        self.builder.push(Step {
            kind: OpKind::Hit,
            connection: young.connection,
            direction,
            set_status,
        });
        true
    }
}
