//! A cell is a child process: a table that crashes, hangs or eats the memory takes nothing else with it.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reports::{Cell, ErrorKind, Outcome, TraceFacts};
use serde::{Deserialize, Serialize};

use crate::measure::clock;
use crate::workload::CaptureOptions;

/// What a child is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellSpec {
    /// The cell.
    pub cell: Cell,
    /// Operations of synthetic workloads.
    pub ops: u64,
    /// Where captures come from.
    pub captures: CaptureOptions,
    /// Digest the trace must have: the child makes the trace anew.
    pub trace: TraceFacts,
}

/// Name of the hidden subcommand.
pub const SUBCOMMAND: &str = "run-cell";

/// How often a waiting parent looks.
const POLL: Duration = Duration::from_millis(2);
/// How long a child may take in all. The slowest honest cell of `full` takes well under a minute.
pub const TIMEOUT: Duration = Duration::from_secs(300);
/// How much of a child's output is kept.
const OUTPUT_LIMIT: u64 = 64 << 20;
/// How much of a child's complaint goes into the record.
const MESSAGE_LIMIT: usize = 2000;

/// Runs one cell in a child process. `None` where `interrupted` was set meanwhile.
///
/// # Errors
/// Where this program cannot be started again; what happens inside the child is an [`Outcome`].
pub fn run(spec: &CellSpec, timeout: Duration, interrupted: &AtomicBool) -> Result<Option<Outcome>> {
    let program = std::env::current_exe().context("finding this program to start it again for a cell")?;
    let spec = serde_json::to_string(spec)?;
    let mut child = Command::new(&program)
        .args([SUBCOMMAND, "--spec", &spec])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {} for a cell", program.display()))?;
    let output = drain(child.stdout.take());
    let complaint = drain(child.stderr.take());
    let start = clock::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let late = start.elapsed() > timeout;
        // Relaxed: a lone flag.
        if late || interrupted.load(Ordering::Relaxed) {
            child.kill().ok();
            child.wait()?;
            let message = format!("no result after {} s", timeout.as_secs());
            return Ok(late.then_some(Outcome::Error {
                kind: ErrorKind::Timeout,
                message,
            }));
        }
        std::thread::sleep(POLL);
    };
    // Relaxed: a lone flag. A child that died of the same Ctrl-C is not a crash.
    if !status.success() && interrupted.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let output = output.join().unwrap_or_default();
    let complaint = complaint.join().unwrap_or_default();
    Ok(Some(
        serde_json::from_str(output.trim()).unwrap_or_else(|_| crashed(status, &complaint)),
    ))
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // A pipe that breaks ends the text; the exit status tells the rest.
            pipe.take(OUTPUT_LIMIT).read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn crashed(status: std::process::ExitStatus, complaint: &str) -> Outcome {
    let mut message = format!("the child process ended with {status}: {}", complaint.trim());
    if let Some((cut, _)) = message.char_indices().nth(MESSAGE_LIMIT) {
        message.truncate(cut);
    }
    Outcome::Error {
        kind: ErrorKind::Crash,
        message,
    }
}
