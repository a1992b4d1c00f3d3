//! `verify`: every cell once, answers only.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::Result;
use reports::Outcome;

use crate::args::VerifyArgs;
use crate::progress::Progress;
use crate::session::{self, Session};
use crate::{child, exit, plan};

/// Verifies.
///
/// # Errors
/// Usage, input and output. A wrong answer is exit status 1.
pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let interrupted = session::interruption()?;
    let session = match Session::prepare(&args.cells, &interrupted) {
        // Relaxed: a lone flag.
        Err(_) if interrupted.load(Ordering::Relaxed) => return Ok(ExitCode::from(exit::INTERRUPTED)),
        session => session?,
    };
    let progress = Progress::new("verify", session.cells.len() as u64);
    let mut failed = 0u32;
    for cell in &session.cells {
        let name = plan::cell_name(cell);
        progress.show(&name);
        let Some(outcome) = child::run(&session.spec(cell), child::TIMEOUT, &interrupted)? else {
            break;
        };
        let problem = match &outcome {
            Outcome::Ok(_) => None,
            Outcome::Error { kind, message } => Some(format!("{kind:?}: {message}")),
        };
        failed += u32::from(problem.is_some());
        progress.result_line(&line(args.json, &name, problem.as_deref()))?;
        progress.step(&name);
    }
    progress.finish();
    // Relaxed: a lone flag.
    if interrupted.load(Ordering::Relaxed) {
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    eprintln!("{} cells, {failed} failed", session.cells.len());
    Ok(if failed > 0 {
        ExitCode::from(exit::FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

fn line(json: bool, name: &str, problem: Option<&str>) -> String {
    if json {
        return format!(
            "{}\n",
            serde_json::json!({ "cell": name, "ok": problem.is_none(), "problem": problem })
        );
    }
    match problem {
        None => format!("ok     {name}\n"),
        Some(problem) => format!("FAILED {name}: {problem}\n"),
    }
}
