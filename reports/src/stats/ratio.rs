//! How much one quantity is of another, with its interval.
//!
//! Cells run interleaved, so round *n* of one table ran close in time to round *n* of the other: a slow phase
//! of the machine hits both. Pairing by round takes that phase out. Where rounds do not match, Welch's interval of the
//! difference of logs is used, which pays for it with width.

use std::collections::BTreeMap;

use serde::Serialize;

use super::center::{logarithms, mean, median, sample_deviation};
use super::interval::{Interval, MIN_ROUNDS, around, interval_of_logs};

/// How an interval of a ratio came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RatioMethod {
    /// Student's interval over differences of logs of this many matching rounds.
    Paired(usize),
    /// Welch's interval over unmatched rounds.
    Welch,
    /// Too few rounds: no interval.
    TooFew,
}

/// A ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// Ratio of the medians.
    pub value: f64,
    /// Interval, where there are rounds enough.
    pub interval: Option<Interval>,
    /// How the interval came about.
    pub method: RatioMethod,
}

impl Ratio {
    /// Whether the two may be equal: the interval holds 1. `None` where there is no interval.
    #[must_use]
    pub fn is_tie(&self) -> Option<bool> {
        self.interval.map(|interval| interval.contains(1.0))
    }
}

/// `numerator` over `denominator`, each as (round, value); `None` where one is empty or not positive.
#[must_use]
pub fn ratio(numerator: &[(u32, f64)], denominator: &[(u32, f64)]) -> Option<Ratio> {
    let over = values(numerator);
    let under = values(denominator);
    let (over_logs, under_logs) = (logarithms(&over)?, logarithms(&under)?);
    let value = median(&over)? / median(&under)?;
    let pairs = paired_logs(numerator, denominator);
    let (interval, method) = if pairs.len() >= MIN_ROUNDS {
        (interval_of_logs(&pairs), RatioMethod::Paired(pairs.len()))
    } else if over.len() >= MIN_ROUNDS && under.len() >= MIN_ROUNDS {
        (welch(&over_logs, &under_logs), RatioMethod::Welch)
    } else {
        (None, RatioMethod::TooFew)
    };
    value.is_finite().then_some(Ratio {
        value,
        interval,
        method,
    })
}

fn values(rounds: &[(u32, f64)]) -> Vec<f64> {
    rounds.iter().map(|&(_, value)| value).collect()
}

/// Differences of logs of the rounds both have.
fn paired_logs(numerator: &[(u32, f64)], denominator: &[(u32, f64)]) -> Vec<f64> {
    let under: BTreeMap<u32, f64> = denominator.iter().copied().collect();
    let over: BTreeMap<u32, f64> = numerator.iter().copied().collect();
    over.iter()
        .filter_map(|(round, value)| under.get(round).map(|other| value.ln() - other.ln()))
        .collect()
}

/// Welch's interval of the difference of two means of logs, degrees of freedom by Welch and Satterthwaite.
fn welch(over: &[f64], under: &[f64]) -> Option<Interval> {
    let difference = mean(over)? - mean(under)?;
    let part = |logs: &[f64]| Some(sample_deviation(logs)?.powi(2) / logs.len() as f64);
    let (first, second) = (part(over)?, part(under)?);
    let variance = first + second;
    if variance == 0.0 {
        return Some(Interval {
            low: difference.exp(),
            high: difference.exp(),
        });
    }
    let degrees = variance.powi(2)
        / (first.powi(2) / (over.len() - 1) as f64 + second.powi(2) / (under.len() - 1) as f64);
    around(difference, variance.sqrt(), degrees)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64]) -> Vec<(u32, f64)> {
        (0u32..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn of_nothing_there_is_no_ratio() {
        assert_eq!(ratio(&[], &[]), None);
        assert_eq!(ratio(&rounds(&[1.0]), &[]), None);
        assert_eq!(ratio(&rounds(&[1.0]), &rounds(&[0.0])), None);
    }

    #[test]
    fn one_round_gives_a_ratio_without_interval() {
        let found = ratio(&rounds(&[6.0]), &rounds(&[3.0])).unwrap();
        assert_eq!(
            (found.value, found.interval, found.method),
            (2.0, None, RatioMethod::TooFew)
        );
        assert_eq!(found.is_tie(), None);
    }

    #[test]
    fn equal_rounds_are_a_tie_of_no_width() {
        let found = ratio(&rounds(&[3.0; 4]), &rounds(&[3.0; 4])).unwrap();
        assert_eq!(found.is_tie(), Some(true));
        assert_eq!(found.interval.unwrap(), Interval { low: 1.0, high: 1.0 });
    }

    /// A machine that halves its speed in every other round hides a steady 10% from unpaired statistics only.
    #[test]
    fn pairing_takes_out_what_hits_both() {
        let under = [10.0, 5.0, 10.1, 4.9, 10.0];
        let over: Vec<f64> = under
            .iter()
            .zip([1.1, 1.11, 1.09, 1.1, 1.105])
            .map(|(value, factor)| value * factor)
            .collect();
        let paired = ratio(&rounds(&over), &rounds(&under)).unwrap();
        assert_eq!(paired.method, RatioMethod::Paired(5));
        assert_eq!(paired.is_tie(), Some(false));

        let shifted: Vec<(u32, f64)> = rounds(&over)
            .into_iter()
            .map(|(round, v)| (round + 10, v))
            .collect();
        let unpaired = ratio(&shifted, &rounds(&under)).unwrap();
        assert_eq!(unpaired.method, RatioMethod::Welch);
        assert_eq!(unpaired.is_tie(), Some(true));
    }

    #[test]
    fn order_of_rounds_does_not_matter() {
        let over = rounds(&[2.0, 4.0, 9.0]);
        let mut turned = over.clone();
        turned.reverse();
        let under = rounds(&[1.0, 2.0, 3.0]);
        assert_eq!(ratio(&over, &under), ratio(&turned, &under));
    }

    /// Logs 0, 1, 2 against 3, 4, 5 unmatched: both parts 1/3, so 4 degrees, error sqrt(2/3), t(4) = 2.776.
    #[test]
    fn known_welch_interval() {
        let logs = |start: f64| -> Vec<f64> { (0..3).map(|i| (start + f64::from(i)).exp()).collect() };
        let over: Vec<(u32, f64)> = rounds(&logs(3.0))
            .into_iter()
            .map(|(round, v)| (round + 9, v))
            .collect();
        let interval = ratio(&over, &rounds(&logs(0.0))).unwrap().interval.unwrap();
        let reach = 2.776_445 * (2.0f64 / 3.0).sqrt();
        assert!((interval.low.ln() - (3.0 - reach)).abs() < 1e-4, "{interval:?}");
        assert!((interval.high.ln() - (3.0 + reach)).abs() < 1e-4, "{interval:?}");
    }
}
