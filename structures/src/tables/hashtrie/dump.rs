//! A dump in order of the hash.
//!
//! The trie is ordered by hash, and a connection's hash never changes, whatever splits and collapses around it. So the cursor
//! is simply the smallest hash of an original tuple not yet shown: no slot number that a removed and reinserted
//! connection could change, no reference held between calls (the kernel's dumps held one, and in 2025 leaked it).

use std::ops::ControlFlow;

use crate::table::{DumpCursor, Dumped};
use crate::tuple::Direction;

use super::link::{Link, Target, next_word, stored_hash};
use super::trie::{NODE_BITS, Trie, digit};

/// Where one call stands.
struct Dump<'t, 's> {
    trie: &'t Trie,
    /// The smallest hash wanted.
    from: u64,
    /// Leaves that may still be looked at.
    budget: usize,
    sink: &'s mut dyn FnMut(Dumped),
}

/// See [`crate::table::FlowHandle::dump`]. The sink runs under the lock of a root slot.
pub(crate) fn dump(
    trie: &Trie,
    cursor: &mut DumpCursor,
    budget: usize,
    sink: &mut dyn FnMut(Dumped),
) -> bool {
    let mut dump = Dump {
        trie,
        from: cursor.position,
        budget: budget.max(1),
        sink,
    };
    let first = trie.root.index(dump.from);
    for index in first..trie.root.len() {
        let start = (index as u64) << (64 - trie.root.bits());
        dump.from = dump.from.max(start);
        let _locked = trie.root.lock_at(index);
        let link = Link::load(&trie.root.at(index).link);
        if let ControlFlow::Break(next) = dump.below(link, trie.root.bits(), start) {
            cursor.position = next;
            return false;
        }
    }
    cursor.position = u64::MAX;
    true
}

impl Dump<'_, '_> {
    /// Shows what is below `link`; `consumed` bits led there, and they are those of `start`. Breaks with the hash to go
    /// on from.
    fn below(&mut self, mut link: Link, consumed: u32, start: u64) -> ControlFlow<u64> {
        if link != Link::EMPTY && self.budget == 0 {
            return ControlFlow::Break(start.max(self.from));
        }
        if let Target::Node(index) = link.target() {
            let line = self.trie.arena.line(index);
            let first = if self.from > start {
                digit(self.from << consumed)
            } else {
                0
            };
            for (child, word) in line.iter().enumerate().skip(first) {
                // By way of the top, because the last node may have fewer than four bits left.
                let bits = (child as u64) << (64 - NODE_BITS) >> consumed;
                self.below(Link::load(word), consumed + NODE_BITS, start | bits)?;
            }
            return ControlFlow::Continue(());
        }
        while let Target::Leaf(slot, direction) = link.target() {
            let entry = self.trie.slab.entry(slot);
            link = Link::load(next_word(entry, direction));
            if stored_hash(entry, direction) < self.from {
                continue;
            }
            // Leaves of one chain have one hash, so they are shown together, over the budget if need be.
            self.budget = self.budget.saturating_sub(1);
            if direction == Direction::Original {
                // SAFETY: the leaf is linked under the root slot that dump() has locked.
                (self.sink)(unsafe { entry.as_dumped() });
            }
        }
        ControlFlow::Continue(())
    }
}
