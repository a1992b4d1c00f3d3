//! What the rounds of one cell come to.

use serde::Serialize;

use super::harm::Harm;
use crate::record::{Cell, ErrorKind, Measurement, Outcome, Record, TimelinePoint, TraceFacts};
use crate::stats::{
    Interval, Quantile, coefficient_of_variation, log_interval, median, merge, quantile, total,
};
use crate::units::clean;

/// A quantity over rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Median over rounds.
    pub median: f64,
    /// 95% interval over rounds; `None`: too few.
    pub interval: Option<Interval>,
    /// Coefficient of variation over rounds; `None` below two.
    pub spread: Option<f64>,
    /// How many rounds.
    pub rounds: usize,
}

impl Estimate {
    /// `None` where there is no number, or one that is not positive.
    #[must_use]
    pub fn of(rounds: &[f64]) -> Option<Self> {
        if rounds.iter().any(|value| !(*value > 0.0 && value.is_finite())) {
            return None;
        }
        Some(Self {
            median: median(rounds)?,
            interval: log_interval(rounds),
            spread: coefficient_of_variation(rounds),
            rounds: rounds.len(),
        })
    }
}

/// One good round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    /// Its number.
    pub round: u32,
    /// Packets of all threads over wall time.
    pub packets_per_s: f64,
    /// Wall time times threads over packets: what one thread spends on one packet.
    pub ns_per_packet: f64,
    /// 99th percentile of its bursts over the burst size; `None` without bursts.
    pub p99_ns: Option<f64>,
}

/// Distribution of burst times divided by the burst size, over all rounds' batches together: **each value is a
/// mean over one burst**, a single slow packet shows with a fraction of its delay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// Operations per timed burst.
    pub burst: u32,
    /// Bursts timed.
    pub batches: u64,
    /// Median, nanoseconds per packet.
    pub p50_ns: f64,
    /// 90th percentile.
    pub p90_ns: f64,
    /// 99th percentile.
    pub p99_ns: f64,
    /// 99.9th percentile.
    pub p999_ns: f64,
    /// The slowest burst of all rounds and threads.
    pub max_ns: f64,
    /// 99th percentile of each round: lowest and highest.
    pub p99_rounds_ns: (f64, f64),
}

/// Bytes per connection in the filled table; medians over rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryPerConnection {
    /// Connections present.
    pub connections: u64,
    /// All the allocator had handed out for the filled table, its preallocation included, over connections.
    pub allocated: f64,
    /// Of that, what it had handed out for the empty table.
    pub preallocated: f64,
    /// Resident (touched) bytes over connections.
    pub resident: f64,
    /// The table's own count over connections.
    pub own: f64,
}

/// The numbers of a cell whose rounds were all good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Its rounds, in order.
    pub rounds: Vec<Round>,
    /// Packets per second, all threads together.
    pub packets_per_s: Estimate,
    /// Nanoseconds one thread spends on a packet.
    pub ns_per_packet: Estimate,
    /// Latency, where bursts were timed.
    pub latency: Option<Latency>,
    /// Memory, where the table was filled.
    pub memory: Option<MemoryPerConnection>,
    /// Evictions, refusals and what they cost.
    pub harm: Harm,
    /// Reading the clock once, nanoseconds, median over rounds. One reading is shared by a burst.
    pub clock_ns: f64,
    /// What the `null` table takes per packet in the same place: the harness's own cost. Shown beside, never subtracted.
    pub harness_ns_per_packet: Option<f64>,
    /// Bursts of all rounds: (nanoseconds, count).
    #[serde(skip)]
    pub batches: Vec<(u64, u64)>,
    /// What happened over time in the first round that recorded it.
    #[serde(skip)]
    pub timeline: Vec<TimelinePoint>,
}

