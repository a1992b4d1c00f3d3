//! The plots of the report: which cells go into which panel, and the words and numbers beside them.

mod flood;
mod harness;
mod latency;
pub(super) mod memory;
mod threads;
mod throughput;

use crate::plot::PlotError;
use crate::summary::Estimate;
use crate::units::digits;

use super::context::Context;
use super::view::Figure;

/// All figures that the records allow.
pub(super) fn all(context: &Context<'_>) -> Result<Vec<Figure>, PlotError> {
    let mut figures = Vec::new();
    figures.extend(throughput::figure(context)?);
    figures.extend(latency::figure(context)?);
    figures.extend(memory::figure(context)?);
    figures.extend(threads::figure(context)?);
    figures.extend(flood::figures(context)?);
    figures.extend(harness::figure(context)?);
    Ok(figures)
}

/// Packets per second as millions.
fn mpps(packets_per_s: f64) -> f64 {
    packets_per_s / 1e6
}

/// `40.1 to 41.3`, or `too few rounds`.
fn interval_text(estimate: &Estimate, unit: f64) -> String {
    match estimate.interval {
        Some(interval) => format!(
            "{} to {}",
            digits(interval.low / unit),
            digits(interval.high / unit)
        ),
        None => "too few rounds".to_owned(),
    }
}

/// `1.2%`, or a dash.
fn spread_text(estimate: &Estimate) -> String {
    estimate
        .spread
        .map_or_else(|| "—".to_owned(), |spread| format!("{:.1}%", 100.0 * spread))
}
