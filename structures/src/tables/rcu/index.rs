//! The index: one home line per bucket, and a pool of lines that continue full ones.
//!
//! ```text
//! lines 0 .. buckets      home lines, one array
//! lines buckets ..        overflow lines, in segments of 64, 128, 256, ..., made at need, never freed
//! ```
//! A chain grows at its end and loses any overflow line that has become empty; links never move from place to
//! place. So a reader that walks a chain meets every link that stays in it: a line taken out keeps its own
//! `next` until no reader can be in it, and only then is it used again.

use crate::counters::Counters;
use crate::sync::{Mutex, OnceLock};

use super::fault::{self, Fault};
use super::line::{Line, NO_LINE, tag_of};

/// Lines in the first overflow segment; each further one has twice the lines of the one before.
const FIRST_SEGMENT: u32 = if cfg!(loom) { 1 } else { 64 };

/// Segments: enough for as many lines as there can be links (2^31).
const SEGMENTS: usize = 32;

/// All lines.
#[derive(Debug)]
pub(super) struct Index {
    home: Box<[Line]>,
    overflow: [OnceLock<Box<[Line]>>; SEGMENTS],
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    free: Vec<u32>,
    used: u32,
}

/// Where a tuple's link belongs: what its hash says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    /// Number of the bucket, which is that of its home line.
    pub bucket: u32,
    /// Its tag.
    pub tag: u8,
}

/// What a look at a home line says of an address: a link that has the tag (perhaps others have it too),
/// nothing, or that only an overflow line can have it. Links are below 2^31, so one word tells these apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First(u32);

impl First {
    pub(super) const NOTHING: Self = Self(u32::MAX);
    const ELSEWHERE: Self = Self(u32::MAX - 1);

    /// The link.
    #[inline]
    pub(super) fn link(self) -> Option<u32> {
        (self.0 < Self::ELSEWHERE.0).then_some(self.0)
    }
}

/// Where a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the line.
    pub line: u32,
    /// Place in it.
    pub place: u32,
}

impl Index {
    pub(super) fn new(buckets: u32) -> Self {
        Self {
            home: (0..buckets).map(|_| Line::empty()).collect(),
            overflow: std::array::from_fn(|_| OnceLock::new()),
            pool: Mutex::new(Pool::default()),
        }
    }

