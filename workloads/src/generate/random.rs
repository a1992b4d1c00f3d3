//! Everything random in a generated trace.
//!
//! The generator is xoshiro256++ (Blackman and Vigna), seeded through `SplitMix64` from a 64-bit seed: a named algorithm
//! whose stream does not change with a library version, unlike `StdRng`. All that is drawn from it is integer
//! arithmetic defined in this file: no floating point, whose logarithms and powers differ between machines in the last
//! bit, and no library distribution, whose stream may change with its version. One seed is one trace on any machine.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A seeded stream of draws.
#[derive(Debug, Clone)]
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The stream of `seed` for one `purpose`, so that a change in how much one purpose draws leaves the others alone.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(mix(seed ^ mix(purpose))))
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 32 random bits, from the better half of the word.
    pub(crate) fn bits32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.bits().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Uniform below `limit` (which is not zero). Multiply and shift: the bias is under 2^-32 for 32-bit limits.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The high word of a 128-bit product is below `limit`, so it fits.
        multiply_high(self.bits(), limit)
    }

    /// Uniform below `limit`, as an index.
    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or(0)
    }

    /// Uniform below `limit`, in 32 bits.
    pub(crate) fn below32(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(u64::from(limit))).unwrap_or(0)
    }

    /// True in `per_mille` of 1000 draws.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.below32(1000) < per_mille
    }

    /// True in half of the draws.
    pub(crate) fn coin(&mut self) -> bool {
        self.bits() >> 63 == 1
    }

    /// Fisher-Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

/// The high word of the product.
fn multiply_high(a: u64, b: u64) -> u64 {
    u64::try_from((u128::from(a) * u128::from(b)) >> 64).unwrap_or(u64::MAX)
}

/// The finaliser of `SplitMix64`: a bijection of 64-bit words in which every bit depends on every other.
pub(crate) const fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A keyed bijection of `0..size`: numbers without repetition and in no order, without a set to remember them.
///
/// ```text
/// x -> [ add key, multiply by an odd number, x ^= x >> half ] x 3   over the next power of two,
///      again until the result is below `size` (cycle walking; 2 rounds at most on average)
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Permutation {
    size: u64,
    mask: u64,
    half: u32,
    keys: [(u64, u64); 3],
}

impl Permutation {
    /// The bijection of `0..size` that `seed` and `purpose` name; `size` is at least 1 and at most 2^63.
    pub(crate) fn new(size: u64, seed: u64, purpose: u64) -> Self {
        let mut random = Random::new(seed, purpose);
        let mask = size.next_power_of_two() - 1;
        Self {
            size,
            mask,
            half: (mask.count_ones() / 2).max(1),
            keys: std::array::from_fn(|_| (random.bits(), random.bits() | 1)),
        }
    }

    /// Where `number`, which is below the size, goes.
    pub(crate) fn apply(&self, number: u64) -> u64 {
        debug_assert!(number < self.size, "{number} is outside 0..{}", self.size);
        let mut x = number;
        loop {
            for (key, factor) in self.keys {
                x = x.wrapping_add(key).wrapping_mul(factor) & self.mask;
                x ^= x >> self.half;
            }
            if x < self.size {
                return x;
            }
        }
    }

    /// As [`Self::apply`], for sizes of up to 2^32.
    pub(crate) fn apply32(&self, number: u32) -> u32 {
        u32::try_from(self.apply(u64::from(number))).unwrap_or(0)
    }
}

/// Weight of rank 1; rank k weighs this divided by k. 2^40 leaves the last of 2^26 ranks 14 bits of precision.
const FIRST_WEIGHT: u64 = 1 << 40;

/// Zipf's distribution with exponent 1 over ranks 0 (most popular) to n-1: rank k is drawn 1/(k+1) as often as rank 0.
///
/// Exponent 1 is what traffic by destination and by flow is usually fitted with. The inverse of the cumulative weights is
/// looked up through a guide table (Chen and Asau, 1974): exact in integers, two or three cache lines per draw.
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    cumulative: Vec<u64>,
    guide: Vec<u32>,
    shift: u32,
}

