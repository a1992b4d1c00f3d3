//! Weighted histograms: `(value, how many)` pairs.
//!
//! # Definition of a quantile
//!
//! Nearest rank: of N values in ascending order, quantile q is the value with rank ceil(q * N), at least 1. It is
//! always a value that was measured, never one between two; p100 is the maximum. Ranks are computed with integers, so
//! that p99.9 of 1000 values is the 999th and not, by a rounding error, the 1000th.

use std::collections::BTreeMap;

/// A quantile, in millionths, so that ranks are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantile(u32);

/// One, in millionths.
const WHOLE: u32 = 1_000_000;

impl Quantile {
    /// The median of the batches.
    pub const P50: Self = Self(500_000);
    /// 90th percentile.
    pub const P90: Self = Self(900_000);
    /// 99th percentile.
    pub const P99: Self = Self(990_000);
    /// 99.9th percentile.
    pub const P999: Self = Self(999_000);
    /// The maximum.
    pub const MAX: Self = Self(WHOLE);

    /// A quantile in millionths; more than a whole is taken as a whole.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Self {
        if millionths > WHOLE {
            Self::MAX
        } else {
            Self(millionths)
        }
    }

    /// The rank among `count` values, from 1; 0 where there are none.
    #[must_use]
    pub fn rank(self, count: u64) -> u64 {
        if count == 0 {
            return 0;
        }
        let rank = (u128::from(count) * u128::from(self.0)).div_ceil(u128::from(WHOLE));
        u64::try_from(rank).unwrap_or(count).clamp(1, count)
    }
}

/// How many values a histogram holds.
#[must_use]
pub fn total(pairs: &[(u64, u64)]) -> u64 {
    pairs
        .iter()
        .fold(0u64, |sum, &(_, count)| sum.saturating_add(count))
}

/// The quantile of a histogram; its pairs must be in ascending order of value, as [`merge`] gives them.
#[must_use]
pub fn quantile(pairs: &[(u64, u64)], which: Quantile) -> Option<u64> {
    let rank = which.rank(total(pairs));
    if rank == 0 {
        return None;
    }
    let mut seen = 0u64;
    for &(value, count) in pairs {
        seen = seen.saturating_add(count);
        if seen >= rank {
            return Some(value);
        }
    }
    None
}

/// One histogram from several, ascending, equal values together, counts of zero left out.
pub fn merge<'a>(histograms: impl IntoIterator<Item = &'a [(u64, u64)]>) -> Vec<(u64, u64)> {
    let mut counts = BTreeMap::<u64, u64>::new();
    for &(value, count) in histograms.into_iter().flatten() {
        if count > 0 {
            let held = counts.entry(value).or_default();
            *held = held.saturating_add(count);
        }
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word for word: write all values out, sort, take the one with the rank.
    fn naive(pairs: &[(u64, u64)], millionths: u32) -> Option<u64> {
        let mut all: Vec<u64> = Vec::new();
        for &(value, count) in pairs {
            all.extend(std::iter::repeat_n(value, usize::try_from(count).unwrap()));
        }
        all.sort_unstable();
        let n = all.len();
        (0..n)
            .find(|&i| (i as u128 + 1) * 1_000_000 >= n as u128 * u128::from(millionths))
            .map(|i| all[i])
    }

    proptest! {
        #[test]
        fn quantile_is_the_nearest_rank(
            pairs in prop::collection::vec((0u64..50, 0u64..20), 0..12),
            millionths in 0u32..=1_000_000,
        ) {
            let merged = merge([pairs.as_slice()]);
            prop_assert_eq!(quantile(&merged, Quantile::from_millionths(millionths)), naive(&pairs, millionths));
        }
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(quantile(&[], Quantile::P50), None);
        assert_eq!(quantile(&[(5, 0)], Quantile::MAX), None);
    }

    #[test]
    fn one_value_is_every_quantile() {
        for which in [
            Quantile::P50,
            Quantile::P999,
            Quantile::MAX,
            Quantile::from_millionths(0),
        ] {
            assert_eq!(quantile(&[(42, 1)], which), Some(42));
            assert_eq!(quantile(&[(42, 1_000_000)], which), Some(42));
        }
    }

    /// The trap of a tool that printed its maximum as "p99": label equals statistic.
    #[test]
    fn p99_is_not_the_maximum_and_max_is() {
        let pairs: Vec<(u64, u64)> = (1..=1000).map(|value| (value, 1)).collect();
        assert_eq!(quantile(&pairs, Quantile::P50), Some(500));
        assert_eq!(quantile(&pairs, Quantile::P90), Some(900));
        assert_eq!(quantile(&pairs, Quantile::P99), Some(990));
        assert_eq!(quantile(&pairs, Quantile::P999), Some(999));
        assert_eq!(quantile(&pairs, Quantile::MAX), Some(1000));
    }

    #[test]
    fn counts_near_the_end_of_the_range_saturate() {
        let pairs = [(1, u64::MAX), (2, u64::MAX)];
        assert_eq!(total(&pairs), u64::MAX);
        assert_eq!(quantile(&pairs, Quantile::P50), Some(1));
        assert_eq!(merge([&pairs[..], &pairs[..]])[0], (1, u64::MAX));
    }

    #[test]
    fn merge_sorts_and_sums() {
        assert_eq!(
            merge([&[(3, 1), (1, 2)][..], &[(3, 4), (2, 0)][..]]),
            vec![(1, 2), (3, 5)]
        );
    }
}
