//! One line of the index: twelve tags and twelve links in 64 bytes, and the number of the line that continues
//! it.
//!
//! ```text
//!        0                                8             12          16                             64
//! line | tag 0 ... tag 7                | tag 8 .. 11 | next line | link 0 ... link 11            |
//!        `----- word 0 (AtomicU64) -----' `-- word 1 (AtomicU64) -' `- 12 x AtomicU32 (slot<<1|dir) '
//! ```
//! A tag is one byte of the hash, never zero; zero marks a free place. Two loads bring all tags and the next
//! line; one SSE2 comparison (or two words' worth of arithmetic elsewhere) finds the matching places. Why
//! twelve 8-bit tags and not ten of 16 bits: two more places per line save more overflow lines than the 3 %
//! of misses cost that look at one entry in vain (7 tags of 255 values).
//!
//! Lines are changed under their bucket's lock and read without any.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

use super::fault::{self, Fault};

/// Places of a line: as many as 64 bytes hold beside the next line's number. Two in models, so that one
/// connection fills a line.
pub(super) const PLACES: u32 = if cfg!(loom) { 2 } else { 12 };

/// Next line of a chain's last line. Line 0 is a bucket's home line, which continues no other.
pub(super) const NO_LINE: u32 = 0;

/// Tag of a free place.
const FREE: u8 = 0;

/// Bit mask of the places.
const ALL_PLACES: u32 = (1 << PLACES) - 1;

/// Low half of word 1: tags; the high half is the next line.
const WORD_1_TAGS: u64 = 0xffff_ffff;

/// One line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Line {
    tags: [AtomicU64; 2],
    links: [AtomicU32; PLACES as usize],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Line>() == 64);

/// A line's tags and next line, as they were at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tags([u64; 2]);

/// The tag of a hash: its low byte (the bucket number comes from the other end), with zero made one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low byte is what is wanted")]
pub(super) const fn tag_of(hash: u64) -> u8 {
    let low = hash as u8;
    low | (low == FREE) as u8
}

impl Line {
    pub(super) fn empty() -> Self {
        Self {
            tags: std::array::from_fn(|_| AtomicU64::new(0)),
            links: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// All tags and the next line.
    #[inline]
    pub(super) fn tags(&self) -> Tags {
        // Acquire: pairs with the Release in store_word(); a tag's link, and a next line's content, are
        // visible with it.
        Tags([
            self.tags[0].load(Ordering::Acquire),
            self.tags[1].load(Ordering::Acquire),
        ])
    }

    /// The link in `place`, whose tag the caller saw.
    #[inline]
    pub(super) fn link(&self, place: u32) -> u32 {
        // Acquire: pairs with the Release in put(). The tag that led here may be older than the link, where
        // the place changed hands in between; then this is what makes the newcomer's entry visible.
        self.links[place as usize].load(Ordering::Acquire)
    }

    /// Fills a free place. The caller holds the bucket's lock and has filled the entry.
    pub(super) fn put(&self, place: u32, tag: u8, link: u32) {
        if fault::planted(Fault::TagBeforeLink) {
            self.set_tag(place, tag);
        }
        // Release: pairs with the Acquire in link(); publishes the entry.
        self.links[place as usize].store(link, publishing());
        self.set_tag(place, tag);
    }

    /// Frees a place. The caller holds the bucket's lock. The link stays as it is: without its tag nobody
    /// follows it, but for readers that saw the tag before, for whom the entry is kept.
    pub(super) fn clear(&self, place: u32) {
        self.set_tag(place, FREE);
    }

    /// Makes `next` the line that continues this one. The caller holds the bucket's lock.
    pub(super) fn set_next(&self, next: u32) {
        self.store_word(1, (self.word(1) & WORD_1_TAGS) | (u64::from(next) << 32));
    }

    fn set_tag(&self, place: u32, tag: u8) {
        let (word, shift) = ((place / 8) as usize, place % 8 * 8);
        self.store_word(
            word,
            (self.word(word) & !(0xff << shift)) | (u64::from(tag) << shift),
        );
    }

    fn word(&self, word: usize) -> u64 {
        // Relaxed: changed only under the bucket's lock, which the caller holds.
        self.tags[word].load(Ordering::Relaxed)
    }

    fn store_word(&self, word: usize, value: u64) {
        // Release: pairs with the Acquire in tags(); the link stored before is seen with its tag, the next
        // line with what was put into it.
        self.tags[word].store(value, publishing());
    }
}

/// Release, unless a model breaks it.
#[inline(always)]
fn publishing() -> Ordering {
    if fault::planted(Fault::RelaxedPublish) {
        Ordering::Relaxed
    } else {
        Ordering::Release
    }
}

impl Tags {
    /// The number of the line that continues this one, or [`NO_LINE`].
    #[inline]
    pub(super) const fn next(self) -> u32 {
        (self.0[1] >> 32) as u32
    }

    /// Bit i is set where place i has `tag`.
    #[inline]
    pub(super) fn matching(self, tag: u8) -> u32 {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
        {
            // SAFETY: SSE2 is enabled for the whole build, as the cfg above says.
            unsafe { self.matching_sse2(tag) }
        }
        #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
        {
            self.matching_portable(tag)
        }
    }

    /// The first free place.
    pub(super) fn free_place(self) -> Option<u32> {
        let free = self.matching(FREE);
        (free != 0).then(|| free.trailing_zeros())
    }

    /// Bit i is set where place i is taken.
    pub(super) fn taken(self) -> u32 {
        ALL_PLACES & !self.matching(FREE)
    }

    #[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
    #[target_feature(enable = "sse2")]
    #[inline]
    fn matching_sse2(self, tag: u8) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
        let equal = _mm_cmpeq_epi8(
            _mm_set_epi64x(self.0[1].cast_signed(), self.0[0].cast_signed()),
            _mm_set1_epi8(tag.cast_signed()),
        );
        _mm_movemask_epi8(equal).cast_unsigned() & ALL_PLACES
    }

    /// The same answer without vector instructions.
    #[cfg_attr(
        all(target_arch = "x86_64", target_feature = "sse2", not(miri), not(test)),
        expect(dead_code, reason = "what other processors run; tested on this one too")
    )]
    #[inline]
    fn matching_portable(self, tag: u8) -> u32 {
        let low = equal_bytes(self.0[0], tag);
        let high = equal_bytes(self.0[1], tag);
        (low | high << 8) & ALL_PLACES
    }
}