impl Zipf {
    /// Over `n` ranks; `n` is at least 1.
    pub(crate) fn new(n: u32) -> Self {
        let mut total = 0;
        let cumulative: Vec<u64> = (1..=u64::from(n))
            .map(|rank| {
                total += FIRST_WEIGHT / rank;
                total
            })
            .collect();
        // As many guide entries as ranks, give or take a factor of two.
        let shift = (u64::BITS - (total / u64::from(n)).leading_zeros()).max(1);
        let mut guide = Vec::with_capacity(usize::try_from(total >> shift).unwrap_or(0) + 2);
        let mut rank = 0;
        for bucket in 0..=(total >> shift) {
            while cumulative[rank as usize] <= bucket << shift {
                rank += 1;
            }
            guide.push(rank);
        }
        guide.push(n - 1);
        Self {
            cumulative,
            guide,
            shift,
        }
    }

    /// A rank.
    pub(crate) fn draw(&self, random: &mut Random) -> u32 {
        let total = self.cumulative.last().copied().unwrap_or(1);
        let point = random.below(total);
        let bucket = usize::try_from(point >> self.shift).unwrap_or(0);
        let (first, last) = (self.guide[bucket], self.guide[bucket + 1]);
        let within = &self.cumulative[first as usize..=last as usize];
        let past = within.partition_point(|&c| c <= point);
        first + u32::try_from(past).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_are_bijections() {
        for size in [1u32, 2, 3, 7, 1000, 1 << 14, 100_003] {
            for seed in 0..3 {
                let permutation = Permutation::new(u64::from(size), seed, 0);
                let mut seen = vec![false; size as usize];
                for number in 0..size {
                    let to = permutation.apply32(number) as usize;
                    assert!(!seen[to], "{to} is taken twice in 0..{size}");
                    seen[to] = true;
                }
            }
        }
    }

    /// Neighbours must not stay neighbours: a permutation that shifts would make every table's best case.
    #[test]
    fn permutations_scatter() {
        let permutation = Permutation::new(1 << 16, 3, 0);
        let near = (0..u32::from(u16::MAX))
            .filter(|&i| permutation.apply32(i).abs_diff(permutation.apply32(i + 1)) < 64)
            .count();
        // Expected: 2^16 * 126 / 2^16 = 126.
        assert!(near < 400, "{near} neighbours stay within 64 of each other");
    }

    /// The draws of each of the first ranks, and of the tail, against 1/k.
    #[test]
    fn zipf_follows_its_law() {
        const DRAWS: u32 = 1 << 20;
        for n in [1u32, 2, 3, 10, 1000, 50_000] {
            let zipf = Zipf::new(n);
            let mut random = Random::new(1, 2);
            let mut counts = vec![0u32; n as usize];
            for _ in 0..DRAWS {
                counts[zipf.draw(&mut random) as usize] += 1;
            }
            let harmonic: f64 = (1..=n).map(|k| 1.0 / f64::from(k)).sum();
            for (rank, &count) in (1..=n).zip(&counts).take(20) {
                let expected = f64::from(DRAWS) / (f64::from(rank) * harmonic);
                let off = (f64::from(count) - expected).abs();
                assert!(
                    off < 6.0 * expected.sqrt() + 1.0,
                    "rank {rank} of {n}: {count}, expected {expected}"
                );
            }
            let tail: u32 = counts.iter().skip(n as usize / 2).sum();
            let weight: f64 = (1..=n).skip(n as usize / 2).map(|k| 1.0 / f64::from(k)).sum();
            let expected = f64::from(DRAWS) * weight / harmonic;
            assert!(
                (f64::from(tail) - expected).abs() < 6.0 * expected.sqrt() + 1.0,
                "tail of {n}: {tail}, {expected}"
            );
        }
    }

    #[test]
    fn draws_stay_in_range_and_differ_by_purpose() {
        let mut random = Random::new(9, 0);
        assert!((0..1000).all(|_| random.below(7) < 7 && random.index(1) == 0));
        assert_ne!(Random::new(9, 0).bits(), Random::new(9, 1).bits());
        assert_ne!(Random::new(9, 0).bits(), Random::new(8, 0).bits());
        assert_eq!(Random::new(9, 0).bits(), Random::new(9, 0).bits());
    }

    /// A trace is named by its seed: this stream must never change (values of this implementation, fixed once).
    #[test]
    fn the_stream_is_fixed() {
        let mut random = Random::new(42, 7);
        let drawn: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(drawn, STREAM_OF_42);
        assert_eq!(Permutation::new(1000, 42, 7).apply32(1), PERMUTED_ONE);
    }
    const STREAM_OF_42: [u64; 3] = [
        714_532_490_285_697_850,
        14_734_027_452_058_226_545,
        17_787_581_430_263_840_407,
    ];
    const PERMUTED_ONE: u32 = 152;
}
