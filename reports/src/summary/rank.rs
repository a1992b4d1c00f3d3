//! Who is best, who ties with the best, and by how much the others lose.

use serde::Serialize;

use crate::stats::{Interval, Ratio, median, ratio};

/// Where a table stands among those compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The best median.
    Best,
    /// Not the best median, but the interval of the ratio to the best holds 1.
    Tie,
    /// Worse than the best.
    Behind,
    /// Its ratio has no interval: too few rounds to call it a tie or a loss.
    TooFew,
    /// Nothing to compare with.
    Only,
    /// The table is full and refuses newcomers where others evict for them. Not ranked.
    Refuses,
    /// The table met no limit where others did. Not ranked.
    NoLimit,
    /// The `null` table: what the harness costs. Not ranked.
    Harness,
    /// No number.
    Failed,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// As for packets per second.
    Higher,
    /// As for nanoseconds and bytes.
    Lower,
}

/// A place in a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Place {
    /// Standing.
    pub standing: Standing,
    /// How many times worse than the best; 1 for the best itself.
    pub times_worse: f64,
    /// Interval of that.
    pub interval: Option<Interval>,
}

/// Ranks the entries, each the (round, value) pairs of one table; an empty one gets no place.
#[must_use]
pub fn rank(entries: &[Vec<(u32, f64)>], better: Better) -> Vec<Option<Place>> {
    let medians: Vec<Option<f64>> = entries
        .iter()
        .map(|rounds| median(&rounds.iter().map(|&(_, value)| value).collect::<Vec<_>>()))
        .collect();
    let ranked = medians.iter().flatten().count();
    let best = best_of(&medians, better);
    let place = |index: usize| -> Option<Place> {
        medians[index]?;
        let best = best?;
        if index == best {
            let standing = if ranked == 1 {
                Standing::Only
            } else {
                Standing::Best
            };
            return Some(Place {
                standing,
                times_worse: 1.0,
                interval: None,
            });
        }
        let worse = match better {
            Better::Higher => ratio(&entries[best], &entries[index]),
            Better::Lower => ratio(&entries[index], &entries[best]),
        }?;
        Some(Place {
            standing: standing(&worse),
            times_worse: worse.value,
            interval: worse.interval,
        })
    };
    (0..entries.len()).map(place).collect()
}

fn best_of(medians: &[Option<f64>], better: Better) -> Option<usize> {
    let known = medians
        .iter()
        .enumerate()
        .filter_map(|(index, median)| Some((index, (*median)?)));
    let ordered = |one: &(usize, f64), other: &(usize, f64)| match better {
        // Reversed, so that min_by gives the first of equals in both directions.
        Better::Higher => other.1.total_cmp(&one.1),
        Better::Lower => one.1.total_cmp(&other.1),
    };
    known.min_by(ordered).map(|(index, _)| index)
}

/// An interval wholly below 1 (the rounds say "better" where the medians say "worse") is no loss either.
fn standing(worse: &Ratio) -> Standing {
    match worse.interval {
        None => Standing::TooFew,
        Some(interval) if interval.low > 1.0 => Standing::Behind,
        Some(_) => Standing::Tie,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64]) -> Vec<(u32, f64)> {
        (0u32..).zip(values.iter().copied()).collect()
    }

    fn standings(entries: &[Vec<(u32, f64)>], better: Better) -> Vec<Option<Standing>> {
        rank(entries, better)
            .into_iter()
            .map(|place| place.map(|place| place.standing))
            .collect()
    }

    #[test]
    fn best_tie_and_loss_both_ways() {
        let entries = [
            rounds(&[10.0, 10.1, 9.9]),
            rounds(&[10.05, 9.9, 10.0]),
            rounds(&[5.0, 5.1, 4.9]),
            Vec::new(),
        ];
        use Standing::{Behind, Best, Tie};
        assert_eq!(
            standings(&entries, Better::Higher),
            [Some(Best), Some(Tie), Some(Behind), None]
        );
        assert_eq!(
            standings(&entries, Better::Lower),
            [Some(Behind), Some(Behind), Some(Best), None]
        );
        let places = rank(&entries, Better::Higher);
        assert!((places[2].unwrap().times_worse - 2.0).abs() < 1e-12);
    }

    #[test]
    fn two_rounds_are_too_few_to_call_a_loss() {
        let entries = [rounds(&[10.0, 10.0]), rounds(&[5.0, 5.0])];
        assert_eq!(
            standings(&entries, Better::Higher),
            [Some(Standing::Best), Some(Standing::TooFew)]
        );
    }

    #[test]
    fn alone_is_not_best_and_nothing_is_nothing() {
        assert_eq!(
            standings(&[rounds(&[3.0])], Better::Lower),
            [Some(Standing::Only)]
        );
        assert_eq!(standings(&[], Better::Lower), []);
        assert_eq!(standings(&[Vec::new()], Better::Lower), [None]);
    }

    #[test]
    fn equal_tables_are_one_best_and_ties() {
        let entries = vec![rounds(&[7.0; 3]); 3];
        use Standing::{Best, Tie};
        assert_eq!(
            standings(&entries, Better::Higher),
            [Some(Best), Some(Tie), Some(Tie)]
        );
    }
}