/// Why a cell has no number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Kind, for a person.
    pub kind: &'static str,
    /// Message of the first round that failed.
    pub message: String,
    /// How many rounds failed.
    pub failed_rounds: usize,
    /// Of how many.
    pub rounds: usize,
}

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CellResult {
    /// Numbers.
    Ok(Box<Figures>),
    /// At least one round failed: no number, however good the others look.
    Failed(Failure),
}

/// One cell, summed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellSummary {
    /// Which.
    pub cell: Cell,
    /// The trace it ran.
    pub trace: TraceFacts,
    /// What came of it.
    pub result: CellResult,
}

impl CellSummary {
    /// Sums up the records of one cell; `None` of no records. The records must be of equal cells.
    #[must_use]
    pub fn of(records: &[&Record]) -> Option<Self> {
        let first = records.first()?;
        let result = match failure(records) {
            Some(failure) => CellResult::Failed(failure),
            None => figures(records).map_or_else(
                || CellResult::Failed(no_packets(records.len())),
                |figures| CellResult::Ok(Box::new(figures)),
            ),
        };
        Some(Self {
            cell: first.cell.clone(),
            trace: first.trace.clone(),
            result,
        })
    }

    /// The numbers, if there are any.
    #[must_use]
    pub fn figures(&self) -> Option<&Figures> {
        match &self.result {
            CellResult::Ok(figures) => Some(figures),
            CellResult::Failed(_) => None,
        }
    }

    /// Why there are no numbers.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &self.result {
            CellResult::Ok(_) => None,
            CellResult::Failed(failure) => Some(failure),
        }
    }
}

/// The kind of an error, for a person.
#[must_use]
pub const fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::WrongAnswer => "wrong answer",
        ErrorKind::Crash => "crash",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Build => "could not be built",
    }
}

fn failure(records: &[&Record]) -> Option<Failure> {
    let mut failures = records.iter().filter_map(|record| match &record.outcome {
        Outcome::Ok(_) => None,
        Outcome::Error { kind, message } => Some((*kind, message)),
    });
    let (kind, message) = failures.next()?;
    Some(Failure {
        kind: kind_name(kind),
        message: clean(message),
        failed_rounds: 1 + failures.count(),
        rounds: records.len(),
    })
}

fn no_packets(rounds: usize) -> Failure {
    Failure {
        kind: "no figure",
        message: "a record counts no packet or no time; run the cell again".into(),
        failed_rounds: rounds,
        rounds,
    }
}

/// `None` if one record has no throughput.
fn figures(records: &[&Record]) -> Option<Figures> {
    let good: Vec<(&Record, &Measurement)> = records
        .iter()
        .filter_map(|record| match &record.outcome {
            Outcome::Ok(measurement) => Some((*record, &**measurement)),
            Outcome::Error { .. } => None,
        })
        .collect();
    let burst = good.first()?.1.burst;
    let mut rounds: Vec<Round> = good
        .iter()
        .map(|(record, measurement)| round(record, measurement))
        .collect();
    rounds.sort_by_key(|round| round.round);
    let column = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
    let measurements: Vec<&Measurement> = good.iter().map(|(_, measurement)| *measurement).collect();
    let clock: Vec<f64> = measurements
        .iter()
        .map(|m| m.clock.cost_ps as f64 / 1000.0)
        .collect();
    Some(Figures {
        packets_per_s: Estimate::of(&column(|round| round.packets_per_s))?,
        ns_per_packet: Estimate::of(&column(|round| round.ns_per_packet))?,
        latency: latency(&measurements, burst, &rounds),
        memory: memory(&measurements),
        harm: Harm::of(&measurements),
        clock_ns: median(&clock).unwrap_or(0.0),
        harness_ns_per_packet: None,
        batches: merge(measurements.iter().map(|m| m.batch_ns.as_slice())),
        timeline: timeline(&measurements),
        rounds,
    })
}

