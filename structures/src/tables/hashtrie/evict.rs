//! Who goes when a newcomer finds the table full.
//!
//! Two choosers, both of bounded work, both taking the longest unseen of a handful of evictable connections:
//!
//! * [`Eviction::Clock`]: a hand goes round the slab. A bitmap of the evictable slots (live, not ASSURED) lets it pass
//!   512 assured connections per cache line, so that a share of 99 % ASSURED neither slows it down nor makes it fail.
//! * [`Eviction::Subtree`]: the leaves nearest to the newcomer's in hash order, as the hashtrie of 2005 probably did.
//!
//! Age fidelity (rank of the victim among all evictable, 0 the oldest, 1 the youngest): hash order knows nothing of time,
//! so the oldest of k neighbours has mean rank 1/(k+1). Slab order does know: a slot that is given up goes to the newcomer that
//! asked for it, so under a flood the slab becomes a ring in order of arrival, and the k the hand looks at
//! are the oldest k. Where refreshes or removals have mixed the slab's order, the hand too has 1/(k+1). An exact
//! order would need a list or heap that every packet updates, on a line shared by all cores.

use crate::entry::{Entry, Slab, prefetch_read};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::table::VirtualTime;

use super::arena::LINE_WORDS;
use super::link::{Link, Target, next_word, stored_hashes};
use super::trie::{NODE_BITS, Trie, digit};

/// How a victim is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Eviction {
    /// The longest unseen of the next eight evictable slots under a hand that goes round the slab.
    #[default]
    Clock,
    /// The longest unseen of the eight evictable leaves nearest to the newcomer.
    Subtree,
}

/// Candidates compared for one eviction: mean age rank 1/9 where order says nothing.
pub(crate) const CANDIDATES: usize = 8;

/// Words of the bitmap that one search reads at most: eight cache lines, 4096 slots.
const MAX_BITMAP_WORDS: usize = 64;

/// Leaves that one search looks at, and root slots that it locks, at most.
const MAX_LEAVES: usize = 64;

/// A connection that may go, as seen without its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) slot: u32,
    pub(crate) hashes: [u64; 2],
}

/// The bitmap of evictable slots, and the hand.
#[derive(Debug)]
pub(crate) struct Clock {
    words: Box<[AtomicU64]>,
    hand: AtomicU32,
}

/// Whether a connection may be taken out for a newcomer.
pub(crate) fn may_go(entry: &Entry, now: VirtualTime) -> bool {
    entry.status().is_evictable() || entry.is_expired(now)
}

impl Clock {
    /// A clock over `slots` slots, none of them evictable.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            words: (0..slots.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            hand: AtomicU32::new(0),
        }
    }

    /// Notes that `slot` holds an evictable connection.
    #[inline]
    pub(crate) fn set(&self, slot: u32) {
        // Relaxed: a hint; who evicts checks the entry under its locks.
        self.words[slot as usize / 64].fetch_or(1 << (slot % 64), Ordering::Relaxed);
    }

    /// Notes that it does not.
    #[inline]
    pub(crate) fn clear(&self, slot: u32) {
        let (word, bit) = (&self.words[slot as usize / 64], 1 << (slot % 64));
        // Relaxed: as in set(). Tested first: most connections that go were assured and have no bit.
        if word.load(Ordering::Relaxed) & bit != 0 {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Bytes allocated.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// The longest unseen of the next candidates; the hand moves past all of them.
    pub(crate) fn choose(&self, slab: &Slab, now: VirtualTime) -> Option<Candidate> {
        let mut window = [0; CANDIDATES];
        let count = self.advance(slab.used_slots(), &mut window);
        for &slot in &window[..count] {
            prefetch_read(slab.entry(slot));
        }
        oldest(slab, &window[..count], now)
    }

    /// Fills `window` with the evictable slots after the hand; returns how many there were.
    fn advance(&self, used: u32, window: &mut [u32; CANDIDATES]) -> usize {
        let words = (used as usize).div_ceil(64).min(self.words.len());
        if words == 0 {
            return 0;
        }
        // Relaxed: two threads that start at one place compete for one victim, and the loser looks again.
        let start = self.hand.load(Ordering::Relaxed) as usize % (words * 64);
        let mut index = start / 64;
        let mut mask = u64::MAX << (start % 64);
        let mut count = 0;
        // One word more than there are, for the bits of the first before the hand.
        for _ in 0..MAX_BITMAP_WORDS.min(words + 1) {
            // Relaxed: as in set().
            let mut bits = self.words[index].load(Ordering::Relaxed) & mask;
            while bits != 0 {
                let slot = u32::try_from(index).unwrap_or(0) * 64 + bits.trailing_zeros();
                bits &= bits - 1;
                window[count] = slot;
                count += 1;
                if count == CANDIDATES {
                    self.move_to(slot + 1);
                    return count;
                }
            }
            mask = u64::MAX;
            index = (index + 1) % words;
        }
        self.move_to(u32::try_from(index * 64).unwrap_or(0));
        count
    }

    fn move_to(&self, slot: u32) {
        // Relaxed: as in advance().
        self.hand.store(slot, Ordering::Relaxed);
    }
}

/// The expired or else longest unseen of `slots` that may go.
fn oldest(slab: &Slab, slots: &[u32], now: VirtualTime) -> Option<Candidate> {
    let candidates = slots.iter().filter(|&&slot| may_go(slab.entry(slot), now));
    let oldest = candidates.min_by_key(|&&slot| {
        let entry = slab.entry(slot);
        (!entry.is_expired(now), entry.last_seen())
    })?;
    Some(Candidate {
        slot: *oldest,
        hashes: stored_hashes(slab.entry(*oldest)),
    })
}

/// A search among a newcomer's neighbours in hash order.
#[derive(Debug)]
struct Search<'t> {
    trie: &'t Trie,
    now: VirtualTime,
    found: [u32; CANDIDATES],
    count: usize,
    leaves: usize,
}

