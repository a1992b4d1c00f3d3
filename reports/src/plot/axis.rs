//! Axes: ranges that hold all values, and few round ticks whose labels do not touch.

use crate::units::{digits, short_count, short_number};

/// An axis in plot coordinates (already logarithms where the axis is logarithmic).
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it shows and in which unit.
    pub title: String,
    /// Lowest coordinate.
    pub low: f64,
    /// Highest coordinate.
    pub high: f64,
    /// Coordinate and label, ascending.
    pub ticks: Vec<(f64, String)>,
}

/// A logarithmic range wider than this shows whole decades only, where labels stand side by side.
const WIDE_DECADES: f64 = 1.5;

impl Axis {
    /// For a narrow axis to base 10: only powers of ten, if at least two of them are left.
    pub fn keep_decades(&mut self) {
        let whole = |place: f64| (place - place.round()).abs() < 1e-9;
        let decades = self.ticks.iter().filter(|(place, _)| whole(*place)).count();
        if self.high - self.low > WIDE_DECADES && decades >= 2 {
            self.ticks.retain(|(place, _)| whole(*place));
        }
    }
}

/// Most ticks on an axis: more would touch at phone width.
const MOST_TICKS: usize = 7;

/// A logarithmic axis to base 2 over counts (connections, threads), with one tick per whole power or every few.
#[must_use]
pub fn log2_axis(title: &str, counts: &[u64]) -> Axis {
    let exponents = counts.iter().map(|&count| log2(count));
    let (low, high) = bounds(exponents).unwrap_or((0.0, 1.0));
    let (first, last) = (low.floor(), high.ceil().max(low.floor() + 1.0));
    let step = ((last - first) / (MOST_TICKS - 1) as f64).ceil().max(1.0);
    let ticks = (0..MOST_TICKS)
        .map(|index| step.mul_add(index as f64, first))
        .filter(|power| *power <= last)
        .map(|power| (power, power_label(power)))
        .collect();
    // A little room, so that markers at the ends do not sit on the frame.
    let room = (last - first) * 0.04;
    Axis {
        title: title.to_owned(),
        low: first - room,
        high: last + room,
        ticks,
    }
}

/// Coordinate of a count on a log2 axis; zero is drawn as one.
#[must_use]
pub fn log2(count: u64) -> f64 {
    (count.max(1) as f64).log2()
}

fn power_label(power: f64) -> String {
    let mut count = Some(1u64);
    let mut left = power;
    while left >= 1.0 {
        count = count.and_then(|count| count.checked_mul(2));
        left -= 1.0;
    }
    count.map_or_else(|| format!("2^{power:.0}"), short_count)
}

/// A logarithmic axis to base 10 with ticks at 1, 2 and 5 times powers of ten, or at powers only where there are many.
#[must_use]
pub fn log10_axis(title: &str, values: impl IntoIterator<Item = f64>) -> Axis {
    let positive = values
        .into_iter()
        .filter(|value| *value > 0.0 && value.is_finite())
        .map(f64::log10);
    let (low, high) = bounds(positive).unwrap_or((0.0, 1.0));
    // At least a factor of 2 is shown, so that noise does not look like a cliff.
    let missing = (0.301 - (high - low)).max(0.0);
    let room = ((high - low) * 0.06).max(0.02);
    let (low, high) = (low - missing / 2.0 - room, high + missing / 2.0 + room);
    let candidates: [&[f64]; 4] = [
        &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        &[1.0, 2.0, 3.0, 5.0, 7.0],
        &[1.0, 2.0, 5.0],
        &[1.0],
    ];
    let fitting = candidates
        .iter()
        .map(|digits| decade_ticks(low, high, digits))
        .find(|ticks| ticks.len() <= MOST_TICKS)
        .unwrap_or_else(|| thinned(decade_ticks(low, high, &[1.0])));
    Axis {
        title: title.to_owned(),
        low,
        high,
        ticks: fitting,
    }
}

fn decade_ticks(low: f64, high: f64, multiples: &[f64]) -> Vec<(f64, String)> {
    let mut ticks = Vec::new();
    let mut decade = low.floor();
    while decade <= high {
        for multiple in multiples {
            let place = decade + multiple.log10();
            if place >= low && place <= high {
                ticks.push((place, short_number(10f64.powf(place))));
            }
        }
        decade += 1.0;
    }
    ticks
}

fn thinned(ticks: Vec<(f64, String)>) -> Vec<(f64, String)> {
    let step = ticks.len().div_ceil(MOST_TICKS).max(1);
    ticks.into_iter().step_by(step).collect()
}

