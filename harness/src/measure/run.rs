//! One run of one cell.

use std::sync::atomic::{AtomicUsize, Ordering};

use reports::{ClockFacts, Measurement, MemoryFacts};
use structures::{Counters, FlowHandle, FlowTable, Sizing};
use workloads::{OpKind, Trace};

use super::check::{self, Verdict, WrongAnswer};
use super::memory::Account;
use super::unroll::{ThreadScript, unroll};
use super::worker::{self, LookupMode, ThreadLog};
use super::{BURST, BURST_U32, clock};
use crate::registry::PrefixAccess;
use crate::sys;

/// What to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// The workload.
    pub trace: &'a Trace,
    /// Threads in the timed span.
    pub threads: usize,
    /// How lookups are handed over.
    pub mode: LookupMode,
    /// Cores to pin threads to, or none.
    pub cores: Vec<core_affinity::CoreId>,
}

/// Why a run has no number.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The table could not be built.
    #[error("the table cannot be built: {0}")]
    Build(#[from] structures::BuildError),
    /// A wrong answer.
    #[error("{0}")]
    Wrong(#[from] WrongAnswer),
    /// The job asks for what the trace does not allow.
    #[error(
        "{threads} threads asked for, but the workload's operations depend on one another across connections: run it with 1"
    )]
    NotPartitionable {
        /// Threads asked for.
        threads: usize,
    },
}

/// Builds the table, fills it, runs the timed span, checks every answer.
///
/// # Errors
/// [`RunError`]: a number is only returned where every answer was right.
pub fn run<T: FlowTable, P: PrefixAccess<T>>(
    job: &Job<'_>,
    options: &T::Options,
) -> Result<Measurement, RunError> {
    let trace = job.trace;
    if job.threads > 1 && !trace.is_partitionable() {
        return Err(RunError::NotPartitionable { threads: job.threads });
    }
    let prefill = unroll(trace, &trace.prefill, 1).remove(0);
    let scripts = unroll(trace, &trace.ops, job.threads);
    let mut logs: Vec<ThreadLog> = scripts
        .iter()
        .map(|script| ThreadLog::for_script(script, trace.evict_when_full))
        .collect();
    let mut prefill_log = ThreadLog::for_script(&prefill, trace.evict_when_full);
    let clock_facts = clock::facts();
    pin(job, 0);

    // Whether or not the allocator could purge, the account below starts from here.
    let _ = sys::purge_allocator();
    let before = Account::now();
    let sizing = Sizing {
        max_connections: trace.max_connections,
        evict_when_full: trace.evict_when_full,
        seed: trace.seed,
    };
    let table = T::new(&sizing, options)?;
    let empty = Account::now().since(before);
    insert_prefixes::<T, P>(&table, trace);
    let prefill_ns = fill::<T, P>(&table, &prefill, &mut prefill_log);
    let filled = Account::now().since(before);
    let memory = MemoryFacts {
        empty_bytes: empty.allocated,
        filled_bytes: filled.allocated,
        resident_bytes: filled.resident,
        own_bytes: table.memory_bytes() as u64,
        connections: table.len() as u64,
    };

    let counters = timed::<T, P>(job, &table, &scripts, &mut logs);
    let swept = table.handle().expire(trace.end_time()) as u64;
    let checked = if T::INFO.answers {
        check::prefill(trace, &prefill, &prefill_log)?;
        check::answers(trace, &scripts, &logs, swept, table.len() as u64)?
    } else {
        Verdict::default()
    };
    Ok(assemble(
        trace,
        &logs,
        prefill_ns,
        &prefill,
        clock_facts,
        memory,
        checked,
        counters,
    ))
}

fn pin(job: &Job<'_>, thread: usize) {
    if let Some(core) = job.cores.get(thread % job.cores.len().max(1)) {
        core_affinity::set_for_current(*core);
    }
}

fn insert_prefixes<T: FlowTable, P: PrefixAccess<T>>(table: &T, trace: &Trace) {
    let mut handle = table.handle();
    for (prefix, policy) in &trace.prefixes {
        P::insert_prefix(&mut handle, prefix, *policy);
    }
}

