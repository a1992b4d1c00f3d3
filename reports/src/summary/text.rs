//! The summary as plain text for a terminal: aligned, stable, no colour.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Group, Row, RunSummary, Standing};
use crate::units::{digits, fit, grouped};

/// Narrowest width the columns fit into.
const MIN_WIDTH: usize = 64;
/// Width of all columns right of the table's name.
const FIGURES_WIDTH: usize = 47;
/// Widest column of names.
const MAX_NAME: usize = 28;

/// Every group, `width` columns wide (not below 64).
#[must_use]
pub fn render(summary: &RunSummary, width: usize) -> String {
    render_groups(summary, summary.groups.iter(), width)
}

/// Per workload only its headline size, at the fewest and the most threads: what fits on a screen.
#[must_use]
pub fn render_headline(summary: &RunSummary, width: usize) -> String {
    let groups = summary.scenes.iter().flat_map(|scene| {
        let threads = summary.threads_of(scene);
        let ends = match threads.as_slice() {
            [] => vec![],
            [only] => vec![*only],
            [first, .., last] => vec![*first, *last],
        };
        ends.into_iter()
            .filter_map(|count| summary.headline(scene, count, None))
            .collect::<Vec<_>>()
    });
    render_groups(summary, groups, width)
}

fn render_groups<'a>(summary: &RunSummary, groups: impl Iterator<Item = &'a Group>, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let mut out = String::new();
    for group in groups {
        out.push_str(&title(group, width));
        out.push_str(&columns(width));
        for row in &group.rows {
            out.push_str(&line(row, width));
        }
        out.push('\n');
    }
    out.push_str(&legend(summary, width));
    out
}

fn title(group: &Group, width: usize) -> String {
    let threads = if group.threads == 1 { "thread" } else { "threads" };
    let title = format!(
        "{}  {} connections, {} {threads}",
        group.scene.label,
        grouped(group.connections),
        group.threads,
    );
    format!("{}\n", fit(&title, width))
}

fn name_width(width: usize) -> usize {
    (width - FIGURES_WIDTH - 2).min(MAX_NAME)
}

fn columns(width: usize) -> String {
    let name = name_width(width);
    format!(
        "  {:<name$}{:>9}{:>9}{:>11}{:>9}{:>9}\n",
        "table", "Mpps", "±95%", "slower", "p99 ns", "B/conn"
    )
}

fn line(row: &Row, width: usize) -> String {
    let name = name_width(width);
    let table = fit(&row.table, name - 1);
    if let Some(failure) = row.summary.failure() {
        let reason = format!(
            "ERROR {} in {} of {} rounds: {}",
            failure.kind, failure.failed_rounds, failure.rounds, failure.message
        );
        let lead = format!("! {table:<name$}");
        return wrap(&lead, &reason, width);
    }
    let Some(figures) = row.summary.figures() else {
        return String::new();
    };
    let rate = &figures.packets_per_s;
    let reach = rate.interval.map_or_else(
        || "too few".to_owned(),
        |interval| format!("{:.1}%", 100.0 * interval.relative_half_width(rate.median)),
    );
    let p99 = figures
        .latency
        .as_ref()
        .map_or_else(|| "-".to_owned(), |latency| digits(latency.p99_ns));
    // The harness holds no connections: its bytes over theirs would say nothing.
    let memory = figures
        .memory
        .as_ref()
        .filter(|_| row.standing != Standing::Harness);
    let memory = memory.map_or_else(|| "-".to_owned(), |memory| digits(memory.allocated));
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} {table:<name$}{:>9}{reach:>9}{:>11}{p99:>9}{memory:>9}",
        mark(row.standing),
        digits(rate.median / 1e6),
        slower(row),
    );
    out
}

const fn mark(standing: Standing) -> char {
    match standing {
        Standing::Best => '*',
        Standing::Tie => '=',
        Standing::Failed => '!',
        Standing::TooFew => '?',
        Standing::Behind | Standing::Only | Standing::Harness => ' ',
    }
}

fn slower(row: &Row) -> String {
    let times = row.place.map_or(1.0, |place| place.times_worse);
    match row.standing {
        Standing::Best => "best".to_owned(),
        Standing::Tie => format!("{times:.2}x tie"),
        Standing::Behind => format!("{times:.2}x"),
        Standing::TooFew => format!("{times:.2}x ?"),
        Standing::Only => "only one".to_owned(),
        Standing::Harness => "harness".to_owned(),
        Standing::Failed => String::new(),
    }
}

