//! Centre and spread of a few numbers.
//!
//! Every function gives `None` where its value does not exist: no numbers, or numbers outside its domain.

/// Arithmetic mean.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    finite(values.iter().sum::<f64>() / values.len() as f64)
}

/// Median: the middle value, or the mean of the two middle values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else {
        // Halved before the sum, so that two huge values do not overflow.
        Some(sorted[middle - 1] / 2.0 + sorted[middle] / 2.0)
    }
}

/// Geometric mean of positive numbers; `None` if one is not positive and finite.
#[must_use]
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs = logarithms(values)?;
    finite(mean(&logs)?.exp())
}

/// Standard deviation of a sample (divisor n - 1); `None` below two numbers.
#[must_use]
pub fn sample_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let center = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - center).powi(2)).sum();
    finite((squares / (values.len() - 1) as f64).sqrt())
}

/// Spread: sample standard deviation over mean; `None` below two numbers or where the mean is not positive.
#[must_use]
pub fn coefficient_of_variation(values: &[f64]) -> Option<f64> {
    let center = mean(values)?;
    if center <= 0.0 {
        return None;
    }
    finite(sample_deviation(values)? / center)
}

/// Natural logarithms; `None` if one number is not positive and finite.
pub(crate) fn logarithms(values: &[f64]) -> Option<Vec<f64>> {
    values
        .iter()
        .map(|value| (*value > 0.0 && value.is_finite()).then(|| value.ln()))
        .collect()
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_there_is_no_statistic() {
        assert_eq!(mean(&[]), None);
        assert_eq!(median(&[]), None);
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(sample_deviation(&[]), None);
        assert_eq!(coefficient_of_variation(&[]), None);
    }

    #[test]
    fn of_one_number_center_is_that_number_and_spread_does_not_exist() {
        assert_eq!(mean(&[7.0]), Some(7.0));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert!((geometric_mean(&[7.0]).unwrap() - 7.0).abs() < 1e-12);
        assert_eq!(sample_deviation(&[7.0]), None);
        assert_eq!(coefficient_of_variation(&[7.0]), None);
    }

    #[test]
    fn equal_numbers_have_no_spread() {
        assert_eq!(coefficient_of_variation(&[5.0; 9]), Some(0.0));
        assert_eq!(median(&[5.0; 9]), Some(5.0));
    }

    #[test]
    fn known_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert!((geometric_mean(&[1.0, 10.0, 100.0]).unwrap() - 10.0).abs() < 1e-12);
        // Squares of deviations from 5 sum to 32 over eight numbers.
        let sample = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert!((sample_deviation(&sample).unwrap() - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert!((coefficient_of_variation(&sample).unwrap() - (32.0f64 / 7.0).sqrt() / 5.0).abs() < 1e-12);
    }

    #[test]
    fn numbers_outside_the_domain_give_none_and_never_nan() {
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert_eq!(geometric_mean(&[1.0, -1.0]), None);
        assert_eq!(geometric_mean(&[f64::INFINITY]), None);
        assert_eq!(median(&[f64::NAN, 1.0]), None);
        assert_eq!(coefficient_of_variation(&[-1.0, 1.0]), None);
        assert_eq!(median(&[f64::MAX, f64::MAX]), Some(f64::MAX));
    }
}
