//! `churn`: connections come and go while others are hit.
//!
//! ```text
//! 5 % opens, 5 % closes, 90 % hits: a quarter of the hits are the next packets of connections just opened
//! (handshake, then a little data, 4 to 5 packets each), the rest is Zipf traffic of the live ones
//!
//! slot = popularity rank:  | 0 ........ long-lived ........ 3N/4 | ... short-lived ... N-1 |
//! a close takes              1 of 8, anywhere                      7 of 8, here
//! ```
//! One close in eight is followed, a few packets later, by a straggler: a late packet of the closed connection, which must
//! miss. A table that still finds what was removed is caught by these.
//!
//! Closes and opens alternate, so that N or N-1 connections are live. A slot is emptied at random, so that lifetimes are
//! a mixture of two exponentials whose means are apart by a factor of 29: heavier than exponential, nothing like FIFO.
//!
//! # Headroom
//!
//! The limit is N plus [`headroom`]. A sequential run needs none; dealt out to threads, each thread has a random share
//! of the N slots whose size wanders like a binomial, so that all together deviate by about sqrt(N), however long
//! the run. Eight of those are never reached.

use structures::{Direction, Status};

use super::{Builder, ESTABLISHED, Nursery, Permutation, Random, Size, Step, Traffic, Young, either_way};
use crate::trace::{OpKind, Trace};

/// Opens and closes per 1000 packets.
pub const EVENTS_PER_MILLE: u32 = 100;
/// Of 1000 hits, those that belong to connections opened a moment ago.
const YOUNG_PER_MILLE: u32 = 250;
/// Of 1000 closes, those that take a short-lived connection.
const SHORT_CLOSES_PER_MILLE: u32 = 875;
/// Of 1000 closes, those that a late packet follows.
const STRAGGLERS_PER_MILLE: u32 = 125;
/// Of 1000 packets while a straggler is under way, those that are it: ten packets later on average.
const ARRIVAL_PER_MILLE: u32 = 100;
/// One slot of this many is short-lived.
const SHORT_SHARE: u32 = 4;
/// Packets of a new connection before it is one of many.
const YOUNG_PACKETS: u32 = 6;

/// Room above N in a table for `churn`; see the module's text.
#[must_use]
pub const fn headroom(connections: u32) -> usize {
    8 * (connections.isqrt() as usize + 1)
}

/// Makes the workload.
#[must_use]
pub fn churn(size: Size) -> Trace {
    let size = size.clamped();
    let live = size.connections;
    let mut churning = Churning::new(size);
    while !churning.builder.is_complete() {
        churning.next();
    }
    let numbers = churning.next_number;
    churning
        .builder
        .finish("churn", numbers, live as usize + headroom(live))
}

/// The state of the population.
struct Churning {
    builder: Builder,
    random: Random,
    traffic: Traffic,
    /// Connection numbers by popularity rank.
    slots: Vec<u32>,
    /// The slot whose connection was closed last and not yet replaced.
    vacant: Option<u32>,
    /// A closed connection of which one more packet is under way.
    straggler: Option<u32>,
    nursery: Nursery,
    next_number: u32,
}

impl Churning {
    fn new(size: Size) -> Self {
        let live = size.connections;
        let mut builder = Builder::new(size, live + size.ops / 20, live + size.ops / 2 + 1);
        builder.prefill(|_| ESTABLISHED);
        let by_rank = Permutation::new(u64::from(live), size.seed, 30);
        Self {
            builder,
            random: Random::new(size.seed, 31),
            traffic: Traffic::new(live),
            slots: (0..live).map(|rank| by_rank.apply32(rank)).collect(),
            vacant: None,
            straggler: None,
            nursery: Nursery::default(),
            next_number: live,
        }
    }

    fn next(&mut self) {
        if self.straggler.is_some() && self.random.chance(ARRIVAL_PER_MILLE) {
            self.late_packet();
        } else if self.random.chance(EVENTS_PER_MILLE) {
            match self.vacant.take() {
                Some(slot) => self.open(slot),
                None => self.close(),
            }
        } else if !(self.random.chance(YOUNG_PER_MILLE) && self.young_packet()) {
            self.packet();
        }
    }

    fn open(&mut self, slot: u32) {
        let connection = self.next_number;
        self.next_number += 1;
        self.slots[slot as usize] = connection;
        let young = Young {
            connection,
            slot,
            packets: 0,
        };
        self.nursery.admit(young, super::NURSERY, &mut self.random);
        self.builder.push(Step {
            kind: OpKind::Open,
            connection,
            direction: Direction::Original,
            set_status: Status::NEW,
        });
    }

    fn close(&mut self) {
        let live = self.builder.size.connections;
        let short = live / SHORT_SHARE;
        let slot = if short > 0 && self.random.chance(SHORT_CLOSES_PER_MILLE) {
            live - short + self.random.below32(short)
        } else {
            self.random.below32(live)
        };
        self.vacant = Some(slot);
        let connection = self.slots[slot as usize];
        if self.random.chance(STRAGGLERS_PER_MILLE) {
            self.straggler = Some(connection);
        }
        self.builder.push(Step {
            kind: OpKind::Close,
            connection,
            direction: either_way(&mut self.random),
            set_status: ESTABLISHED,
        });
    }

    /// A packet of a connection that is closed already.
    fn late_packet(&mut self) {
        if let Some(connection) = self.straggler.take() {
            self.builder.push(Step {
                kind: OpKind::Miss,
                connection,
                direction: either_way(&mut self.random),
                set_status: Status::NEW,
            });
        }
    }

    /// The next packet of a connection in the nursery; false where the one picked is gone.
    fn young_packet(&mut self) -> bool {
        let Some(at) = self.nursery.pick(&mut self.random) else {
            return false;
        };
        let young = self.nursery.0[at];
        let closed = self.vacant == Some(young.slot) || self.slots[young.slot as usize] != young.connection;
        if closed || young.packets == YOUNG_PACKETS {
            self.nursery.0.swap_remove(at);
            return false;
        }
        self.nursery.0[at].packets += 1;
        // The answer, the handshake's end, then data either way.
        let (direction, set_status) = match young.packets {
            0 => (Direction::Reply, Status::SEEN_REPLY),
            1 => (Direction::Original, ESTABLISHED),
            _ => (either_way(&mut self.random), ESTABLISHED),
        };
        self.builder.push(Step {
            kind: OpKind::Hit,
            connection: young.connection,
            direction,
            set_status,
        });
        true
    }

    /// A packet of a live connection.
    fn packet(&mut self) {
        let (rank, direction) = self.traffic.next(&mut self.random);
        if self.vacant != Some(rank) {
            self.builder.hit(self.slots[rank as usize], direction);
        } else if self.slots.len() > 1 {
            // Its neighbour in popularity is live: at most one slot is vacant.
            let rank = (rank as usize + 1) % self.slots.len();
            self.builder.hit(self.slots[rank], direction);
        } else {
            // The only connection there was is gone.
            self.vacant = None;
            self.open(rank);
        }
    }
}