fn round(record: &Record, measurement: &Measurement) -> Round {
    let packets = measurement.packets as f64;
    let wall_ns = measurement.wall_ns as f64;
    let batches = merge([measurement.batch_ns.as_slice()]);
    Round {
        round: record.round,
        // Not positive or not finite where a record counts no packet or no time; Estimate::of refuses those.
        packets_per_s: packets / wall_ns * 1e9,
        ns_per_packet: wall_ns * f64::from(record.cell.threads) / packets,
        p99_ns: quantile(&batches, Quantile::P99).map(|ns| per_packet(ns, measurement.burst)),
    }
}

/// A burst's time over its packets.
fn per_packet(burst_ns: u64, burst: u32) -> f64 {
    burst_ns as f64 / f64::from(burst.max(1))
}

fn latency(measurements: &[&Measurement], burst: u32, rounds: &[Round]) -> Option<Latency> {
    let pooled = merge(measurements.iter().map(|m| m.batch_ns.as_slice()));
    // The exact worst batch where it was kept; the histogram's last bucket is rounded to three digits.
    let worst = measurements
        .iter()
        .map(|m| m.worst_batch_ns)
        .max()
        .filter(|&ns| ns > 0);
    let max = worst.or_else(|| quantile(&pooled, Quantile::MAX))?;
    // A rounded bucket may lie above the exact maximum; a quantile may not.
    let at = |which| quantile(&pooled, which).map(|ns| per_packet(ns.min(max), burst));
    let p99: Vec<f64> = rounds.iter().filter_map(|round| round.p99_ns).collect();
    Some(Latency {
        burst,
        batches: total(&pooled),
        p50_ns: at(Quantile::P50)?,
        p90_ns: at(Quantile::P90)?,
        p99_ns: at(Quantile::P99)?,
        p999_ns: at(Quantile::P999)?,
        max_ns: per_packet(max, burst),
        p99_rounds_ns: (
            p99.iter().copied().fold(f64::INFINITY, f64::min),
            p99.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ),
    })
}

fn memory(measurements: &[&Measurement]) -> Option<MemoryPerConnection> {
    let filled: Vec<_> = measurements
        .iter()
        .map(|m| m.memory)
        .filter(|facts| facts.connections > 0)
        .collect();
    let per_connection = |bytes: fn(&crate::record::MemoryFacts) -> u64| {
        let rounds: Vec<f64> = filled
            .iter()
            .map(|facts| bytes(facts) as f64 / facts.connections as f64)
            .collect();
        median(&rounds)
    };
    Some(MemoryPerConnection {
        connections: filled.iter().map(|facts| facts.connections).max()?,
        allocated: per_connection(|facts| facts.filled_bytes)?,
        preallocated: per_connection(|facts| facts.empty_bytes)?,
        resident: per_connection(|facts| facts.resident_bytes)?,
        own: per_connection(|facts| facts.own_bytes)?,
    })
}

