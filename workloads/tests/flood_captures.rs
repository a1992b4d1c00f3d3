//! Real captures: their replays pass the oracle, and so do floods laid over them.
//!
//! The captures lie beside the project (`CTBENCH_SHARED`, else `../shared` from the workspace root); without them the test
//! says so and is skipped.

use std::path::{Path, PathBuf};

use workloads::oracle;
use workloads::overlay::{FloodOptions, FloodRate, OverlayError, flood_trace};
use workloads::replay::{Replay, ReplayOptions};

fn captures() -> Vec<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("CTBENCH_SHARED").map_or_else(beside, PathBuf::from);
    let Ok(folder) = std::fs::read_dir(shared.join("pcaps")) else {
        eprintln!("skipped: no captures in {}", shared.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = folder
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
        .collect();
    files.sort();
    files
}

/// The tracker and the oracle agree about every packet of every capture.
#[test]
fn replays_pass_the_oracle() {
    for path in captures() {
        let replay = Replay::load(&path, &ReplayOptions::default()).unwrap();
        let (trace, counts) = replay.trace("replay");
        let outcome = oracle::replay(&trace).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(outcome.expected, trace.expected);
        assert_eq!(outcome.peak, counts.peak_connections, "{}", path.display());
    }
}

/// A flood that fills the table, or a reason why there is none; the captures with TCP have one.
#[test]
fn floods_over_captures_pass_the_oracle() {
    let files = captures();
    let mut flooded = 0;
    for path in &files {
        let replay = Replay::load(path, &ReplayOptions::default()).unwrap();
        let options = FloodOptions::new(1, FloodRate::Filling);
        match flood_trace("flood", &replay.packets, &options) {
            Ok(flood) => {
                eprintln!("{}: {}", path.display(), flood.report);
                assert_eq!(
                    oracle::check(&flood.trace),
                    Ok(flood.trace.expected),
                    "{}",
                    path.display()
                );
                assert!(flood.counts.peak_connections > flood.trace.max_connections as u64);
                let off = flood.report.achieved_pps / flood.report.asked_pps - 1.0;
                assert!(flood.report.packets < 200 || off.abs() < 0.01, "{off} off");
                flooded += 1;
            }
            Err(error @ (OverlayError::NoTargets { .. } | OverlayError::Option { .. })) => {
                eprintln!("{}: {error}", path.display());
            }
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    assert!(
        files.is_empty() || flooded * 2 > files.len(),
        "{flooded} of {}",
        files.len()
    );
}
