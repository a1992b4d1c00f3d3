//! Progress on stderr: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::measure::clock::{self, Moment};

/// Seconds between lines where stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress of something with a known number of steps. May be shared between threads.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: Option<Mutex<Lines>>,
    title: &'static str,
}

#[derive(Debug)]
struct Lines {
    start: Moment,
    last: Moment,
}

impl Progress {
    /// Progress over `total` steps.
    #[must_use]
    pub fn new(title: &'static str, total: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = "{prefix} {pos}/{len} {bar:16} ETA {eta} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(title);
        let now = clock::now();
        let lines = (!terminal).then(|| {
            Mutex::new(Lines {
                start: now,
                last: now,
            })
        });
        Self { bar, lines, title }
    }

    /// Names what is being worked on.
    pub fn show(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// One step is done; `what` names it.
    pub fn step(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.bar.inc(1);
        let Some(lines) = &self.lines else { return };
        let Ok(mut lines) = lines.lock() else { return };
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        if lines.last.elapsed() >= LINE_EVERY {
            lines.last = clock::now();
            let spent = lines.start.elapsed().as_secs_f64();
            let left = spent / done.max(1) as f64 * total.saturating_sub(done) as f64;
            eprintln!(
                "{} {done}/{total}, about {left:.0} s left; last: {what}",
                self.title
            );
        }
    }

    /// A message that must not be lost in the bar.
    pub fn note(&self, text: &str) {
        if self.lines.is_some() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// Writes a line of results to stdout, the bar out of its way.
    ///
    /// # Errors
    /// As [`crate::cmd::print()`].
    pub fn result_line(&self, line: &str) -> anyhow::Result<()> {
        self.bar.suspend(|| crate::cmd::print(line))
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