fn timeline(measurements: &[&Measurement]) -> Vec<TimelinePoint> {
    measurements
        .iter()
        .map(|m| &m.timeline)
        .find(|points| !points.is_empty())
        .cloned()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::RunBuilder;

    fn rounds_of(count: u32) -> Vec<Record> {
        RunBuilder::new()
            .tables(&["rcu"])
            .workloads(&["steady"])
            .sizes(&[4096])
            .threads(&[2])
            .rounds(count)
            .build()
    }

    fn sum_up(records: &[Record]) -> CellSummary {
        CellSummary::of(&records.iter().collect::<Vec<_>>()).unwrap()
    }

    fn measurement(record: &mut Record) -> &mut Measurement {
        match &mut record.outcome {
            Outcome::Ok(measurement) => measurement,
            Outcome::Error { .. } => panic!("the builder was not asked for errors"),
        }
    }

    #[test]
    fn throughput_counts_all_threads_and_time_counts_one() {
        let mut records = rounds_of(1);
        let m = measurement(&mut records[0]);
        (m.packets, m.wall_ns) = (2_000_000, 1_000_000_000);
        let summary = sum_up(&records);
        let figures = summary.figures().unwrap();
        assert!((figures.packets_per_s.median - 2e6).abs() < 1e-3);
        assert!((figures.ns_per_packet.median - 1000.0).abs() < 1e-9);
        assert_eq!(figures.packets_per_s.interval, None);
    }

    #[test]
    fn latency_is_burst_time_over_burst_size_and_max_is_exact() {
        let mut records = rounds_of(1);
        let m = measurement(&mut records[0]);
        m.batch_ns = vec![(320, 989), (640, 10), (3200, 1)];
        m.worst_batch_ns = 3199;
        let summary = sum_up(&records);
        let latency = summary.figures().unwrap().latency.clone().unwrap();
        assert_eq!(
            (latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p999_ns),
            (10.0, 10.0, 20.0, 20.0)
        );
        assert_eq!(latency.max_ns, 3199.0 / 32.0);
        assert_eq!((latency.batches, latency.burst), (1000, 32));
    }

    #[test]
    fn no_quantile_lies_above_the_exact_maximum() {
        let mut records = rounds_of(1);
        let m = measurement(&mut records[0]);
        (m.batch_ns, m.worst_batch_ns) = (vec![(3200, 5)], 3199);
        let latency = sum_up(&records).figures().unwrap().latency.clone().unwrap();
        assert!(latency.p50_ns <= latency.max_ns);
    }

    #[test]
    fn the_maximum_is_that_of_the_worst_round() {
        let mut records = rounds_of(3);
        measurement(&mut records[1]).worst_batch_ns = 32_000_000;
        assert_eq!(
            sum_up(&records)
                .figures()
                .unwrap()
                .latency
                .clone()
                .unwrap()
                .max_ns,
            1_000_000.0
        );
    }

    #[test]
    fn memory_includes_the_preallocation() {
        let mut records = rounds_of(1);
        measurement(&mut records[0]).memory = crate::record::MemoryFacts {
            empty_bytes: 1000,
            filled_bytes: 3000,
            resident_bytes: 2500,
            own_bytes: 2900,
            connections: 10,
        };
        let memory = sum_up(&records).figures().unwrap().memory.clone().unwrap();
        assert_eq!(
            (memory.allocated, memory.preallocated, memory.own),
            (300.0, 100.0, 290.0)
        );
    }

    #[test]
    fn one_failed_round_takes_the_number_away() {
        let mut records = rounds_of(5);
        records[3].outcome = Outcome::Error {
            kind: ErrorKind::WrongAnswer,
            message: "op 3\x1b[2J".into(),
        };
        let summary = sum_up(&records);
        assert_eq!(summary.figures(), None);
        let failure = summary.failure().unwrap();
        assert_eq!(
            (failure.kind, failure.failed_rounds, failure.rounds),
            ("wrong answer", 1, 5)
        );
        assert!(!failure.message.contains('\x1b'));
    }

    #[test]
    fn records_without_packets_time_batches_or_memory_do_not_become_infinite() {
        let mut records = rounds_of(2);
        measurement(&mut records[0]).wall_ns = 0;
        assert_eq!(sum_up(&records).failure().unwrap().kind, "no figure");
        let mut records = rounds_of(2);
        measurement(&mut records[1]).packets = 0;
        assert_eq!(sum_up(&records).failure().unwrap().kind, "no figure");
        let mut records = rounds_of(1);
        let m = measurement(&mut records[0]);
        (m.batch_ns, m.worst_batch_ns, m.memory.connections) = (Vec::new(), 0, 0);
        let summary = sum_up(&records);
        let figures = summary.figures().unwrap();
        assert_eq!((&figures.latency, &figures.memory), (&None, &None));
    }

    #[test]
    fn of_no_records_there_is_no_cell() {
        assert_eq!(CellSummary::of(&[]), None);
    }
}