/// Bit i is set where byte i of `word` is `byte`.
#[inline]
const fn equal_bytes(word: u64, byte: u8) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // Moves bit 8i to bit 56 + i; no two products meet, so nothing carries.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let differing = word ^ (ONES * byte as u64);
    // Exact, unlike the shorter form that errs above a matching byte: bit 7 of each sum is set where its byte
    // has any of the low seven bits, and no sum reaches the next byte.
    let zero = !(((differing & LOW_SEVEN) + LOW_SEVEN) | differing | LOW_SEVEN);
    ((zero >> 7).wrapping_mul(GATHER) >> 56) as u32
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(tags: Tags, tag: u8) -> u32 {
        let bytes = [tags.0[0].to_le_bytes(), tags.0[1].to_le_bytes()].concat();
        (0..PLACES)
            .filter(|&place| bytes[place as usize] == tag)
            .fold(0, |mask, place| mask | 1 << place)
    }

    /// Any byte, those at the edges of the arithmetic most often.
    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![Just(0), Just(1), Just(0x80), Just(0xff), any::<u8>()]
    }

    proptest! {
        /// R7: vector and portable comparison give the same places, the naive ones.
        #[test]
        fn r7_all_ways_of_matching_agree(
            bytes in proptest::array::uniform16(byte()),
            tag in byte(),
        ) {
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            let tags = Tags([word(0), word(8)]);
            prop_assert_eq!(tags.matching(tag), naive(tags, tag));
            prop_assert_eq!(tags.matching_portable(tag), naive(tags, tag));
        }
    }

    #[test]
    fn a_line_holds_twelve_and_its_next() {
        let line = Line::empty();
        for place in 0..PLACES {
            assert_eq!(line.tags().free_place(), Some(place));
            line.put(place, u8::try_from(200 + place).unwrap(), 1000 + place);
        }
        line.set_next(77);
        assert_eq!((line.tags().free_place(), line.tags().next()), (None, 77));
        for place in 0..PLACES {
            let tag = u8::try_from(200 + place).unwrap();
            assert_eq!(line.tags().matching(tag), 1 << place);
            assert_eq!(line.link(place), 1000 + place);
        }
        line.clear(9);
        assert_eq!(line.tags().taken(), ALL_PLACES & !(1 << 9));
        assert_eq!(line.tags().next(), 77);
    }

    #[test]
    fn no_hash_has_the_tag_of_a_free_place() {
        assert!((0..=255).all(|hash| tag_of(hash) != FREE));
        assert_eq!(tag_of(0xffff_ff00), 1);
    }
}