/// Inserts the prefill with one thread; nanoseconds.
fn fill<T: FlowTable, P: PrefixAccess<T>>(table: &T, prefill: &ThreadScript, log: &mut ThreadLog) -> u64 {
    let mut handle = table.handle();
    worker::run::<T, P>(&mut handle, prefill, LookupMode::Single, log);
    log.end.nanoseconds_since(log.start)
}

/// The timed span: all threads start together, each runs its script.
fn timed<T: FlowTable, P: PrefixAccess<T>>(
    job: &Job<'_>,
    table: &T,
    scripts: &[ThreadScript],
    logs: &mut [ThreadLog],
) -> Counters {
    let gate = AtomicUsize::new(scripts.len());
    let body = |thread: usize, script: &ThreadScript, log: &mut ThreadLog| {
        pin(job, thread);
        let mut handle = table.handle();
        // AcqRel: only the count matters; everything shared was made before the threads were.
        gate.fetch_sub(1, Ordering::AcqRel);
        // Acquire: pairs with the decrements above. A spinning gate starts threads within a cache miss of each other; a
        // sleeping barrier would be tens of microseconds apart.
        while gate.load(Ordering::Acquire) != 0 {
            std::hint::spin_loop();
        }
        worker::run::<T, P>(&mut handle, script, job.mode, log);
        handle.counters()
    };
    if let ([script], [log]) = (scripts, &mut *logs) {
        return body(0, script, log);
    }
    std::thread::scope(|scope| {
        let body = &body;
        let threads: Vec<_> = scripts
            .iter()
            .zip(logs)
            .enumerate()
            .map(|(thread, (script, log))| scope.spawn(move || body(thread, script, log)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .fold(Counters::default(), Counters::merged)
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call, which gathers what the phases produced"
)]
fn assemble(
    trace: &Trace,
    logs: &[ThreadLog],
    prefill_ns: u64,
    prefill: &ThreadScript,
    clock: ClockFacts,
    memory: MemoryFacts,
    checked: Verdict,
    counters: Counters,
) -> Measurement {
    let start = logs.iter().map(|log| log.start).min();
    let end = logs.iter().map(|log| log.end).max();
    let wall_ns = start
        .zip(end)
        .map_or(0, |(start, end)| end.nanoseconds_since(start));
    let worst = logs.iter().flat_map(|log| &log.burst_ns).max();
    Measurement {
        ops: trace.ops.len() as u64,
        packets: trace.ops.iter().filter(|op| op.kind != OpKind::Expire).count() as u64,
        wall_ns,
        prefill_ns,
        prefill_connections: prefill.replies.len() as u64,
        burst: BURST_U32,
        batch_ns: histogram(logs),
        worst_batch_ns: worst.copied().unwrap_or(0).into(),
        clock,
        memory,
        answers: checked.totals,
        timeline: checked.timeline,
        counters: counters
            .named()
            .filter(|(_, count)| *count > 0)
            .map(|(n, c)| (n.to_owned(), c))
            .collect(),
    }
}

/// Significant decimal digits of burst durations in records: 0.1 % is below the noise of any machine.
const HISTOGRAM_DIGITS: u32 = 3;

/// Burst durations with their counts, ascending. The last burst of a thread is left out where it is not full.
fn histogram(logs: &[ThreadLog]) -> Vec<(u64, u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for log in logs {
        let full = log.outcomes.len() / BURST;
        let bursts = if full == 0 {
            &log.burst_ns[..]
        } else {
            &log.burst_ns[..full]
        };
        for ns in bursts {
            *counts.entry(rounded(u64::from(*ns))).or_insert(0) += 1;
        }
    }
    counts.into_iter().collect()
}

/// `ns` rounded to [`HISTOGRAM_DIGITS`] significant digits.
fn rounded(ns: u64) -> u64 {
    let digits = ns.checked_ilog10().unwrap_or(0) + 1;
    let step = 10u64.pow(digits.saturating_sub(HISTOGRAM_DIGITS));
    (ns + step / 2) / step * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits() {
        assert_eq!(rounded(0), 0);
        assert_eq!(rounded(7), 7);
        assert_eq!(rounded(999), 999);
        assert_eq!(rounded(1234), 1230);
        assert_eq!(rounded(1235), 1240);
        assert_eq!(rounded(99_950), 100_000);
    }
}
