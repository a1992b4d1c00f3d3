//! The program as a user meets it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reports::{ErrorKind, Outcome, Record};

fn ctbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ctbench"))
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a small bench into a folder of its own; returns output and records.
fn bench(folder: &Path, arguments: &[&str]) -> (Output, Vec<Record>) {
    let out = folder.to_str().expect("a readable path");
    let mut all = vec!["bench", "--out", out, "--flows", "2^10", "--rounds", "1"];
    all.extend(arguments);
    let output = ctbench(&all);
    let loaded =
        reports::store::read_run(folder).unwrap_or_else(|error| panic!("{error}\n{}", stderr(&output)));
    (output, loaded.records)
}

/// The captures beside the project, where they are.
fn shared() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("CTBENCH_SHARED")
        .map_or(beside, PathBuf::from)
        .join("pcaps");
    if !folder.exists() {
        println!("skipped: no captures in {}; set CTBENCH_SHARED", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn every_command_has_help_with_examples() {
    for command in ["bench", "verify", "list", "report", "doctor"] {
        let output = ctbench(&[command, "--help"]);
        assert!(output.status.success());
        assert!(stdout(&output).contains("Examples:"), "{command}");
    }
    assert!(stdout(&ctbench(&["--help"])).contains("Examples:"));
}

#[test]
fn a_small_bench_writes_records_and_report_and_prints_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let (output, records) = bench(
        folder.path(),
        &["--tables", "rcu,null", "--workloads", "steady", "--threads", "1"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(records.len(), 4, "two tables, single and batched lookups");
    let report = folder.path().join("report.html");
    assert!(report.metadata().unwrap().len() > 10_000);
    assert!(
        stdout(&output).contains(report.to_str().unwrap()),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output)
            .lines()
            .all(|line| line.chars().count() <= 80 || line.contains("/")),
        "{}",
        stdout(&output)
    );
    for record in records {
        let Outcome::Ok(measurement) = record.outcome else {
            panic!("{:?}", record.outcome)
        };
        assert!(measurement.wall_ns > 0 && measurement.ops == record.trace.ops);
        let bursts: u64 = measurement.batch_ns.iter().map(|(_, count)| count).sum();
        assert_eq!(
            bursts,
            measurement.ops / u64::from(measurement.burst),
            "every full burst is in the histogram"
        );
    }
}

#[test]
fn a_table_that_errs_gets_an_error_row_and_no_number() {
    for table in ["faulty-loses-inserts", "faulty-stale-entries"] {
        let folder = tempfile::tempdir().unwrap();
        // 2^15 connections: a fault in one insert of 10,000 must show.
        let arguments = [
            "--tables",
            table,
            "--workloads",
            "churn",
            "--flows",
            "2^15",
            "--threads",
            "1",
            "--json",
        ];
        let (output, records) = bench(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{table}: {}", stderr(&output));
        let wrong: Vec<_> = records
            .iter()
            .filter(|r| {
                matches!(
                    &r.outcome,
                    Outcome::Error {
                        kind: ErrorKind::WrongAnswer,
                        ..
                    }
                )
            })
            .collect();
        assert!(!wrong.is_empty(), "{table}");
        for record in &wrong {
            assert!(
                !records
                    .iter()
                    .any(|r| r.cell == record.cell && matches!(r.outcome, Outcome::Ok(_))),
                "{table}"
            );
        }
        let html = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert!(html.contains("expected"), "the report says what was expected");
    }
}

#[test]
fn faulty_tables_do_not_run_unless_named() {
    let cells = stdout(&ctbench(&[
        "list",
        "cells",
        "--workloads",
        "steady",
        "--flows",
        "2^10",
    ]));
    assert!(
        cells.contains("rcu/steady/2^10/t1/b1") && !cells.contains("faulty"),
        "{cells}"
    );
}

#[test]
fn the_same_seed_gives_the_same_digests_and_answers() {
    let answers = |seed: &str| {
        let folder = tempfile::tempdir().unwrap();
        let (_, records) = bench(
            folder.path(),
            &["--tables", "rcu,std", "--threads", "1", "--seed", seed],
        );
        let mut facts: Vec<_> = records
            .iter()
            .map(|record| match &record.outcome {
                Outcome::Ok(m) => (record.cell.clone(), record.trace.digest.clone(), m.answers),
                Outcome::Error { message, .. } => panic!("{message}"),
            })
            .collect();
        facts.sort_by(|a, b| a.0.cmp(&b.0));
        facts
    };
    let (first, again, other) = (answers("7"), answers("7"), answers("8"));
    assert_eq!(first, again);
    let steady = |facts: &[(reports::Cell, String, reports::AnswerTotals)]| {
        facts
            .iter()
            .find(|f| f.0.workload == "steady")
            .map(|f| f.1.clone())
    };
    assert_ne!(steady(&first), steady(&other), "another seed is another trace");
}

#[test]
fn resume_does_only_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let chosen = ["--tables", "std,null", "--workloads", "steady", "--threads", "1"];
    let (_, records) = bench(folder.path(), &chosen);
    let file = folder.path().join("records.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    // Half of the last line, as a killed writer leaves it.
    let keep = text.trim_end().rfind('\n').unwrap() + 20;
    std::fs::write(&file, &text[..keep]).unwrap();

    let mut with_resume = chosen.to_vec();
    with_resume.push("--resume");
    let (output, resumed) = bench(folder.path(), &with_resume);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(resumed.len(), records.len());
    let unchanged = resumed.iter().filter(|record| records.contains(record)).count();
    assert_eq!(unchanged, records.len() - 1, "only the torn record was run again");

    let output = ctbench(&["bench", "--out", folder.path().to_str().unwrap()]);
    assert_eq!(
        output.status.code(),
        Some(2),
        "records are not overwritten without --resume"
    );
    assert!(stderr(&output).contains("--resume"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_finished_cells_whole() {
    use std::time::Duration;

    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ctbench"))
        .args([
            "bench",
            "--flows",
            "2^12",
            "--tables",
            "std,rcu",
            "--workloads",
            "steady,churn",
            "--rounds",
            "500",
        ])
        .args(["--budget", "0", "--out", folder.path().to_str().unwrap()])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let file = folder.path().join("records.jsonl");
    while std::fs::read_to_string(&file).map_or(0, |text| text.lines().count()) < 5 {
        std::thread::sleep(Duration::from_millis(20));
        assert!(child.try_wait().unwrap().is_none(), "ended by itself");
    }
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let loaded = reports::store::read_run(folder.path()).unwrap();
    assert!(loaded.records.len() >= 5 && loaded.torn.is_none());
    assert!(
        loaded
            .records
            .iter()
            .all(|record| matches!(record.outcome, Outcome::Ok(_))),
        "no cell was broken by it"
    );
    assert!(stderr(&output).contains("--resume"));
    assert!(folder.path().join("report.html").exists());
}

#[test]
fn wrong_usage_is_exit_2_and_says_what_to_do() {
    for (arguments, hint) in [
        (&["bench", "--tables", "nosuch"][..], "there are: chained"),
        (&["bench", "--workloads", "nosuch"], "there are: "),
        (&["bench", "--filter", "("], "regular expression"),
        (&["bench", "--filter", "nothing-matches"], "list cells"),
        (&["bench", "--capture", "/nonexistent.pcap"], "/nonexistent.pcap"),
        (&["report", "/nonexistent"], "/nonexistent"),
        (&["bench", "--flows", "3^7"], "2^20"),
    ] {
        let output = ctbench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            stderr(&output).contains(hint),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn json_is_json() {
    for arguments in [&["list", "--json"][..], &["doctor", "--json"]] {
        let text = stdout(&ctbench(arguments));
        serde_json::from_str::<serde_json::Value>(&text)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    }
}

/// Packets and flows as in the manifest, and all tables agree: every answer is checked against one reference.
#[test]
fn real_captures_are_replayed_alike_by_all_tables() {
    let Some(pcaps) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| pcaps.join(name).to_str().unwrap().to_owned();
    let (westermo, dnsstats) = (
        file("westermo-extended-right.pcap"),
        file("dnsstats-nsd-live.pcapng"),
    );
    let workloads = "replay:westermo-extended-right,replay:dnsstats-nsd-live";
    let (output, records) = bench(
        folder.path(),
        &[
            "--capture",
            &westermo,
            "--capture",
            &dnsstats,
            "--workloads",
            workloads,
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for capture in ["westermo-extended-right", "dnsstats-nsd-live"] {
        let answers: Vec<_> = records
            .iter()
            .filter(|record| {
                record.cell.workload == format!("replay:{capture}") && record.cell.table != "null"
            })
            .map(|record| match &record.outcome {
                Outcome::Ok(measurement) => measurement.answers,
                Outcome::Error { message, .. } => panic!("{}: {message}", record.cell.table),
            })
            .collect();
        assert!(answers.len() >= 7, "every table replays {capture}");
        assert!(answers.iter().all(|a| *a == answers[0]), "{capture}: {answers:?}");
        assert!(answers[0].inserts > 0 && answers[0].hits > 0);
    }
    let text = stderr(&output);
    assert!(
        text.contains("35124 packets") && text.contains("15638 flows"),
        "{text}"
    );
    assert!(
        text.contains("21804 packets") && text.contains("9222 flows"),
        "{text}"
    );
}
