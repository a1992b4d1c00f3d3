//! Confidence intervals over rounds.
//!
//! Times and throughputs are positive and their noise is multiplicative (a disturbed round is some percent slower, not
//! some nanoseconds), so intervals are made on logarithms: mean of the logs plus or minus Student's quantile times the
//! standard error, then back through `exp`. Such an interval never reaches zero, and that of `1 / x` is the mirror of
//! that of `x`.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::center::{logarithms, mean, sample_deviation};

/// Two-sided confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// Fewest rounds that give an interval. With two, Student's quantile is 12.7: an interval that says nothing, from a
/// deviation that is one difference. Below this the answer is "too few", never "no difference".
pub const MIN_ROUNDS: usize = 3;

/// A two-sided interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies inside, ends included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Half of the width, relative to `center`: the figure behind a plus-minus sign.
    #[must_use]
    pub fn relative_half_width(&self, center: f64) -> f64 {
        if center > 0.0 {
            (self.high - self.low) / (2.0 * center)
        } else {
            0.0
        }
    }

    /// The same interval of the reciprocal.
    #[must_use]
    pub fn reciprocal(&self) -> Self {
        Self {
            low: 1.0 / self.high,
            high: 1.0 / self.low,
        }
    }

    /// The interval of a positive quantity times `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            low: self.low * factor,
            high: self.high * factor,
        }
    }
}

/// Student's two-sided quantile: the t for which a sample of `degrees` degrees of freedom stays within ±t with
/// probability `confidence`. `None` for zero degrees or a confidence outside (0, 1).
#[must_use]
pub fn student_quantile(degrees: f64, confidence: f64) -> Option<f64> {
    if !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let distribution = StudentsT::new(0.0, 1.0, degrees).ok()?;
    Some(distribution.inverse_cdf(f64::midpoint(1.0, confidence)))
}

/// Interval of the central value of a positive quantity, from one number per round; `None` below [`MIN_ROUNDS`] or
/// where a number is not positive.
#[must_use]
pub fn log_interval(rounds: &[f64]) -> Option<Interval> {
    interval_of_logs(&logarithms(rounds)?)
}

/// As [`log_interval`], of numbers that are logarithms already.
pub(crate) fn interval_of_logs(logs: &[f64]) -> Option<Interval> {
    if logs.len() < MIN_ROUNDS {
        return None;
    }
    let count = logs.len() as f64;
    let center = mean(logs)?;
    let error = sample_deviation(logs)? / count.sqrt();
    around(center, error, count - 1.0)
}

/// `exp` of `center` ± t * `error`.
pub(crate) fn around(center: f64, error: f64, degrees: f64) -> Option<Interval> {
    let reach = student_quantile(degrees, CONFIDENCE)? * error;
    let interval = Interval {
        low: (center - reach).exp(),
        high: (center + reach).exp(),
    };
    (interval.low.is_finite() && interval.high.is_finite()).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2, column 0.975.
    #[test]
    fn student_quantiles_are_those_of_the_handbook() {
        for (degrees, expected) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (3.0, 3.182),
            (4.0, 2.776),
            (9.0, 2.262),
            (10.0, 2.228),
            (30.0, 2.042),
            (100.0, 1.984),
        ] {
            let computed = student_quantile(degrees, 0.95).unwrap();
            assert!(
                (computed - expected).abs() < 6e-4,
                "{degrees} degrees: {computed}, not {expected}"
            );
        }
    }

    /// With one degree of freedom Student's distribution is Cauchy's, whose quantile is a tangent.
    #[test]
    fn one_degree_is_cauchy() {
        let exact = (std::f64::consts::PI * 0.475).tan();
        assert!((student_quantile(1.0, 0.95).unwrap() - exact).abs() < 1e-6 * exact);
    }

    #[test]
    fn quantile_outside_its_domain_is_none() {
        assert_eq!(student_quantile(0.0, 0.95), None);
        assert_eq!(student_quantile(4.0, 1.0), None);
        assert_eq!(student_quantile(4.0, f64::NAN), None);
    }

    #[test]
    fn too_few_rounds_give_no_interval() {
        assert_eq!(log_interval(&[]), None);
        assert_eq!(log_interval(&[1.0]), None);
        assert_eq!(log_interval(&[1.0, 2.0]), None);
        assert!(log_interval(&[1.0, 2.0, 3.0]).is_some());
    }

    #[test]
    fn equal_rounds_give_a_point() {
        let interval = log_interval(&[8.0; 5]).unwrap();
        assert!((interval.low - 8.0).abs() < 1e-9 && (interval.high - 8.0).abs() < 1e-9);
    }

    /// Logs 0, 1, 2: mean 1, deviation 1, standard error 1/sqrt(3), t(2) = 4.303.
    #[test]
    fn known_interval() {
        let e = std::f64::consts::E;
        let interval = log_interval(&[1.0, e, e * e]).unwrap();
        let reach = 4.302_653 / 3.0f64.sqrt();
        assert!((interval.low.ln() - (1.0 - reach)).abs() < 1e-5);
        assert!((interval.high.ln() - (1.0 + reach)).abs() < 1e-5);
    }

    #[test]
    fn interval_of_reciprocals_is_the_reciprocal_interval() {
        let rounds = [3.0, 4.0, 5.5, 4.2];
        let inverse: Vec<f64> = rounds.iter().map(|value| 1.0 / value).collect();
        let direct = log_interval(&inverse).unwrap();
        let mirrored = log_interval(&rounds).unwrap().reciprocal();
        assert!((direct.low - mirrored.low).abs() < 1e-12 && (direct.high - mirrored.high).abs() < 1e-12);
    }

    #[test]
    fn zero_and_negative_rounds_give_none() {
        assert_eq!(log_interval(&[1.0, 0.0, 2.0]), None);
        assert_eq!(log_interval(&[1.0, -1.0, 2.0]), None);
    }

    /// A 95% interval made from lognormal samples holds the true centre in about 95% of experiments. Samples come from
    /// a fixed generator, so the count is the same on every run.
    #[test]
    fn coverage_is_about_what_is_claimed() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        let experiments = 4000;
        let mut covered = 0;
        for _ in 0..experiments {
            let rounds: Vec<f64> = (0..5)
                .map(|_| {
                    let radius = (-2.0 * uniform().ln()).sqrt();
                    (0.1 * radius * (std::f64::consts::TAU * uniform()).cos()).exp()
                })
                .collect();
            covered += u32::from(log_interval(&rounds).unwrap().contains(1.0));
        }
        let share = f64::from(covered) / f64::from(experiments);
        assert!((0.935..0.965).contains(&share), "covered {share}");
    }
}
