//! Every group as plain text for a terminal: aligned, stable, no colour.

use std::collections::BTreeSet;

use super::{Figures, Group, Row, RunSummary, Standing};
use crate::units::{digits, fit, grouped, percent, short_number};

/// Narrowest width the columns fit into.
pub(super) const MIN_WIDTH: usize = 64;
/// Widest column of names.
const MAX_NAME: usize = 28;
/// Below this width the columns of groups at the limit would cut most names, so interval and percentile make room.
const WIDTH_FOR_ALL: usize = 76;

/// A column: its head, its width, its text in the row of a table with numbers.
type Column = (&'static str, usize, fn(&Row, &Figures) -> String);

const MPPS: Column = ("Mpps", 7, |_, figures| digits(figures.packets_per_s.median / 1e6));
const REACH: Column = ("±95%", 8, |_, figures| {
    let rate = &figures.packets_per_s;
    rate.interval.map_or_else(
        || "too few".to_owned(),
        |interval| format!("{:.1}%", 100.0 * interval.relative_half_width(rate.median)),
    )
});
const SLOWER: Column = ("slower", 11, |row, _| slower(row));
const P99: Column = ("p99 ns", 8, |_, figures| {
    let latency = figures.latency.as_ref();
    latency.map_or_else(|| "-".to_owned(), |latency| digits(latency.p99_ns))
});
const MEMORY: Column = ("B/conn", 8, |row, figures| {
    // The harness holds no connections: its bytes over theirs would say nothing.
    let memory = figures
        .memory
        .as_ref()
        .filter(|_| row.standing != Standing::Harness);
    memory.map_or_else(|| "-".to_owned(), |memory| digits(memory.allocated))
});
const REFUSED: Column = ("refused", 9, |row, figures| {
    of_table(row, percent(figures.harm.refused_share))
});
const EVICTED: Column = ("evicted", 9, |row, figures| {
    of_table(row, short_number(figures.harm.evicted_legitimate))
});
const ORPHANED: Column = ("orphaned", 9, |row, figures| {
    of_table(row, percent(figures.harm.orphaned_share))
});

/// The harness holds nothing, so it can lose nothing.
fn of_table(row: &Row, text: String) -> String {
    if row.standing == Standing::Harness {
        "-".to_owned()
    } else {
        text
    }
}

/// Every group, `width` columns wide (not below 64).
#[must_use]
pub fn render_all(summary: &RunSummary, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let mut out = String::new();
    for group in &summary.groups {
        let columns = columns(group, width);
        out.push_str(&title(group, width));
        out.push_str(&heads(&columns, width));
        for row in &group.rows {
            out.push_str(&line(row, &columns, width));
        }
        out.push('\n');
    }
    out.push_str(&counts(summary));
    out.push_str(&wrap("", &legend(summary), width));
    out
}

fn title(group: &Group, width: usize) -> String {
    let threads = if group.threads == 1 { "thread" } else { "threads" };
    let title = format!(
        "{}  {} connections, {} {threads}{}",
        group.scene.label,
        grouped(group.connections),
        group.threads,
        if group.at_limit {
            ", tables at their limit"
        } else {
            ""
        },
    );
    format!("{}\n", fit(&title, width))
}

/// What is shown of a group: at the limit, what was lost in place of memory.
fn columns(group: &Group, width: usize) -> Vec<Column> {
    let columns: &[Column] = match group.at_limit {
        false => &[MPPS, REACH, SLOWER, P99, MEMORY],
        true if width >= WIDTH_FOR_ALL => &[MPPS, REACH, SLOWER, P99, REFUSED, EVICTED, ORPHANED],
        true => &[MPPS, SLOWER, REFUSED, EVICTED, ORPHANED],
    };
    columns.to_vec()
}

fn name_width(columns: &[Column], width: usize) -> usize {
    let figures: usize = columns.iter().map(|(_, width, _)| width).sum();
    width.saturating_sub(figures + 2).min(MAX_NAME)
}

fn heads(columns: &[Column], width: usize) -> String {
    let name = name_width(columns, width);
    let heads = columns.iter().map(|(head, width, _)| format!("{head:>width$}"));
    format!("  {:<name$}{}\n", "table", heads.collect::<String>())
}

fn line(row: &Row, columns: &[Column], width: usize) -> String {
    let name = name_width(columns, width);
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
    let cells = columns
        .iter()
        .map(|(_, width, text)| format!("{:>width$}", text(row, figures)));
    format!(
        "{} {table:<name$}{}\n",
        mark(row.standing),
        cells.collect::<String>()
    )
}

/// The mark beside a figure.
pub(super) const fn mark(standing: Standing) -> char {
    match standing {
        Standing::Best => '*',
        Standing::Tie => '=',
        Standing::Failed => '!',
        Standing::TooFew => '?',
        Standing::Refuses | Standing::NoLimit => '-',
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
        Standing::Refuses => "refuses".to_owned(),
        Standing::NoLimit => "no limit".to_owned(),
        Standing::Harness => "harness".to_owned(),
        Standing::Failed => String::new(),
    }
}

/// `325 cells ok, 0 failed, 325 records.`
pub(super) fn counts(summary: &RunSummary) -> String {
    format!(
        "{} cells ok, {} failed, {} records.\n",
        grouped(summary.cells_ok as u64),
        grouped(summary.cells_failed as u64),
        grouped(summary.records as u64)
    )
}

fn legend(summary: &RunSummary) -> String {
    let bursts: BTreeSet<u32> = summary
        .groups
        .iter()
        .flat_map(Group::measured)
        .filter_map(|(_, figures)| figures.latency.as_ref().map(|latency| latency.burst))
        .collect();
    let burst = match bursts.iter().next() {
        Some(size) if bursts.len() == 1 => format!(" of {size}"),
        _ => String::new(),
    };
    let mut text = format!(
        "Mpps: median over rounds, million packets per second, all threads. ±95%: interval over rounds. \
         slower: times the best's throughput; * best, = tie (the interval of the ratio holds 1), ? too few rounds to \
         tell. p99 ns: 99th percentile of time per packet, each value a mean over one burst{burst}. B/conn: bytes \
         allocated for the filled table, preallocation included, per connection"
    );
    let unweighed = |(_, figures): (&Row, &Figures)| figures.memory.is_none();
    if summary.groups.iter().flat_map(Group::measured).any(unweighed) {
        text.push_str("; -: no prefill, so not measured");
    }
    text.push_str(
        ". harness: the null table, the cost of measuring itself; it is in every row and never subtracted.",
    );
    if summary.groups.iter().any(|group| group.at_limit) {
        text.push_str(" At the limit only tables that evict are ranked. ");
        text.push_str(LIMIT_LEGEND);
    }
    text
}

/// What the columns and words of groups at the limit mean.
const LIMIT_LEGEND: &str = "refuses (-): cannot evict, turns newcomers away and so does less work; no limit (-): was \
     never full. refused: newcomers turned away, of all that opened. evicted: connections that were not attack \
     traffic. orphaned: packets whose connection had been refused or evicted, of all packets.";

/// `text` after `lead`, broken between words, later lines indented as far as the lead.
pub(super) fn wrap(lead: &str, text: &str, width: usize) -> String {
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
            for line in render_all(&summary, width).lines() {
                assert!(line.chars().count() <= width.max(MIN_WIDTH), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let text = render_all(&RunSummary::from_records(&small().build()), 80);
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
        let text = render_all(&RunSummary::from_records(&records), 80);
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
        let text = render_all(&RunSummary::from_records(&small().rounds(2).build()), 80);
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
        let text = render_all(&RunSummary::from_records(&records), 80);
        assert!(text.contains("x tie"), "{text}");
    }

    /// Records in which the refusing tables are the fastest: they would have won.
    #[test]
    fn who_refuses_is_told_so_and_harm_takes_the_place_of_memory() {
        let records = RunBuilder::new()
            .workloads(&["full"])
            .sizes(&[1024])
            .threads(&[1])
            .build();
        let text = render_all(&RunSummary::from_records(&records), 80);
        let row = |name: &str| {
            let found = text
                .lines()
                .find(|line| line[2..].starts_with(&format!("{name} ")));
            found.unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        assert!(
            row("hashbrown").starts_with("- ") && row("hashbrown").contains("refuses"),
            "{text}"
        );
        let bests = text.lines().filter(|line| line.starts_with("* ")).count();
        assert_eq!(bests, 1, "{text}");
        assert!(
            text.lines()
                .nth(1)
                .unwrap()
                .ends_with("p99 ns  refused  evicted orphaned"),
            "{text}"
        );
        assert!(!text.lines().nth(1).unwrap().contains("B/conn"), "{text}");
        let narrow = render_all(&RunSummary::from_records(&records), 64);
        assert!(
            narrow.contains("orphaned") && narrow.contains("hashbrown"),
            "{narrow}"
        );
    }

    #[test]
    fn a_missing_prefill_is_explained() {
        let mut records = small().rounds(1).build();
        let legend = |records: &[crate::record::Record]| {
            let text = render_all(&RunSummary::from_records(records), 200);
            text.replace('\n', " ").contains("-: no prefill, so not measured")
        };
        assert!(!legend(&records));
        if let Outcome::Ok(measurement) = &mut records[0].outcome {
            measurement.memory.connections = 0;
        }
        assert!(legend(&records));
    }

    #[test]
    fn a_hostile_name_cannot_steer_the_terminal() {
        let records = small().tables(&["\x1b[2Jevil\u{202e}", "rcu"]).build();
        let text = render_all(&RunSummary::from_records(&records), 80);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}
