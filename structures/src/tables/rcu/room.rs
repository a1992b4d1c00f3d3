//! Making room at the limit: whose place a newcomer gets.
//!
//! ```text
//! looked at, in this order             how many                  stops when
//! newcomer's two buckets               24 links at most          an expired connection is met
//! slots drawn at random                16
//! neighbouring slots from a random one 256, only if nothing      something evictable is met
//!                                      evictable was met so far
//! ```
//! `nf_conntrack` looks at eight buckets, 16 entries on average since 2021, and takes every unassured one of
//! the first bucket that has any, whatever its age. A legitimate half-open handshake is unassured too: under
//! a flood, the oldest of k candidates is a much surer sign of a dead one than any. The last row is for
//! tables full of ASSURED connections: of 90 % such, 30 candidates are all ASSURED once in 24 times, 286
//! practically never.
//!
//! Only atomics of the entries are read here; whatever is chosen is looked at again under its locks.

use crate::hash::TupleHasher;
use crate::table::{EvictionSink, VirtualTime};

use super::handle::{Newcomer, RcuHandle};
use super::index::Address;
use super::slot_of;

/// Links looked at in each of the newcomer's buckets: a full home line.
const PER_BUCKET: usize = 12;

/// Slots drawn at random. Their lines are fetched at once: more than a core's line fill buffers would queue.
const SAMPLE: usize = 16;

/// Neighbouring slots looked at when nothing else was found; with the slack of a small table, all slots of
/// tables up to 128.
const NEIGHBOURS: u32 = 256;

/// How often a choice may be lost to other threads before the newcomer is refused.
const ATTEMPTS: usize = 8;

/// The best place so far.
#[derive(Debug, Default)]
struct Choice {
    expired: Option<u32>,
    quietest: Option<(VirtualTime, u32)>,
}

impl<H: TupleHasher> RcuHandle<'_, H> {
    /// Finds a place for a newcomer to a full table, and reserves it. The newcomer is no duplicate.
    #[cold]
    pub(super) fn make_room(&mut self, newcomer: &Newcomer<'_>, evictions: &mut impl EvictionSink) -> bool {
        let now = newcomer.packet.now;
        for _ in 0..ATTEMPTS {
            let choice = self.choose(now, newcomer.at);
            let taken = match (choice.expired, choice.quietest) {
                (Some(slot), _) => self.unlink_expired(slot, now),
                (None, Some((_, slot))) => self.evict(slot, evictions),
                (None, None) => return false,
            };
            if taken || self.table.slab.reserve() {
                return true;
            }
        }
        false
    }

    /// Evicts the connection in `slot` if it still may be. It stays counted: its place is the newcomer's.
    fn evict(&mut self, slot: u32, evictions: &mut impl EvictionSink) -> bool {
        let victim = self.unlink_if(slot, |entry| {
            entry.status().is_evictable().then(|| entry.as_evicted())
        });
        if let Some(victim) = victim {
            self.counters.count(|c| c.early_drop += 1);
            evictions.evicted(victim);
        }
        victim.is_some()
    }

    fn choose(&mut self, now: VirtualTime, at: [Address; 2]) -> Choice {
        let table = self.table;
        let mut choice = Choice::default();
        {
            let _inside = table.domain.enter(&self.record);
            for address in at {
                table.index.each_link(address.bucket, PER_BUCKET, |link| {
                    self.consider(slot_of(link), now, &mut choice);
                });
            }
        }
        if choice.expired.is_some() {
            return choice;
        }
        let used = table.slab.used_slots();
        let sample: [u32; SAMPLE] = std::array::from_fn(|_| draw(&mut self.random, used));
        for slot in sample {
            table.slab.prefetch(slot);
        }
        for slot in sample {
            self.consider(slot, now, &mut choice);
        }
        if choice.is_empty() {
            let start = draw(&mut self.random, used);
            for step in 0..NEIGHBOURS.min(used) {
                // No overflow: slots are below 2^30.
                self.consider((start + step) % used, now, &mut choice);
                if !choice.is_empty() {
                    break;
                }
            }
        }
        choice
    }

    fn consider(&self, slot: u32, now: VirtualTime, choice: &mut Choice) {
        let entry = self.table.slab.entry(slot);
        if !entry.is_live() {
            return;
        }
        if entry.is_expired(now) {
            choice.expired = Some(slot);
        } else if self.table.evict_when_full && entry.status().is_evictable() {
            let candidate = (entry.last_seen(), slot);
            choice.quietest = Some(choice.quietest.map_or(candidate, |best| best.min(candidate)));
        }
    }
}

impl Choice {
    fn is_empty(&self) -> bool {
        self.expired.is_none() && self.quietest.is_none()
    }
}

/// A slot below `used`, from the next number of a `SplitMix64` sequence (Steele, Lea and Flood 2014).
fn draw(state: &mut u64, used: u32) -> u32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let below = (u128::from(mixed ^ (mixed >> 31)) * u128::from(used)) >> 64;
    // Below `used`, a u32.
    u32::try_from(below).unwrap_or(0)
}