fn legend(summary: &RunSummary, width: usize) -> String {
    let mut text = format!(
        "{} cells ok, {} failed, {} records.\n",
        grouped(summary.cells_ok as u64),
        grouped(summary.cells_failed as u64),
        grouped(summary.records as u64)
    );
    let bursts: BTreeSet<u32> = summary
        .groups
        .iter()
        .flat_map(Group::ranked)
        .filter_map(|(_, figures)| figures.latency.as_ref().map(|latency| latency.burst))
        .collect();
    let burst = match bursts.iter().next() {
        Some(size) if bursts.len() == 1 => format!(" of {size}"),
        _ => String::new(),
    };
    let notes = format!(
        "Mpps: median over rounds, million packets per second, all threads. ±95%: interval over rounds. \
                 slower: times the best's throughput; * best, = tie (the interval of the ratio holds 1), ? too few rounds to \
                 tell. p99 ns: 99th percentile of time per packet, each value a mean over one burst{burst}. B/conn: bytes \
                 allocated for the filled table, preallocation included, per connection. harness: the null table, \
                 the cost of measuring itself; it is in every row and never subtracted."
    );
    text.push_str(&wrap("", &notes, width));
    text
}

/// `text` after `lead`, broken between words, later lines indented as far as the lead.
fn wrap(lead: &str, text: &str, width: usize) -> String {
    let indent = lead.chars().count();
    let room = width.saturating_sub(indent).max(20);
    let mut out = String::from(lead);
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + rest.len() > room {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        while rest.len() > room {
            out.extend(rest.drain(..room));
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
        }
        used += rest.len();
        out.extend(rest);
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ErrorKind, Outcome};
    use crate::support::RunBuilder;

    fn small() -> RunBuilder {
        RunBuilder::new()
            .workloads(&["steady"])
            .sizes(&[1024])
            .threads(&[1])
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let long = "expected connection 1771, got a very long explanation ".repeat(5) + &"x".repeat(200);
        let records = RunBuilder::new()
            .tables(&["rcu", "a-table-with-a-name-far-longer-than-any-column", "null"])
            .error("rcu", "full", ErrorKind::WrongAnswer, &long)
            .build();
        let summary = RunSummary::from_records(&records);
        for width in [0, 64, 80, 120] {
            for line in render(&summary, width).lines() {
                assert!(line.chars().count() <= width.max(MIN_WIDTH), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let text = render(&RunSummary::from_records(&small().build()), 80);
        let lines: Vec<&str> = text.lines().collect();
        let ends = |line: &str, what: &str| {
            line.find(what)
                .map(|byte| line[..byte + what.len()].chars().count())
        };
        let head = ends(lines[1], "slower").unwrap();
        assert_eq!(ends(lines[2], "best"), Some(head), "{text}");
        assert_eq!(ends(lines[8], "harness"), Some(head), "{text}");
    }

    #[test]
    fn best_is_marked_once_and_errors_carry_their_reason_and_no_number() {
        let records = small()
            .error("std", "steady", ErrorKind::Timeout, "no result after 60 s")
            .build();
        let text = render(&RunSummary::from_records(&records), 80);
        assert_eq!(
            text.lines().filter(|line| line.starts_with("* ")).count(),
            1,
            "{text}"
        );
        let error = text.lines().find(|line| line.starts_with("! std")).unwrap();
        assert!(
            error.contains("ERROR timeout in 5 of 5 rounds: no result"),
            "{error}"
        );
        assert!(text.contains("6 cells ok, 1 failed"), "{text}");
    }

    #[test]
    fn too_few_rounds_are_called_that() {
        let text = render(&RunSummary::from_records(&small().rounds(2).build()), 80);
        assert!(text.contains("too few") && text.contains("x ?"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("= ")), "{text}");
    }

    #[test]
    fn indistinguishable_tables_are_a_tie() {
        let mut records = small().tables(&["rcu", "std"]).build();
        for index in 0..5 {
            let Outcome::Ok(mut same) = records[index].outcome.clone() else {
                panic!("an error")
            };
            // One round a little faster, one a little slower.
            same.wall_ns = same.wall_ns * [1010, 995, 1000, 1002, 997][index] / 1000;
            records[index + 5].outcome = Outcome::Ok(same);
        }
        let text = render(&RunSummary::from_records(&records), 80);
        assert!(text.contains("x tie"), "{text}");
    }

    #[test]
    fn the_headline_is_shorter_and_the_same_twice() {
        let summary = RunSummary::from_records(&RunBuilder::new().with_believable_errors().build());
        let (all, headline) = (render(&summary, 80), render_headline(&summary, 80));
        assert!(headline.lines().count() < all.lines().count() / 2);
        assert_eq!(render(&summary, 80), all);
        assert!(
            headline.contains("steady  1,048,576 connections, 2 threads"),
            "{headline}"
        );
    }

    #[test]
    fn a_hostile_name_cannot_steer_the_terminal() {
        let records = small().tables(&["\x1b[2Jevil\u{202e}", "rcu"]).build();
        let text = render(&RunSummary::from_records(&records), 80);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}
