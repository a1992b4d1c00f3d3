//! Room for a newcomer: expired connections near it first, then `early_drop` of the configured generation.
//!
//! A search notes slots under the lock of the chain it looks at, and takes each one out afterwards under both of its
//! locks, where it decides again.

use super::{ChainedHandle, EVICTION_RANGE, Eviction, LockScheme, chain::Node};
use crate::entry::Entry;
use crate::hash::TupleHasher;
use crate::table::{EvictionSink, VirtualTime};

/// Connections that one look at a chain takes note of; a chain with more is looked at again.
const NOTED: usize = 16;

/// Slots noted under a lock, to be dealt with after it.
#[derive(Debug, Default)]
pub(super) struct Noted {
    slots: [u32; NOTED],
    count: usize,
}

impl Noted {
    /// Notes a slot; what finds no place is met again another time.
    pub(super) fn note(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(self.count) {
            *place = slot;
            self.count += 1;
        }
    }

    pub(super) fn slots(&self) -> &[u32] {
        &self.slots[..self.count]
    }
}

impl<H: TupleHasher, L: LockScheme> ChainedHandle<'_, H, L> {
    /// Makes room at the limit: first of what has expired in the newcomer's two chains, then by eviction.
    #[cold]
    pub(super) fn make_room(
        &mut self,
        hashes: [u64; 2],
        now: VirtualTime,
        sink: &mut impl EvictionSink,
    ) -> bool {
        let table = self.table;
        let [bucket, reply_bucket] = hashes.map(|hash| table.chains.bucket(hash));
        let expired = self.release_expired_of(bucket, now) | self.release_expired_of(reply_bucket, now);
        if expired {
            return true;
        }
        table.evict_when_full
            && match table.options.eviction {
                Eviction::OldestOfBucket => self.evict_oldest(bucket, now, sink),
                Eviction::AllOfFirstBucket => self.evict_range(bucket, now, sink),
            }
    }

    /// Notes the slots of a chain that `wanted` says yes to. A connection with both nodes in the chain is noted twice.
    fn note(&self, bucket: u32, wanted: impl Fn(&Entry) -> bool) -> Noted {
        let mut noted = Noted::default();
        self.table.locks.read(bucket, || {
            self.table.walk(bucket, |link, entry| {
                if wanted(entry) {
                    link.node().into_iter().for_each(|node| noted.note(node.slot()));
                }
                false
            });
        });
        noted
    }

    fn release_expired_of(&mut self, bucket: u32, now: VirtualTime) -> bool {
        let noted = self.note(bucket, |entry| entry.is_expired(now));
        (noted.slots().iter()).fold(false, |any, &slot| self.release_expired(slot, now) | any)
    }

    fn evict(&mut self, slot: u32, now: VirtualTime, sink: &mut impl EvictionSink) -> bool {
        let victim = self.release(slot, |entry| {
            (entry.status().is_evictable() && !entry.is_expired(now)).then(|| entry.as_evicted())
        });
        let Some(victim) = victim else {
            return false;
        };
        self.counters.count(|c| c.early_drop += 1);
        sink.evicted(victim);
        true
    }

    /// As 2005: newcomers go to the head, so the last evictable node of the chain is the oldest.
    fn evict_oldest(&mut self, bucket: u32, now: VirtualTime, sink: &mut impl EvictionSink) -> bool {
        let mut oldest = None;
        self.table.locks.read(bucket, || {
            self.table.walk(bucket, |link, entry| {
                if entry.status().is_evictable() {
                    oldest = link.node().map(Node::slot);
                }
                false
            });
        });
        oldest.is_some_and(|slot: u32| self.evict(slot, now, sink))
    }

    /// As since 2016.
    fn evict_range(&mut self, first: u32, now: VirtualTime, sink: &mut impl EvictionSink) -> bool {
        let buckets = self.table.chains.buckets();
        let mut bucket = first;
        for _ in 0..EVICTION_RANGE.min(buckets) {
            if self.release_expired_of(bucket, now) || self.evict_all_of(bucket, now, sink) {
                return true;
            }
            bucket = if bucket + 1 == buckets { 0 } else { bucket + 1 };
        }
        false
    }

    fn evict_all_of(&mut self, bucket: u32, now: VirtualTime, sink: &mut impl EvictionSink) -> bool {
        let mut any = false;
        loop {
            let noted = self.note(bucket, |entry| entry.status().is_evictable());
            let gone = (noted.slots().iter()).fold(false, |gone, &slot| self.evict(slot, now, sink) | gone);
            any |= gone;
            // A chain with more than was noted is looked at again, as long as that gets anywhere.
            if !gone || noted.count < NOTED {
                return any;
            }
        }
    }
}