    /// Bucket from the top of the hash (multiply-shift: any number of buckets will do), tag from its low
    /// byte.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "below the number of buckets, a u32"
    )]
    pub(super) fn address(&self, hash: u64) -> Address {
        let bucket = (u128::from(hash) * self.home.len() as u128) >> 64;
        Address {
            bucket: bucket as u32,
            tag: tag_of(hash),
        }
    }

    /// A bucket's home line.
    #[inline]
    pub(super) fn home(&self, bucket: u32) -> &Line {
        &self.home[bucket as usize]
    }

    /// What the home line says. The caller is inside an operation.
    #[inline]
    pub(super) fn first(&self, address: Address) -> First {
        let line = self.home(address.bucket);
        let tags = line.tags();
        let matches = tags.matching(address.tag);
        if matches != 0 {
            First(line.link(matches.trailing_zeros()))
        } else if tags.next() == NO_LINE {
            First::NOTHING
        } else {
            First::ELSEWHERE
        }
    }

    /// The first link at `address` that `is_it`. The caller holds the bucket's lock or is inside an
    /// operation.
    #[inline]
    pub(super) fn find(
        &self,
        address: Address,
        counters: &mut Counters,
        mut is_it: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let mut line = self.home(address.bucket);
        loop {
            let tags = line.tags();
            let mut matches = tags.matching(address.tag);
            while matches != 0 {
                let link = line.link(matches.trailing_zeros());
                if is_it(link) {
                    return Some(link);
                }
                counters.count(|c| c.extra_probes += 1);
                matches &= matches - 1;
            }
            if tags.next() == NO_LINE {
                return None;
            }
            counters.count(|c| c.extra_probes += 1);
            line = self.line(tags.next());
        }
    }

    /// Shows up to `limit` links of a bucket, whatever their tags, to `see`. The caller is inside an
    /// operation.
    pub(super) fn each_link(&self, bucket: u32, limit: usize, mut see: impl FnMut(u32)) {
        let mut line = self.home(bucket);
        let mut left = limit;
        loop {
            let tags = line.tags();
            let mut taken = tags.taken();
            while taken != 0 {
                if left == 0 {
                    return;
                }
                left -= 1;
                see(line.link(taken.trailing_zeros()));
                taken &= taken - 1;
            }
            if tags.next() == NO_LINE {
                return;
            }
            line = self.line(tags.next());
        }
    }

    /// Puts `link` at `address`, in the first free place of its chain. The caller holds the bucket's lock.
    pub(super) fn publish(&self, address: Address, link: u32, counters: &mut Counters) -> Position {
        let mut at = address.bucket;
        loop {
            let line = self.line(at);
            let tags = line.tags();
            if let Some(place) = tags.free_place() {
                line.put(place, address.tag, link);
                return Position { line: at, place };
            }
            if tags.next() == NO_LINE {
                let fresh = self.take_line();
                counters.count(|c| c.resize += 1);
                self.line(fresh).put(0, address.tag, link);
                line.set_next(fresh);
                return Position {
                    line: fresh,
                    place: 0,
                };
            }
            at = tags.next();
        }
    }

    /// Takes the link at `position` out of `bucket`'s chain. The caller holds the bucket's lock.
    ///
    /// Returns the overflow line that this emptied and unlinked, if it did. Once no reader can be in it, it
    /// belongs in [`Index::give_line`].
    #[must_use]
    pub(super) fn unpublish(&self, bucket: u32, position: Position) -> Option<u32> {
        let line = self.line(position.line);
        line.clear(position.place);
        if position.line == bucket || line.tags().taken() != 0 {
            return None;
        }
        let mut before = self.home(bucket);
        while before.tags().next() != position.line {
            before = self.line(before.tags().next());
        }
        before.set_next(line.tags().next());
        if fault::planted(Fault::LineForgetsNext) {
            line.set_next(NO_LINE);
        }
        Some(position.line)
    }

    /// An empty line that continues none and is continued by none.
    fn take_line(&self) -> u32 {
        let line = {
            let mut pool = self.pool.lock();
            pool.free.pop().unwrap_or_else(|| {
                pool.used += 1;
                self.home_lines() + pool.used - 1
            })
        };
        let (segment, _) = self.segment(line);
        self.overflow[segment].get_or_init(|| (0..FIRST_SEGMENT << segment).map(|_| Line::empty()).collect());
        self.line(line).set_next(NO_LINE);
        line
    }

    /// Gives an unlinked line back, when no reader can be in it any more.
    pub(super) fn give_line(&self, line: u32) {
        self.pool.lock().free.push(line);
    }

    /// A line by its number.
    #[inline]
    fn line(&self, line: u32) -> &Line {
        match self.home.get(line as usize) {
            Some(home) => home,
            None => self.overflow_line(line),
        }
    }

    /// # Panics
    /// Where `line` was never taken from the pool.
    fn overflow_line(&self, line: u32) -> &Line {
        let (segment, offset) = self.segment(line);
        let lines = self.overflow[segment].get();
        &lines.expect("the number of a line that was taken")[offset]
    }

    /// Which segment an overflow line is in, and where.
    fn segment(&self, line: u32) -> (usize, usize) {
        let number = line - self.home_lines();
        let segment = (number / FIRST_SEGMENT + 1).ilog2();
        let first = FIRST_SEGMENT * ((1 << segment) - 1);
        (segment as usize, (number - first) as usize)
    }

    #[expect(clippy::cast_possible_truncation, reason = "made from a u32")]
    fn home_lines(&self) -> u32 {
        self.home.len() as u32
    }

    /// Bytes allocated.
    pub(super) fn memory_bytes(&self) -> usize {
        let segments = self.overflow.iter().filter_map(OnceLock::get);
        let overflow: usize = segments.map(|lines| size_of_val(&**lines)).sum();
        let pool = self.pool.lock().free.capacity() * size_of::<u32>();
        size_of_val(&*self.home) + overflow + pool
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn links(index: &Index, bucket: u32) -> Vec<u32> {
        let mut links = Vec::new();
        index.each_link(bucket, usize::MAX, |link| links.push(link));
        links.sort_unstable();
        links
    }

    #[test]
    fn segments_follow_each_other_without_gap() {
        let index = Index::new(5);
        let mut expected = (0, 0);
        for line in 5..5 + 64 * 15 {
            assert_eq!(index.segment(line), expected, "line {line}");
            expected.1 += 1;
            if expected.1 == 64 << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    /// R3: a full bucket overflows, every link stays findable, and emptied lines are taken out, first, middle
    /// or last.
    #[test]
    fn r3_chains_grow_and_shrink_and_lose_nothing() {
        let index = Index::new(1);
        let mut counters = Counters::default();
        let address = index.address(7);
        let positions: Vec<Position> = (0..100)
            .map(|link| index.publish(address, link, &mut counters))
            .collect();
        assert_eq!(links(&index, 0), (0..100).collect::<Vec<_>>());
        let mut left: Vec<u32> = (0..100).collect();
        let mut freed = Vec::new();
        // Lines are emptied in an order that takes middle ones before their neighbours.
        for line in [3, 1, 8, 2, 0, 7, 4, 6, 5] {
            for link in (line * 12..(line + 1) * 12).take_while(|&link| link < 100) {
                freed.extend(index.unpublish(0, positions[link as usize]));
                left.retain(|&l| l != link);
                assert_eq!(links(&index, 0), left);
                for &link in &left {
                    assert_eq!(index.find(address, &mut counters, |l| l == link), Some(link));
                }
            }
        }
        freed.sort_unstable();
        assert_eq!(freed, (1..9).collect::<Vec<_>>(), "each overflow line once");
        assert_eq!(index.home(0).tags().next(), NO_LINE);
    }

    #[test]
    fn buckets_cover_the_whole_hash() {
        let index = Index::new(3);
        let buckets = [0, u64::MAX / 2, u64::MAX].map(|hash| index.address(hash).bucket);
        assert_eq!(buckets, [0, 1, 2]);
    }
}
