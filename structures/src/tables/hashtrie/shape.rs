//! The shape of a trie, to be held against the cost model of random tries.

use super::link::{Link, Target, next_word};
use super::trie::{MAX_NODES_ON_PATH, Trie};

/// What a walk over the whole trie counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Slots of the root.
    pub root_slots: usize,
    /// Inner nodes.
    pub nodes: usize,
    /// Leaves: two per connection.
    pub leaves: usize,
    /// `by_depth[d]` leaves have `d` nodes between the root and themselves.
    pub by_depth: [usize; MAX_NODES_ON_PATH + 1],
    /// Leaves of the longest chain: 1 unless 64-bit hashes collided.
    pub longest_chain: usize,
}

impl Shape {
    /// Nodes on the way to a leaf, on average.
    #[must_use]
    pub fn mean_depth(&self) -> f64 {
        let steps: usize = self.by_depth.iter().enumerate().map(|(d, n)| d * n).sum();
        steps as f64 / self.leaves.max(1) as f64
    }

    /// Nodes on the way to the deepest leaf.
    #[must_use]
    pub fn max_depth(&self) -> usize {
        self.by_depth.iter().rposition(|&n| n > 0).unwrap_or(0)
    }
}

/// Walks the trie, locking one root slot at a time.
pub(crate) fn shape(trie: &Trie) -> Shape {
    let mut shape = Shape {
        root_slots: trie.root.len(),
        ..Shape::default()
    };
    for index in 0..trie.root.len() {
        let _locked = trie.root.lock_at(index);
        walk(trie, Link::load(&trie.root.at(index).link), 0, &mut shape);
    }
    shape
}

fn walk(trie: &Trie, mut link: Link, depth: usize, shape: &mut Shape) {
    if let Target::Node(index) = link.target() {
        shape.nodes += 1;
        for word in trie.arena.line(index) {
            walk(trie, Link::load(word), depth + 1, shape);
        }
        return;
    }
    let mut chain = 0;
    while let Target::Leaf(slot, direction) = link.target() {
        chain += 1;
        link = Link::load(next_word(trie.slab.entry(slot), direction));
    }
    shape.leaves += chain;
    shape.by_depth[depth] += chain;
    shape.longest_chain = shape.longest_chain.max(chain);
}
