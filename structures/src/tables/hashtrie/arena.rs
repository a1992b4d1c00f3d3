//! The arena that nodes live in: 64-byte lines numbered by `u32`, in chunks that never move.
//!
//! ```text
//! chunks  | 64 lines x 8 | 128 lines x 8 | 256 lines x 8 | ...      at most an eighth of the arena is spare
//! line    16 words: an inner node of the hash trie
//! run     8 lines:  a node of the prefix trie
//! ```
//! Growing takes one zeroed chunk from the allocator and moves nothing. Lines and runs have free lists of their own,
//! threaded through their first word: a line never becomes part of a run or the other way round, so that somebody who
//! follows a stale link (prefetching, or under a sequence lock) still reads words of the kind it expects, free lists included.
//!
//! # Guarantees
//! * **A1** A line or run is handed out to one owner at a time, all its words zero.
//! * **A2** No more than the limit of lines is ever handed out; runs are not limited.
//! * **A3** A line's address never changes.

use crate::sync::{AtomicU32, Mutex, OnceLock, Ordering};

use super::link::{Link, Target};

/// Words of a line: 16 of four bytes fill a cache line.
pub(crate) const LINE_WORDS: usize = 16;

/// One node: a cache line of links.
pub(crate) type Line = [AtomicU32; LINE_WORDS];

/// Lines of a run.
pub(crate) const RUN_LINES: u32 = 8;

/// Chunks per doubling, as a power of two: eight keep the spare part of the arena under an eighth.
const STEP_BITS: u32 = 3;

/// Lines of the smallest chunk, as a power of two: a page.
const FIRST_CHUNK_BITS: u32 = 6;

/// Added to an index so that its leading bits number the chunk.
const BIAS: u32 = 1 << (FIRST_CHUNK_BITS + STEP_BITS);

/// Lines are numbered below this: a link keeps one bit for itself.
const MAX_LINES: u32 = (1 << 31) - BIAS;

/// Chunks that number [`MAX_LINES`] lines.
const CHUNKS: usize = (31 - (FIRST_CHUNK_BITS + STEP_BITS) as usize) << STEP_BITS;

/// Lines a handle takes from or returns to the arena at once: half a kilobyte to a kilobyte of nodes.
const CACHE_BATCH: usize = 16;

#[derive(Debug)]
struct Chunk {
    words: Box<[AtomicU32]>,
    /// Words before the first that is cache-line aligned.
    skip: usize,
}

#[derive(Debug)]
struct Pools {
    /// Lines below are or were handed out; a multiple of [`RUN_LINES`].
    unused: u32,
    /// Lines that may still be cut from fresh memory for the trie.
    lines_left: usize,
    free_lines: Link,
    /// First line of the first free run, or zero.
    free_runs: u32,
}

/// All nodes of one table.
#[derive(Debug)]
pub(crate) struct Arena {
    chunks: Box<[OnceLock<Chunk>]>,
    pools: Mutex<Pools>,
}

/// A handle's own free lines, and what it took and gave since it was made.
#[derive(Debug, Default)]
pub(crate) struct NodeCache {
    lines: Vec<u32>,
    /// Nodes put into the trie.
    pub(crate) taken: u64,
    /// Nodes that came back from it.
    pub(crate) given: u64,
}

impl Arena {
    /// An arena of at most `max_lines` lines and any number of runs.
    pub(crate) fn new(max_lines: usize) -> Self {
        Self {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            pools: Mutex::new(Pools {
                // Line 0 would make a link of zero, which means nothing.
                unused: RUN_LINES,
                lines_left: max_lines,
                free_lines: Link::EMPTY,
                free_runs: 0,
            }),
        }
    }

    /// The line numbered `index`.
    ///
    /// # Panics
    /// Where that line was never handed out.
    #[inline]
    pub(crate) fn line(&self, index: u32) -> &Line {
        let (chunk, offset) = locate(index);
        self.chunks[chunk]
            .get()
            .and_then(|chunk| chunk.line(offset))
            .expect("links lead to lines that were handed out")
    }

