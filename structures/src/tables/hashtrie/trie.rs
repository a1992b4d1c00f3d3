//! The trie itself: finding, linking and unlinking leaves below one locked root slot.
//!
//! Nothing here takes a lock or reserves anything: callers hold the lock of the root slot above every hash they pass.

use crate::counters::Counters;
use crate::entry::{Slab, prefetch_read};
use crate::sync::AtomicU32;
use crate::tuple::{Direction, Tuple};

use super::arena::{Arena, Line, NodeCache};
use super::link::{Link, Target, next_word, stored_hash};
use super::root::Root;

/// Bits of the hash that choose one of a node's 16 links.
pub(crate) const NODE_BITS: u32 = 4;

/// Most nodes on a path below a root of one slot or more.
pub(crate) const MAX_NODES_ON_PATH: usize = 64 / NODE_BITS as usize;

/// Root, nodes and entries.
#[derive(Debug)]
pub(crate) struct Trie {
    pub(crate) root: Root,
    pub(crate) arena: Arena,
    pub(crate) slab: Slab,
}

/// What the leading bits of `rest` choose.
#[inline]
pub(crate) const fn digit(rest: u64) -> usize {
    (rest >> (64 - NODE_BITS)) as usize
}

impl Trie {
    /// The bits of `hash` that nodes consume, leading bits first.
    #[inline]
    pub(crate) const fn below_root(&self, hash: u64) -> u64 {
        hash << self.root.bits()
    }

    /// The leaf of `tuple`, alive or expired.
    #[inline]
    pub(crate) fn find(&self, tuple: &Tuple, hash: u64, counters: &mut Counters) -> Option<(u32, Direction)> {
        let mut link = Link::load(&self.root.slot(hash).link);
        let mut rest = self.below_root(hash);
        while let Target::Node(index) = link.target() {
            counters.count(|c| c.extra_probes += 1);
            link = Link::load(&self.arena.line(index)[digit(rest)]);
            rest <<= NODE_BITS;
        }
        while let Target::Leaf(slot, direction) = link.target() {
            let entry = self.slab.entry(slot);
            // SAFETY: the leaf is linked, and taking it out before the slot is filled again needs the root slot's lock,
            // which the caller holds.
            if unsafe { entry.tuple(direction) } == tuple {
                return Some((slot, direction));
            }
            counters.count(|c| c.extra_probes += 1);
            link = Link::load(next_word(entry, direction));
        }
        None
    }

    /// Whether `leaf`, whose tuple has this hash, is linked.
    pub(crate) fn contains(&self, leaf: Link, hash: u64) -> bool {
        let mut link = Link::load(&self.root.slot(hash).link);
        let mut rest = self.below_root(hash);
        while let Target::Node(index) = link.target() {
            link = Link::load(&self.arena.line(index)[digit(rest)]);
            rest <<= NODE_BITS;
        }
        while link != leaf {
            let Target::Leaf(slot, direction) = link.target() else {
                return false;
            };
            link = Link::load(next_word(self.slab.entry(slot), direction));
        }
        true
    }

    /// Nodes on the path of `hash`.
    pub(crate) fn depth_of(&self, hash: u64) -> usize {
        let mut link = Link::load(&self.root.slot(hash).link);
        let mut rest = self.below_root(hash);
        let mut depth = 0;
        while let Target::Node(_) = link.target() {
            link = self.below(link, rest);
            rest <<= NODE_BITS;
            depth += 1;
        }
        depth
    }

    /// Links a leaf whose entry stores `hash` already. False, and nothing is changed, where nodes have run out.
    pub(crate) fn link(&self, leaf: Link, hash: u64, nodes: &mut NodeCache) -> bool {
        self.set_next(leaf, Link::EMPTY);
        let mut place = &self.root.slot(hash).link;
        let mut consumed = self.root.bits();
        loop {
            let here = Link::load(place);
            match here.target() {
                Target::Empty => break,
                Target::Node(index) => {
                    place = &self.arena.line(index)[digit(hash << consumed)];
                    consumed += NODE_BITS;
                }
                Target::Leaf(slot, direction) => {
                    let other = stored_hash(self.slab.entry(slot), direction);
                    if other == hash {
                        self.set_next(leaf, here);
                        break;
                    }
                    let Some(free) = self.split(place, consumed, [other, hash], nodes) else {
                        return false;
                    };
                    place = free;
                    break;
                }
            }
        }
        leaf.store(place);
        true
    }

