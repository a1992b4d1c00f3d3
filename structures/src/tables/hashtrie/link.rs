//! The link word of the trie, and the words of an entry that belong to it.
//!
//! ```text
//! link    0                       nothing
//!         index << 1              an inner node: a line of the arena
//!         slot << 2 | dir << 1 | 1   a leaf: one direction of the connection in `slot`
//!
//! entry   links[0..2]  hash of the original tuple, low half first     links[3..5]  the same for the reply
//!         links[2]     next leaf with the very same 64-bit hash       links[5]     the same for the reply
//! ```
//! The stored hashes are why neither a split nor a delete ever hashes a tuple again.

use crate::entry::Entry;
use crate::sync::{AtomicU32, Ordering};
use crate::tuple::Direction;

/// One word: nothing, a node or a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(u32);

/// A link taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nothing below.
    Empty,
    /// The inner node in this line of the arena.
    Node(u32),
    /// One direction of the connection in a slot of the slab.
    Leaf(u32, Direction),
}

const LEAF: u32 = 1;
const REPLY: u32 = 2;

/// Words of an entry that each direction has.
const WORDS_PER_DIRECTION: usize = 3;

/// Offset of the chain link in a direction's words.
const NEXT: usize = 2;

impl Link {
    /// No node, no leaf.
    pub(crate) const EMPTY: Self = Self(0);

    /// The leaf for one direction of the connection in `slot` (below [`crate::entry::MAX_SLOTS`]).
    pub(crate) const fn leaf(slot: u32, direction: Direction) -> Self {
        Self(slot << 2 | (direction as u32) << 1 | LEAF)
    }

    /// The node in line `index`, which is not zero.
    pub(crate) const fn node(index: u32) -> Self {
        Self(index << 1)
    }

    /// What the link leads to.
    #[inline]
    pub(crate) const fn target(self) -> Target {
        if self.0 & LEAF != 0 {
            let direction = if self.0 & REPLY == 0 {
                Direction::Original
            } else {
                Direction::Reply
            };
            return Target::Leaf(self.0 >> 2, direction);
        }
        if self.0 == 0 {
            Target::Empty
        } else {
            Target::Node(self.0 >> 1)
        }
    }

    /// Whether this is a leaf.
    pub(crate) const fn is_leaf(self) -> bool {
        self.0 & LEAF != 0
    }

    /// Reads a link word.
    #[inline]
    pub(crate) fn load(word: &AtomicU32) -> Self {
        // Relaxed: ordered by the lock of the root slot above the word; those who read without it only prefetch.
        Self(word.load(Ordering::Relaxed))
    }

    /// Writes a link word. The caller holds the lock of the root slot above it.
    #[inline]
    pub(crate) fn store(self, word: &AtomicU32) {
        // Relaxed: published by the Release that unlocks the root slot.
        word.store(self.0, Ordering::Relaxed);
    }
}

/// The word that links leaves with equal hashes.
#[inline]
pub(crate) fn next_word(entry: &Entry, direction: Direction) -> &AtomicU32 {
    &entry.links[direction as usize * WORDS_PER_DIRECTION + NEXT]
}

/// The stored hash of one of the connection's tuples.
#[inline]
pub(crate) fn stored_hash(entry: &Entry, direction: Direction) -> u64 {
    let first = direction as usize * WORDS_PER_DIRECTION;
    // Relaxed: ordered by the root slot's lock; without it the value is a hint that is checked under the lock.
    let low = entry.links[first].load(Ordering::Relaxed);
    // Relaxed: as above.
    let high = entry.links[first + 1].load(Ordering::Relaxed);
    u64::from(low) | u64::from(high) << 32
}

/// Both stored hashes, original first.
#[inline]
pub(crate) fn stored_hashes(entry: &Entry) -> [u64; 2] {
    [
        stored_hash(entry, Direction::Original),
        stored_hash(entry, Direction::Reply),
    ]
}

/// Stores both hashes, original first. The caller owns the entry's slot and holds the locks of both hashes.
pub(crate) fn store_hashes(entry: &Entry, hashes: [u64; 2]) {
    for (i, hash) in hashes.into_iter().enumerate() {
        let first = i * WORDS_PER_DIRECTION;
        #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
        let low = hash as u32;
        // Relaxed: published by the Release that unlocks the root slots.
        entry.links[first].store(low, Ordering::Relaxed);
        let high = (hash >> 32) as u32;
        // Relaxed: as above.
        entry.links[first + 1].store(high, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::MAX_SLOTS;

    #[test]
    fn links_come_apart_as_they_were_put_together() {
        let last = u32::try_from(MAX_SLOTS - 1).unwrap();
        for slot in [0, 1, last] {
            for direction in [Direction::Original, Direction::Reply] {
                assert_eq!(
                    Link::leaf(slot, direction).target(),
                    Target::Leaf(slot, direction)
                );
            }
        }
        assert_eq!(Link::node(7).target(), Target::Node(7));
        assert_eq!(Link::EMPTY.target(), Target::Empty);
    }
}
