//! Bucket heads and the links of a chain. Whoever changes a chain, or follows it, holds its lock.
//!
//! Every ordering here is Relaxed: the locks order all of it. What is read without a lock (heads in a batch's prefetch,
//! stored hashes in sweeps) is a hint that is checked again under the lock.

use crate::entry::{Entry, Slab, prefetch_read};
use crate::sync::{AtomicU64, Ordering};
use crate::tuple::Direction;

/// End of a chain. No node has it: slots end at 2^30, so nodes at 2^31.
const END: u32 = u32::MAX;

/// Words of [`Entry::links`] that hold the high halves of the hashes, original first. The four before are the next
/// link of each direction: node, tag.
const HASH_WORDS: [usize; 2] = [4, 5];

/// One direction of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node(u32);

impl Node {
    #[inline]
    pub(super) fn new(slot: u32, direction: Direction) -> Self {
        Self(slot << 1 | direction as u32)
    }

    #[inline]
    pub(super) fn slot(self) -> u32 {
        self.0 >> 1
    }

    #[inline]
    pub(super) fn direction(self) -> Direction {
        if self.0 & 1 == 0 {
            Direction::Original
        } else {
            Direction::Reply
        }
    }

    /// The link that follows this node, which is in `entry`.
    #[inline]
    pub(super) fn next(self, entry: &Entry) -> Link {
        let word = (self.0 as usize & 1) * 2;
        Link {
            // Relaxed: see the top of the file.
            node: entry.links[word].load(Ordering::Relaxed),
            // Relaxed: as above.
            tag: entry.links[word + 1].load(Ordering::Relaxed),
        }
    }

    fn set_next(self, entry: &Entry, link: Link) {
        let word = (self.0 as usize & 1) * 2;
        // Relaxed: see the top of the file.
        entry.links[word].store(link.node, Ordering::Relaxed);
        // Relaxed: as above.
        entry.links[word + 1].store(link.tag, Ordering::Relaxed);
    }
}

/// Which node comes next, and the low half of its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    node: u32,
    pub(super) tag: u32,
}

impl Link {
    #[inline]
    pub(super) fn node(self) -> Option<Node> {
        (self.node != END).then_some(Node(self.node))
    }
}

/// The half of a hash that links carry.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
pub(super) fn tag(hash: u64) -> u32 {
    hash as u32
}

/// The half of a hash that numbers buckets.
#[inline]
fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// High halves of the hashes of both tuples of `entry`, original first.
pub(super) fn stored_hashes(entry: &Entry) -> [u32; 2] {
    // Relaxed: see the top of the file.
    HASH_WORDS.map(|word| entry.links[word].load(Ordering::Relaxed))
}

pub(super) fn store_hashes(entry: &Entry, original: u64, reply: u64) {
    for (word, hash) in HASH_WORDS.into_iter().zip([original, reply]) {
        // Relaxed: see the top of the file.
        entry.links[word].store(high(hash), Ordering::Relaxed);
    }
}

/// The bucket array: per bucket one link, the node in the low half and the tag in the high one.
#[derive(Debug)]
pub(super) struct Chains {
    heads: Box<[AtomicU64]>,
    buckets: u32,
}

impl Chains {
    pub(super) fn new(buckets: u32) -> Self {
        let end = pack(Link { node: END, tag: 0 });
        Self {
            heads: (0..buckets).map(|_| AtomicU64::new(end)).collect(),
            buckets,
        }
    }

    pub(super) fn buckets(&self) -> u32 {
        self.buckets
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.heads)
    }

    #[inline]
    pub(super) fn bucket(&self, hash: u64) -> u32 {
        self.bucket_of_high(high(hash))
    }

    /// `reciprocal_scale`: one multiplication where modulo would divide, for any number of buckets.
    #[inline]
    pub(super) fn bucket_of_high(&self, high: u32) -> u32 {
        ((u64::from(high) * u64::from(self.buckets)) >> 32) as u32
    }

    #[inline]
    pub(super) fn head(&self, bucket: u32) -> Link {
        // Relaxed: see the top of the file.
        unpack(self.heads[bucket as usize].load(Ordering::Relaxed))
    }

    /// Asks for the head of the chain of `hash` to be fetched.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch_read(&self.heads[self.bucket(hash) as usize]);
    }

    /// Puts a node at the head of a chain, where the kernel puts it.
    pub(super) fn push(&self, bucket: u32, node: Node, hash: u64, entry: &Entry) {
        node.set_next(entry, self.head(bucket));
        self.set_head(
            bucket,
            Link {
                node: node.0,
                tag: tag(hash),
            },
        );
    }

    /// Takes a node out of the chain it is in.
    pub(super) fn unlink(&self, slab: &Slab, bucket: u32, gone: Node) {
        let after = gone.next(slab.entry(gone.slot()));
        let mut link = self.head(bucket);
        if link.node() == Some(gone) {
            self.set_head(bucket, after);
            return;
        }
        while let Some(node) = link.node() {
            let entry = slab.entry(node.slot());
            link = node.next(entry);
            if link.node() == Some(gone) {
                node.set_next(entry, after);
                return;
            }
        }
        debug_assert!(false, "{gone:?} is not in the chain of bucket {bucket}");
    }

    fn set_head(&self, bucket: u32, link: Link) {
        // Relaxed: see the top of the file.
        self.heads[bucket as usize].store(pack(link), Ordering::Relaxed);
    }
}

#[inline]
fn pack(link: Link) -> u64 {
    u64::from(link.tag) << 32 | u64::from(link.node)
}

#[inline]
fn unpack(word: u64) -> Link {
    Link {
        node: tag(word),
        tag: high(word),
    }
}