    /// Puts as many nodes into `place`, above the leaf there, as it takes to tell the two hashes apart; `consumed` bits
    /// of them led here. Returns the empty word for the second hash.
    #[cold]
    fn split<'t>(
        &'t self,
        mut place: &'t AtomicU32,
        mut consumed: u32,
        [old, new]: [u64; 2],
        nodes: &mut NodeCache,
    ) -> Option<&'t AtomicU32> {
        let leaf = Link::load(place);
        let agreed = (old ^ new).leading_zeros();
        let count = (agreed - consumed) / NODE_BITS + 1;
        if !self.arena.provide(nodes, count as usize) {
            return None;
        }
        for _ in 0..count {
            let index = self.arena.take(nodes)?;
            let line = self.arena.line(index);
            Link::node(index).store(place);
            place = &line[digit(new << consumed)];
            if digit(old << consumed) != digit(new << consumed) {
                leaf.store(&line[digit(old << consumed)]);
            }
            consumed += NODE_BITS;
        }
        Some(place)
    }

    /// Unlinks a leaf whose tuple has this hash. False where it is not linked.
    pub(crate) fn unlink(&self, leaf: Link, hash: u64, nodes: &mut NodeCache) -> bool {
        let mut path: [u32; MAX_NODES_ON_PATH] = [0; MAX_NODES_ON_PATH];
        let mut depth = 0;
        let root = &self.root.slot(hash).link;
        let mut place = root;
        let mut rest = self.below_root(hash);
        while let Target::Node(index) = Link::load(place).target() {
            path[depth] = index;
            depth += 1;
            place = &self.arena.line(index)[digit(rest)];
            rest <<= NODE_BITS;
        }
        let chain = Link::load(place);
        if chain == leaf {
            let next = self.next_of(leaf);
            next.store(place);
            if next == Link::EMPTY {
                self.collapse(root, hash, &path[..depth], nodes);
            }
            return true;
        }
        self.unchain(chain, leaf)
    }

    /// Takes `leaf` out of the chain that begins with another.
    #[cold]
    fn unchain(&self, mut at: Link, leaf: Link) -> bool {
        while let Target::Leaf(slot, direction) = at.target() {
            let next = Link::load(next_word(self.slab.entry(slot), direction));
            if next == leaf {
                self.set_next(at, self.next_of(leaf));
                return true;
            }
            at = next;
        }
        false
    }

    /// Dissolves the nodes at the end of `path` that hold a single leaf, which moves up into their place.
    fn collapse(&self, root: &AtomicU32, hash: u64, path: &[u32], nodes: &mut NodeCache) {
        for depth in (0..path.len()).rev() {
            let Some(leaf) = only_leaf(self.arena.line(path[depth])) else {
                return;
            };
            let above = match depth.checked_sub(1) {
                None => root,
                Some(above) => {
                    let bits = u32::try_from(above).unwrap_or(0) * NODE_BITS;
                    &self.arena.line(path[above])[digit(self.below_root(hash) << bits)]
                }
            };
            leaf.store(above);
            self.arena.give(path[depth], nodes);
        }
    }

    fn next_of(&self, leaf: Link) -> Link {
        match leaf.target() {
            Target::Leaf(slot, direction) => Link::load(next_word(self.slab.entry(slot), direction)),
            _ => Link::EMPTY,
        }
    }

    fn set_next(&self, leaf: Link, next: Link) {
        if let Target::Leaf(slot, direction) = leaf.target() {
            next.store(next_word(self.slab.entry(slot), direction));
        }
    }

    /// Prefetches what `link` leads to; returns the link if that is a node, else the empty one. Needs no lock, nor does
    /// [`Trie::below`]: words that change meanwhile make them fetch a useless line.
    #[inline]
    pub(crate) fn prefetch(&self, link: Link) -> Link {
        match link.target() {
            Target::Empty => {}
            Target::Node(index) => {
                prefetch_read(self.arena.line(index));
                return link;
            }
            Target::Leaf(slot, direction) => {
                let entry = self.slab.entry(slot);
                prefetch_read(entry);
                if direction == Direction::Reply {
                    // The line of the reply tuple; a hit touches the first line, too.
                    prefetch_read(&entry.links);
                }
            }
        }
        Link::EMPTY
    }

    /// The link below node `link` in the direction of `rest`.
    #[inline]
    pub(crate) fn below(&self, link: Link, rest: u64) -> Link {
        match link.target() {
            Target::Node(index) => Link::load(&self.arena.line(index)[digit(rest)]),
            _ => Link::EMPTY,
        }
    }
}

/// The leaf of a node whose other links are empty.
fn only_leaf(line: &Line) -> Option<Link> {
    let mut only = Link::EMPTY;
    for word in line {
        let link = Link::load(word);
        if link == Link::EMPTY {
            continue;
        }
        if only != Link::EMPTY || !link.is_leaf() {
            return None;
        }
        only = link;
    }
    (only != Link::EMPTY).then_some(only)
}
