//! `bench`: rounds over all cells, a record per run, then summary and report.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use reports::store::Appender;
use reports::{Outcome, Record};

use crate::args::BenchArgs;
use crate::measure::clock;
use crate::progress::Progress;
use crate::session::{self, Session};
use crate::{child, exit, plan};

/// Measures.
///
/// # Errors
/// Usage, input and output. Failed cells are records, and exit status 1.
pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    let profile = format!("{:?}", args.cells.profile).to_lowercase();
    let folder = session::run_folder(args.out.as_ref(), args.resume, &profile)?;
    let interrupted = session::interruption()?;
    let mut done = earlier(&folder, args.resume)?;
    let session = match Session::prepare(&args.cells, &interrupted) {
        // Relaxed: a lone flag.
        Err(_) if interrupted.load(Ordering::Relaxed) => return Ok(ExitCode::from(exit::INTERRUPTED)),
        session => session?,
    };
    let mut store = Appender::open_run(&folder)?;
    let rounds = args.rounds.unwrap_or(session.scale.rounds);
    let budget = match args.budget {
        Some(0) => None,
        Some(seconds) => Some(seconds),
        None => session.scale.budget_s,
    };
    let run = Rounds {
        session: &session,
        rounds,
        budget,
        interrupted: &interrupted,
    };
    run.all(&mut done, &mut store)?;
    drop(store);
    finish(&folder, args, &session, &interrupted)
}

/// Keys of good runs that need not be repeated.
fn earlier(folder: &Path, resume: bool) -> Result<HashSet<String>> {
    let file = folder.join(reports::store::RECORDS);
    if !file.exists() {
        return Ok(HashSet::new());
    }
    if !resume {
        anyhow::bail!(
            "{} holds records already: add --resume to do what is missing, or choose another --out",
            folder.display()
        );
    }
    let loaded = reports::store::read_run(folder)?;
    let good = loaded
        .records
        .into_iter()
        .filter(|record| matches!(record.outcome, Outcome::Ok(_)));
    Ok(good.map(|record| record.key).collect())
}

struct Rounds<'a> {
    session: &'a Session,
    rounds: u32,
    budget: Option<u64>,
    interrupted: &'a AtomicBool,
}

impl Rounds<'_> {
    /// Runs what is missing, round by round.
    fn all(&self, done: &mut HashSet<String>, store: &mut Appender) -> Result<()> {
        let cells = &self.session.cells;
        let total = cells.len() as u64 * u64::from(self.rounds);
        let progress = Progress::new("bench", total);
        let start = clock::now();
        for round in 0..self.rounds {
            for index in plan::round_order(cells.len(), self.session.seed, round) {
                let spent = start.elapsed().as_secs();
                if round > 0 && self.budget.is_some_and(|budget| spent >= budget) {
                    progress.note(&format!(
                        "stopped after {spent} s, in round {} of {}: --budget 0 or --resume does the rest",
                        round + 1,
                        self.rounds
                    ));
                    progress.finish();
                    return Ok(());
                }
                if !self.one(index, round, done, store, &progress)? {
                    progress.finish();
                    return Ok(());
                }
            }
        }
        progress.finish();
        Ok(())
    }

    /// Runs one cell unless it is done. False where interrupted.
    fn one(
        &self,
        index: usize,
        round: u32,
        done: &mut HashSet<String>,
        store: &mut Appender,
        progress: &Progress,
    ) -> Result<bool> {
        let cell = &self.session.cells[index];
        let name = format!("{} round {}/{}", plan::cell_name(cell), round + 1, self.rounds);
        let key = self.session.key(cell, round);
        if !done.contains(&key) {
            progress.show(&name);
            let outcome = child::run(&self.session.spec(cell), child::TIMEOUT, self.interrupted)?;
            // Relaxed: a lone flag.
            let Some(outcome) = outcome.filter(|_| !self.interrupted.load(Ordering::Relaxed)) else {
                return Ok(false);
            };
            if let Outcome::Error { kind, message } = &outcome {
                progress.note(&format!("FAILED {name}: {kind:?}: {message}"));
            }
            store.append(&self.session.record(cell, round, outcome))?;
            done.insert(key);
        }
        progress.step(&name);
        Ok(true)
    }
}

/// Report, summary, exit status.
fn finish(folder: &Path, args: &BenchArgs, session: &Session, interrupted: &AtomicBool) -> Result<ExitCode> {
    let loaded = reports::store::read_run(folder)?;
    let current: HashSet<_> = session.cells.iter().collect();
    let records: Vec<Record> = loaded
        .records
        .into_iter()
        .filter(|r| current.contains(&r.cell))
        .collect();
    let shown = if args.json {
        super::report::Shown::Json
    } else {
        super::report::Shown::Headline
    };
    let failed = super::report::write(&records, &folder.join(super::report::FILE), shown)?;
    // Relaxed: a lone flag.
    if interrupted.load(Ordering::Relaxed) {
        eprintln!(
            "interrupted: what is finished is kept; go on with: ctbench bench --out {} --resume",
            folder.display()
        );
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    link_latest(folder).context("linking results/latest")?;
    Ok(if failed {
        ExitCode::from(exit::FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// `results/latest` points to the newest run there.
fn link_latest(folder: &Path) -> std::io::Result<()> {
    let results = Path::new(session::RESULTS);
    let (Some(name), true) = (folder.file_name(), folder.parent() == Some(results)) else {
        return Ok(());
    };
    let link = results.join("latest");
    if link.is_symlink() {
        std::fs::remove_file(&link)?;
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(name, &link)?;
    Ok(())
}