    /// Makes sure that `cache` holds `count` free lines; false where the limit forbids it.
    #[inline]
    pub(crate) fn provide(&self, cache: &mut NodeCache, count: usize) -> bool {
        cache.lines.len() >= count || self.refill(cache, count)
    }

    #[cold]
    fn refill(&self, cache: &mut NodeCache, count: usize) -> bool {
        let mut pools = self.pools.lock();
        while cache.lines.len() < count.max(CACHE_BATCH) {
            if let Some(line) = self.pop(&mut pools.free_lines) {
                cache.lines.push(line);
                continue;
            }
            let fresh = pools.lines_left.min(RUN_LINES as usize);
            if fresh == 0 {
                break;
            }
            let Some(first) = self.cut(&mut pools) else { break };
            pools.lines_left -= fresh;
            let end = first + u32::try_from(fresh).unwrap_or(RUN_LINES);
            cache.lines.extend((first..end).rev());
        }
        cache.lines.len() >= count
    }

    /// A zeroed line from the cache, which [`Arena::provide`] filled.
    pub(crate) fn take(&self, cache: &mut NodeCache) -> Option<u32> {
        let index = cache.lines.pop()?;
        clear(self.line(index));
        cache.taken += 1;
        Some(index)
    }

    /// Gives a line back that nothing leads to any more.
    pub(crate) fn give(&self, index: u32, cache: &mut NodeCache) {
        cache.lines.push(index);
        cache.given += 1;
        if cache.lines.len() > 2 * CACHE_BATCH {
            self.spill(cache, CACHE_BATCH);
        }
    }

    /// Returns all of a handle's lines; handles call it when dropped.
    pub(crate) fn return_cache(&self, cache: &mut NodeCache) {
        self.spill(cache, 0);
    }

    #[cold]
    fn spill(&self, cache: &mut NodeCache, keep: usize) {
        let mut pools = self.pools.lock();
        for index in cache.lines.drain(keep.min(cache.lines.len())..) {
            self.push(&mut pools.free_lines, index);
        }
    }

    /// The first line of a zeroed run; `None` where all line numbers are used up.
    pub(crate) fn take_run(&self) -> Option<u32> {
        let mut pools = self.pools.lock();
        let first = match pools.free_runs {
            0 => self.cut(&mut pools)?,
            first => {
                // Relaxed: ordered by the lock of the pools.
                pools.free_runs = self.line(first)[0].load(Ordering::Relaxed);
                first
            }
        };
        for index in first..first + RUN_LINES {
            clear(self.line(index));
        }
        Some(first)
    }

    /// Gives a run back that nothing leads to any more.
    pub(crate) fn give_run(&self, first: u32) {
        let mut pools = self.pools.lock();
        // Relaxed: as in take_run(). A multiple of eight, so that a late reader of the run takes it for what a slot of a
        // prefix node says: a child, no policy.
        self.line(first)[0].store(pools.free_runs, Ordering::Relaxed);
        pools.free_runs = first;
    }

    /// Bytes allocated.
    pub(crate) fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.iter().filter_map(OnceLock::get);
        size_of_val(&*self.chunks) + chunks.map(|c| size_of_val(&*c.words)).sum::<usize>()
    }

    /// [`RUN_LINES`] lines of fresh memory, aligned to as many.
    fn cut(&self, pools: &mut Pools) -> Option<u32> {
        let first = pools.unused;
        if first > MAX_LINES - RUN_LINES {
            return None;
        }
        let (chunk, _) = locate(first);
        self.chunks[chunk].get_or_init(|| Chunk::new(chunk));
        pools.unused += RUN_LINES;
        Some(first)
    }

    fn push(&self, list: &mut Link, index: u32) {
        list.store(&self.line(index)[0]);
        *list = Link::node(index);
    }

    fn pop(&self, list: &mut Link) -> Option<u32> {
        let Target::Node(index) = list.target() else {
            return None;
        };
        *list = Link::load(&self.line(index)[0]);
        Some(index)
    }
}

