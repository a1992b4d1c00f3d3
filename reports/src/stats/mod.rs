//! Statistics: pure functions over slices. Nothing here reads a clock, a file or a random number.
//!
//! The unit of replication is the **round**: a fresh process that builds the table and runs the whole trace. Batches
//! within a round share an address-space layout, a frequency history and a warm cache, so they correlate; counting them
//! as independent would make every interval far too narrow. Batches give the shape of a distribution, rounds
//! give its uncertainty.

pub mod center;
pub mod histogram;
pub mod interval;
pub mod ratio;

pub use center::{coefficient_of_variation, geometric_mean, mean, median, sample_deviation};
pub use histogram::{Quantile, merge, quantile, total};
pub use interval::{CONFIDENCE, Interval, MIN_ROUNDS, log_interval, student_quantile};
pub use ratio::{Ratio, RatioMethod, ratio};