/// The longest unseen of the candidates nearest to `hash`: its own subtree first, then the ones beside it.
pub(crate) fn choose_near(trie: &Trie, hash: u64, now: VirtualTime) -> Option<Candidate> {
    let mut search = Search {
        trie,
        now,
        found: [0; CANDIDATES],
        count: 0,
        leaves: 0,
    };
    let first = trie.root.index(hash);
    for step in 0..trie.root.len().min(MAX_LEAVES) {
        let index = (first + step) % trie.root.len();
        let locked = trie.root.lock_at(index);
        search.gather(Link::load(&trie.root.at(index).link), trie.below_root(hash));
        drop(locked);
        if search.is_over() {
            break;
        }
    }
    oldest(&trie.slab, &search.found[..search.count], now)
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        self.count == CANDIDATES || self.leaves == MAX_LEAVES
    }

    /// Looks at the leaves below `link`, the child in the direction of `rest` first.
    fn gather(&mut self, mut link: Link, rest: u64) {
        if let Target::Node(index) = link.target() {
            let line = self.trie.arena.line(index);
            for step in 0..LINE_WORDS {
                if self.is_over() {
                    return;
                }
                let child = (digit(rest) + step) % LINE_WORDS;
                self.gather(Link::load(&line[child]), rest << NODE_BITS);
            }
            return;
        }
        while let Target::Leaf(slot, direction) = link.target() {
            if self.is_over() {
                return;
            }
            self.leaves += 1;
            let entry = self.trie.slab.entry(slot);
            if may_go(entry, self.now) {
                self.found[self.count] = slot;
                self.count += 1;
            }
            link = Link::load(next_word(entry, direction));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hand_goes_round_and_sees_each_bit_once_a_lap() {
        let clock = Clock::new(1000);
        let bits: Vec<u32> = (0..1000).step_by(7).collect();
        for &slot in &bits {
            clock.set(slot);
        }
        let mut seen = Vec::new();
        let mut window = [0; CANDIDATES];
        while seen.len() < bits.len() {
            let count = clock.advance(1000, &mut window);
            seen.extend_from_slice(&window[..count]);
        }
        assert_eq!(seen[..bits.len()], bits);
        assert_eq!(
            &seen[bits.len()..],
            &bits[..seen.len() - bits.len()],
            "the next lap"
        );
        for &slot in &bits {
            clock.clear(slot);
        }
        assert_eq!(clock.advance(1000, &mut window), 0);
    }

    #[test]
    fn one_search_reads_a_bounded_part_of_a_large_bitmap() {
        let clock = Clock::new(1 << 20);
        clock.set((1 << 20) - 1);
        let mut window = [0; CANDIDATES];
        let searches = (0..)
            .take_while(|_| clock.advance(1 << 20, &mut window) == 0)
            .count();
        assert_eq!(searches, (1 << 20) / 64 / MAX_BITMAP_WORDS - 1);
    }
}