impl Chunk {
    fn new(number: usize) -> Self {
        let lines = 1 << (FIRST_CHUNK_BITS as usize + (number >> STEP_BITS));
        // Word aligned and then shifted to a cache line, because an allocator asked for aligned zeroes clears them
        // itself, whereas large unaligned ones come as fresh pages that nobody has touched: no stall at growth.
        let words = zeroed_words((lines + 1) * LINE_WORDS);
        let misaligned = words.as_ptr().addr() / size_of::<u32>() % LINE_WORDS;
        Self {
            skip: (LINE_WORDS - misaligned) % LINE_WORDS,
            words,
        }
    }

    #[inline]
    fn line(&self, offset: usize) -> Option<&Line> {
        self.words
            .get(self.skip + offset * LINE_WORDS..)?
            .first_chunk::<LINE_WORDS>()
    }
}

/// The chunk of line `index`, and the line's place in it.
#[inline]
const fn locate(index: u32) -> (usize, usize) {
    let biased = index + BIAS;
    let shift = biased.ilog2() - STEP_BITS;
    let octave = shift - FIRST_CHUNK_BITS;
    let step = (biased >> shift) & ((1 << STEP_BITS) - 1);
    let offset = biased & ((1 << shift) - 1);
    ((octave << STEP_BITS | step) as usize, offset as usize)
}

fn clear(line: &Line) {
    for word in line {
        // Relaxed: the owner alone may rely on it; see Link::store().
        word.store(0, Ordering::Relaxed);
    }
}

#[cfg(not(loom))]
fn zeroed_words(count: usize) -> Box<[AtomicU32]> {
    let zeroed = Box::<[AtomicU32]>::new_zeroed_slice(count);
    // SAFETY: all-zero bytes are valid atomics of zero.
    unsafe { zeroed.assume_init() }
}

#[cfg(loom)]
fn zeroed_words(count: usize) -> Box<[AtomicU32]> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a1_lines_and_runs_are_disjoint_and_zero() {
        let arena = Arena::new(5000);
        let mut cache = NodeCache::default();
        let mut seen = HashSet::new();
        for round in 0..4000 {
            let (first, count) = if round % 5 == 0 {
                (arena.take_run().unwrap(), RUN_LINES)
            } else {
                assert!(arena.provide(&mut cache, 1));
                (arena.take(&mut cache).unwrap(), 1)
            };
            for index in first..first + count {
                assert!(seen.insert(index), "line {index} was handed out twice");
                for word in arena.line(index) {
                    assert_eq!(word.swap(u32::MAX, Ordering::Relaxed), 0);
                }
                assert_eq!(arena.line(index).as_ptr().addr() % 64, 0);
            }
        }
        let spare = arena.memory_bytes() as f64 / (seen.len() * 64) as f64;
        assert!(
            spare < 1.25,
            "an eighth plus the directory, not {spare} times what is used"
        );
    }

    #[test]
    fn a2_the_limit_holds_and_given_lines_come_again() {
        let arena = Arena::new(21);
        let mut cache = NodeCache::default();
        assert!(!arena.provide(&mut cache, 22));
        assert!(arena.provide(&mut cache, 21));
        let taken: Vec<u32> = std::iter::from_fn(|| arena.take(&mut cache)).collect();
        assert_eq!(taken.len(), 21);
        assert!(!arena.provide(&mut cache, 1));
        assert!(arena.take_run().is_some(), "runs are not limited");
        for &index in &taken {
            arena.give(index, &mut cache);
        }
        arena.return_cache(&mut cache);
        assert!(arena.provide(&mut cache, 21));
    }

    #[test]
    fn lines_are_located_one_after_the_other() {
        let mut last = locate(0);
        assert_eq!(last, (0, 0));
        for index in 1..100_000 {
            let now = locate(index);
            let chunk_lines = 64 << (last.0 >> 3);
            if now.0 == last.0 {
                assert_eq!(now.1, last.1 + 1);
            } else {
                assert_eq!((now, last.1), ((last.0 + 1, 0), chunk_lines - 1));
            }
            last = now;
        }
        assert!(locate(MAX_LINES - 1).0 < CHUNKS);
    }
}
