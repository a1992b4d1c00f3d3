//! `doctor`: what this machine offers, and what will disturb measurements on it.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::machine::{line, passport};
use crate::measure::clock;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Note,
    Warn,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    what: &'static str,
    found: String,
    advice: &'static str,
}

fn finding(what: &'static str, found: impl Into<String>, level: Level, advice: &'static str) -> Finding {
    let advice = if level == Level::Ok { "" } else { advice };
    Finding {
        level,
        what,
        found: found.into(),
        advice,
    }
}

/// Examines the machine.
///
/// # Errors
/// Only where stdout fails: every finding is an answer, and the exit status is 0.
pub fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let machine = passport();
    let findings = examine(&machine);
    if args.json {
        super::print_json(&serde_json::json!({ "machine": machine, "findings": findings }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = describe(&machine)?;
    writeln!(text, "\nWhat will disturb measurements")?;
    for Finding {
        level,
        what,
        found,
        advice,
    } in &findings
    {
        let mark = match level {
            Level::Ok => "ok  ",
            Level::Note => "note",
            Level::Warn => "WARN",
        };
        writeln!(text, "  {mark}  {what}: {found}")?;
        if !advice.is_empty() {
            writeln!(text, "        {advice}")?;
        }
    }
    let warnings = findings.iter().filter(|f| f.level == Level::Warn).count();
    writeln!(
        text,
        "\n{warnings} warnings. Ratios within one run withstand most of these, times do not."
    )?;
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(machine: &reports::Machine) -> Result<String> {
    let mut text = String::from("This machine\n");
    let mut row = |name: &str, value: String| writeln!(text, "  {name:<12} {value}");
    let bytes =
        |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), |b| format!("{} KiB", b >> 10));
    row("cpu", format!("{}, {} CPUs", machine.cpu, machine.cpus))?;
    row(
        "caches",
        format!(
            "L1d {}, L2 {}, L3 {}",
            bytes(machine.l1d_bytes),
            bytes(machine.l2_bytes),
            bytes(machine.l3_bytes)
        ),
    )?;
    row("memory", format!("{} MiB", machine.memory_bytes >> 20))?;
    row("kernel", machine.kernel.clone())?;
    let clock = clock::facts();
    row(
        "clock",
        format!(
            "{}.{} ns a reading, smallest step {} ns",
            clock.cost_ps / 1000,
            clock.cost_ps % 1000 / 100,
            clock.resolution_ns
        ),
    )?;
    Ok(text)
}

fn examine(machine: &reports::Machine) -> Vec<Finding> {
    vec![
        build(),
        frequency(machine),
        smt(machine),
        hypervisor(machine),
        load(machine.cpus),
        jitter(),
        thp(machine),
        clocksource(),
        cores(machine.cpus),
        performance_counters(),
        tool(
            "valgrind",
            "instruction counts need it: apt-get install valgrind, then `just instructions`",
        ),
        tool(
            "chromium",
            "the report's browser test needs it: apt-get install chromium",
        ),
    ]
}

fn build() -> Finding {
    let optimised = !cfg!(debug_assertions);
    let (found, level) = if optimised {
        ("release", Level::Ok)
    } else {
        ("debug", Level::Warn)
    };
    finding(
        "build",
        found,
        level,
        "numbers of a debug build mean nothing: cargo run --release -- bench",
    )
}

fn frequency(machine: &reports::Machine) -> Finding {
    match machine.governor.as_deref() {
        Some("performance") => finding("frequency", "governor performance", Level::Ok, ""),
        Some(other) => finding(
            "frequency",
            format!("governor {other}"),
            Level::Warn,
            "the clock rate follows the load: as root, cpupower frequency-set -g performance",
        ),
        None => finding(
            "frequency",
            "no governor is shown",
            Level::Note,
            "a virtual machine's host decides; it may vary unseen",
        ),
    }
}

fn smt(machine: &reports::Machine) -> Finding {
    match machine.smt {
        Some(false) => finding("SMT", "off", Level::Ok, ""),
        Some(true) => finding(
            "SMT",
            "on",
            Level::Warn,
            "two threads of a core share its caches: pin to one of each pair, or switch it off",
        ),
        None => finding(
            "SMT",
            "unknown",
            Level::Note,
            "in a virtual machine two CPUs may be one core",
        ),
    }
}

fn hypervisor(machine: &reports::Machine) -> Finding {
    match &machine.hypervisor {
        None => finding("hypervisor", "none", Level::Ok, ""),
        Some(name) => finding(
            "hypervisor",
            name.clone(),
            Level::Warn,
            "neighbours share caches and memory: never quote absolute times from here",
        ),
    }
}

fn load(cpus: u32) -> Finding {
    let average = line("/proc/loadavg").and_then(|l| l.split(' ').next().and_then(|n| n.parse::<f64>().ok()));
    let Some(average) = average else {
        return finding("load", "unknown", Level::Note, "close what else is running");
    };
    // A tenth of the machine busy with something else shows in percentiles.
    let level = if average > 0.1 * f64::from(cpus) {
        Level::Warn
    } else {
        Level::Ok
    };
    finding(
        "load",
        format!("{average:.2} on {cpus} CPUs"),
        level,
        "something else is running: stop it, or expect wide intervals",
    )
}

/// How long `jitter` watches, nanoseconds.
const WATCH_NS: u64 = 500_000_000;
/// A gap between two clock readings that a running program does not explain, nanoseconds.
const GAP_NS: u64 = 5_000;

/// Reads the clock in a row: every gap is time that somebody else took.
fn jitter() -> Finding {
    let start = clock::now();
    let (mut last, mut stolen, mut worst) = (start, 0, 0);
    loop {
        let now = clock::now();
        let gap = now.nanoseconds_since(last);
        if gap > GAP_NS {
            stolen += gap;
            worst = worst.max(gap);
        }
        last = now;
        if now.nanoseconds_since(start) > WATCH_NS {
            break;
        }
    }
    let share = stolen as f64 / WATCH_NS as f64 * 100.0;
    let found = format!(
        "{share:.2} % of the time taken by others, {} us at most",
        worst / 1000
    );
    let level = if share > 1.0 { Level::Warn } else { Level::Ok };
    finding(
        "interruptions",
        found,
        level,
        "p99.9 and max will show these: look at p50, or use a quieter machine",
    )
}

fn thp(machine: &reports::Machine) -> Finding {
    match machine.thp.as_deref() {
        Some("always") => finding(
            "huge pages",
            "always",
            Level::Note,
            "large tables get huge pages when the kernel finds some: runs may differ",
        ),
        Some(mode) => finding("huge pages", mode.to_owned(), Level::Ok, ""),
        None => finding("huge pages", "unknown", Level::Note, "runs may differ"),
    }
}

fn clocksource() -> Finding {
    let source = line("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    match source.as_deref() {
        Some(name @ ("tsc" | "kvm-clock" | "arch_sys_counter")) => {
            finding("clock source", name.to_owned(), Level::Ok, "")
        }
        Some(name) => finding(
            "clock source",
            name.to_owned(),
            Level::Warn,
            "reading the clock is a system call here: p50 of small tables suffers",
        ),
        None => finding(
            "clock source",
            "unknown",
            Level::Note,
            "see the clock's cost above",
        ),
    }
}

fn cores(cpus: u32) -> Finding {
    let level = if cpus < 4 { Level::Note } else { Level::Ok };
    finding(
        "CPUs",
        cpus.to_string(),
        level,
        "thread scaling beyond these cannot be seen here",
    )
}

fn performance_counters() -> Finding {
    let paranoid = line("/proc/sys/kernel/perf_event_paranoid");
    let devices = Path::new("/sys/bus/event_source/devices/cpu").exists();
    match (devices, paranoid.and_then(|p| p.parse::<i32>().ok())) {
        (true, Some(level)) if level <= 2 => finding("hardware counters", "available", Level::Ok, ""),
        (true, _) => finding(
            "hardware counters",
            "forbidden",
            Level::Note,
            "as root: sysctl kernel.perf_event_paranoid=2",
        ),
        (false, _) => finding(
            "hardware counters",
            "none",
            Level::Note,
            "this (virtual) machine shows none; instruction counts come from valgrind",
        ),
    }
}

fn tool(name: &'static str, advice: &'static str) -> Finding {
    let found = Command::new(name)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match found {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()
                .unwrap_or("found")
                .trim()
                .to_owned();
            finding(name, version, Level::Ok, "")
        }
        _ => finding(name, "not found", Level::Note, advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_warning_comes_with_advice() {
        for finding in examine(&passport()) {
            assert!(
                finding.level == Level::Ok || !finding.advice.is_empty(),
                "{}",
                finding.what
            );
        }
    }
}