/// A linear axis from zero.
#[must_use]
pub fn linear_axis(title: &str, values: impl IntoIterator<Item = f64>) -> Axis {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let most = finite.fold(0.0, f64::max);
    let most = if most > 0.0 { most } else { 1.0 };
    let raw = most / 4.0;
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|multiple| multiple * magnitude)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(raw);
    let high = most * 1.05;
    let ticks = (0..MOST_TICKS)
        .map(|index| step * index as f64)
        .filter(|value| *value <= high)
        .map(|value| (value, short_number(value)))
        .collect();
    Axis {
        title: title.to_owned(),
        low: 0.0,
        high,
        ticks,
    }
}

/// The percentile axis of a latency plot: coordinate is the number of nines, so that each tenfold rarer event takes
/// equal room. `batches` bounds how far it reaches: of 1000 values there is no 99.99th percentile.
#[must_use]
pub fn percentile_axis(title: &str, batches: u64) -> Axis {
    let high = nines(batches.saturating_sub(1), batches).max(1.0);
    let all = [
        (0.0, "0"),
        (0.5f64.log10().abs(), "50"),
        (1.0, "90"),
        (2.0, "99"),
        (3.0, "99.9"),
        (4.0, "99.99"),
        (5.0, "99.999"),
    ];
    let ticks = all
        .into_iter()
        .filter(|(place, _)| *place <= high)
        .map(|(p, label)| (p, label.to_owned()))
        .collect();
    Axis {
        title: title.to_owned(),
        low: 0.0,
        high: high * 1.02,
        ticks,
    }
}

/// Number of nines of the fraction `below` / `all`: 0.99 has two.
#[must_use]
pub fn nines(below: u64, all: u64) -> f64 {
    let above = all.saturating_sub(below).max(1);
    (all.max(1) as f64 / above as f64).log10()
}

/// Nanoseconds as tick labels want them: short.
#[must_use]
pub fn nanoseconds(value: f64) -> String {
    for (unit, suffix) in [(1e9, "s"), (1e6, "ms"), (1e3, "µs")] {
        if value >= unit * 0.9995 {
            return format!("{}{suffix}", short_number(value / unit));
        }
    }
    if value >= 1.0 {
        format!("{}ns", short_number(value))
    } else {
        format!("{}ns", digits(value))
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |held, value| match held {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn connections_are_whole_powers() {
        let axis = log2_axis("connections", &[1 << 10, 1 << 22]);
        assert_eq!(
            labels(&axis),
            ["1Ki", "4Ki", "16Ki", "64Ki", "256Ki", "1Mi", "4Mi"]
        );
        assert_eq!(labels(&log2_axis("threads", &[1, 2])), ["1", "2"]);
        assert_eq!(labels(&log2_axis("", &[])), ["1", "2"]);
    }

    #[test]
    fn decades() {
        assert_eq!(labels(&log10_axis("", [1.0, 1000.0])), ["1", "10", "100", "1k"]);
        assert_eq!(
            labels(&log10_axis("", [10.0, 40.0])),
            ["10", "15", "20", "30", "40"]
        );
    }

    #[test]
    fn a_narrow_wide_axis_keeps_decades() {
        let mut wide = log10_axis("", [1.5, 120.0]);
        wide.keep_decades();
        assert_eq!(labels(&wide), ["10", "100"]);
        let mut narrow = log10_axis("", [10.0, 40.0]);
        let before = narrow.clone();
        narrow.keep_decades();
        assert_eq!(narrow, before);
    }

    #[test]
    fn linear_begins_at_zero() {
        assert_eq!(labels(&linear_axis("", [180.0, 90.0])), ["0", "50", "100", "150"]);
        assert_eq!(linear_axis("", []).low, 0.0);
    }

    #[test]
    fn percentiles_reach_as_far_as_there_are_batches() {
        assert_eq!(
            labels(&percentile_axis("", 1000)),
            ["0", "50", "90", "99", "99.9"]
        );
        assert_eq!(labels(&percentile_axis("", 0)), ["0", "50", "90"]);
        assert!((nines(99, 100) - 2.0).abs() < 1e-12);
        assert_eq!(nanoseconds(1500.0), "1.5µs");
    }

    proptest! {
        #[test]
        fn any_values_give_a_finite_axis_that_holds_them(values in prop::collection::vec(any::<u64>(), 0..8)) {
            let floats: Vec<f64> = values.iter().map(|&v| v as f64).collect();
            for axis in [
                log2_axis("", &values),
                log10_axis("", floats.iter().copied()),
                linear_axis("", floats.iter().copied()),
                percentile_axis("", values.first().copied().unwrap_or(0)),
            ] {
                prop_assert!(axis.low.is_finite() && axis.high.is_finite() && axis.low < axis.high);
                prop_assert!(axis.ticks.len() <= MOST_TICKS);
                prop_assert!(axis.ticks.iter().all(|(place, _)| *place >= axis.low && *place <= axis.high));
            }
            let axis = log2_axis("", &values);
            prop_assert!(values.iter().all(|&v| log2(v) >= axis.low && log2(v) <= axis.high));
        }
    }
}
