//! The run on one screen of a terminal: tables by workloads, one size, no colour.

use super::text::{MIN_WIDTH, counts, mark, wrap};
use super::{Group, HARNESS_TABLE, Row, RunSummary, Scene, Standing};
use crate::units::{digits, fit, fit_middle, percent, short_count};

/// Widest column of names.
const MAX_NAME: usize = 20;
/// A figure with its mark and interval: `*46.3 ±12%`, and a space.
const FIGURE: usize = 12;
/// The column beside a figure at the limit.
const SHARE: usize = 9;

/// A column of a block: its head in three lines, its width, its cell of a table.
struct Column<'a> {
    head: [String; 3],
    width: usize,
    group: &'a Group,
    cell: fn(&Row) -> String,
}

/// Tables by workloads at one size: throughput with one thread (the fewest that ran), what was lost at the limit,
/// throughput with the most threads. `width` columns wide (not below 64); [`super::render_all`] has all groups.
#[must_use]
pub fn render(summary: &RunSummary, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let size = common_size(summary);
    let chosen = |pick: fn(&[u32]) -> Option<u32>| -> Vec<&Group> {
        let group = |scene| summary.headline(scene, pick(&summary.threads_of(scene))?, size);
        let mut groups: Vec<&Group> = summary.scenes.iter().filter_map(group).collect();
        // Captures have sizes of their own: they come after the columns that share one.
        groups.sort_by_key(|group| group.scene.workload.contains(':'));
        groups
    };
    let few = chosen(|threads| threads.first().copied());
    let many = chosen(|threads| threads.last().copied().filter(|_| threads.len() > 1));
    let (limited, free): (Vec<&Group>, Vec<&Group>) = few.into_iter().partition(|group| group.at_limit);
    let mut out = String::new();
    for (groups, about) in [(&free, ""), (&limited, ", tables at their limit"), (&many, "")] {
        let columns: Vec<Column<'_>> = groups.iter().flat_map(|group| columns(group)).collect();
        if !columns.is_empty() {
            out.push_str(&format!("Mpps, {}{about}\n", threads_text(groups)));
            blocks(&mut out, summary, &columns, width);
        }
    }
    for failure in failures(summary) {
        out.push_str(&wrap("! ", &failure, width));
    }
    out.push_str(&counts(summary));
    out.push_str(&wrap("", &legend(!limited.is_empty()), width));
    out
}

/// The size that most workloads ran at, of those the largest: so that columns can be read beside each other.
fn common_size(summary: &RunSummary) -> Option<u64> {
    let sizes = |scene: &Scene| -> Vec<u64> {
        let first = summary.threads_of(scene).first().copied();
        let groups = summary
            .of_scene(scene)
            .filter(|group| Some(group.threads) == first);
        groups.map(|group| group.connections).collect()
    };
    let all: Vec<u64> = summary.scenes.iter().flat_map(sizes).collect();
    let shared = |size: u64| all.iter().filter(|other| **other == size).count();
    all.iter().copied().max_by_key(|size| (shared(*size), *size))
}

fn columns<'a>(group: &'a Group) -> Vec<Column<'a>> {
    let (kind, name) = match group.scene.workload.split_once(':') {
        Some((kind, name)) => (format!("{kind}:"), name.to_owned()),
        None => (group.scene.workload.clone(), String::new()),
    };
    // The rest of the label: the batch, and the seed where there are several.
    let rest = group
        .scene
        .label
        .strip_prefix(&group.scene.workload)
        .unwrap_or("");
    let second = format!("{name}{rest}").trim_start_matches([',', ' ']).to_owned();
    let size = short_count(group.connections);
    let mut columns = vec![Column {
        head: [kind, second, size],
        width: FIGURE,
        group,
        cell: figure,
    }];
    if group.at_limit {
        columns.push(Column {
            head: [String::new(), String::new(), "orphaned".to_owned()],
            width: SHARE,
            group,
            cell: orphaned,
        });
    }
    columns
}

fn figure(row: &Row) -> String {
    let Some(figures) = row.summary.figures() else {
        return "!ERROR".to_owned();
    };
    let rate = &figures.packets_per_s;
    let value = format!("{}{}", mark(row.standing), digits(rate.median / 1e6));
    let Some(interval) = rate.interval else {
        return value;
    };
    let half = 100.0 * interval.relative_half_width(rate.median);
    let reach = if half < 999.5 {
        format!("±{half:.0}%")
    } else {
        "±++".to_owned()
    };
    format!("{value} {reach:>4}")
}

fn orphaned(row: &Row) -> String {
    match row.summary.figures() {
        Some(figures) if row.standing != Standing::Harness => percent(figures.harm.orphaned_share),
        _ => String::new(),
    }
}

/// Writes the columns in blocks of as many as fit.
fn blocks(out: &mut String, summary: &RunSummary, columns: &[Column<'_>], width: usize) {
    let Some(widest) = columns.iter().map(|column| column.width).max() else {
        return;
    };
    let longest = summary.tables.iter().map(|table| table.chars().count()).max();
    let names = longest.unwrap_or(0).clamp("(null)".len(), MAX_NAME);
    // Columns of one group stay together: a block ends where the next group would not fit.
    let room = (width - names).max(widest);
    let mut block: Vec<&Column<'_>> = Vec::new();
    let mut used = 0;
    for group in columns.chunk_by(|one, other| std::ptr::eq(one.group, other.group)) {
        let wide: usize = group.iter().map(|column| column.width).sum();
        if !block.is_empty() && used + wide > room {
            table(out, summary, &block, names);
            block.clear();
            used = 0;
        }
        used += wide;
        block.extend(group);
    }
    table(out, summary, &block, names);
}

fn table(out: &mut String, summary: &RunSummary, columns: &[&Column<'_>], names: usize) {
    for line in 0..3 {
        let name = if line == 2 { "table" } else { "" };
        let heads = columns.iter().map(|column| {
            let width = column.width;
            format!("{:>width$}", fit_middle(&column.head[line], width - 1))
        });
        push_line(out, &format!("{name:<names$}{}", heads.collect::<String>()));
    }
    let shown = |table: &&String| columns.iter().any(|column| column.group.row(table).is_some());
    for name in summary.tables.iter().filter(shown) {
        let cells = columns.iter().map(|column| {
            let text = column.group.row(name).map_or_else(String::new, column.cell);
            let width = column.width;
            format!("{:>width$}", fit(&text, width - 1))
        });
        let label = if name == HARNESS_TABLE { "(null)" } else { name };
        push_line(
            out,
            &format!(
                "{:<names$}{}",
                fit_middle(label, names),
                cells.collect::<String>()
            ),
        );
    }
    out.push('\n');
}

/// Without spaces at its end.
fn push_line(out: &mut String, line: &str) {
    let line = line.trim_end();
    if !line.is_empty() {
        out.push_str(line);
        out.push('\n');
    }
}

fn threads_text(groups: &[&Group]) -> String {
    let mut counts: Vec<u32> = groups.iter().map(|group| group.threads).collect();
    counts.sort_unstable();
    counts.dedup();
    match counts.as_slice() {
        [1] => "1 thread".to_owned(),
        [count] => format!("{count} threads"),
        _ => "as many threads as each ran".to_owned(),
    }
}

/// One line per table and workload that failed, with the first message.
fn failures(summary: &RunSummary) -> Vec<String> {
    let mut found: Vec<(String, &str, usize)> = Vec::new();
    for (group, row) in summary
        .groups
        .iter()
        .flat_map(|group| group.rows.iter().map(move |row| (group, row)))
    {
        let Some(failure) = row.summary.failure() else {
            continue;
        };
        let what = format!("{} in {}: ERROR {}", row.table, group.scene.label, failure.kind);
        match found.iter_mut().find(|(known, ..)| *known == what) {
            Some((_, _, cells)) => *cells += 1,
            None => found.push((what, &failure.message, 1)),
        }
    }
    let text = |(what, message, cells): (String, &str, usize)| {
        let count = if cells > 1 {
            format!(" ({cells} cells)")
        } else {
            String::new()
        };
        format!("{what}{count}: {message}")
    };
    found.into_iter().map(text).collect()
}

fn legend(limited: bool) -> String {
    let mut text = "Million packets per second, all threads, median over rounds ± half the 95% interval; * best of the \
                    column, = tie with it, ? too few rounds to tell. (null) is the cost of the harness itself, in every figure \
                    and never subtracted."
        .to_owned();
    if limited {
        text.push_str(
            " At the limit only tables that evict are ranked; one marked - refuses newcomers (so it does less work) \
             or never was full. orphaned: packets whose connection had been refused or evicted, of all packets.",
        );
    }
    text.push_str(" report.html and --json have all sizes, threads, latency and memory.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ErrorKind;
    use crate::summary::render_all;
    use crate::support::RunBuilder;

    fn summary(builder: RunBuilder) -> RunSummary {
        RunSummary::from_records(&builder.build())
    }

    #[test]
    fn it_fits_and_is_far_shorter_than_all() {
        let summary = summary(RunBuilder::new().with_batch_cells().with_believable_errors());
        for width in [0, 64, 80, 132] {
            let text = render(&summary, width);
            for line in text.lines() {
                assert!(line.chars().count() <= width.max(MIN_WIDTH), "{width}: {line:?}");
            }
            assert_eq!(render(&summary, width), text);
        }
        let (short, all) = (render(&summary, 80), render_all(&summary, 80));
        assert!(short.lines().count() * 3 < all.lines().count(), "{short}");
        assert!(short.contains("--json"), "{short}");
    }

    #[test]
    fn every_workload_has_its_column_once_per_thread_count() {
        let summary = summary(RunBuilder::new().with_batch_cells());
        let text = render(&summary, 80);
        assert!(text.contains("32 at once"), "{text}");
        assert_eq!(text.matches("replay:").count(), 4, "{text}");
        assert_eq!(text.matches("  miss").count(), 3, "{text}");
        assert!(
            text.contains("Mpps, 1 thread\n") && text.contains("Mpps, 2 threads\n"),
            "{text}"
        );
    }

    #[test]
    fn the_size_is_the_largest_that_most_workloads_share() {
        let mut records = RunBuilder::new()
            .workloads(&["steady", "churn", "miss"])
            .sizes(&[1024, 4096])
            .threads(&[1])
            .build();
        records.extend(
            RunBuilder::new()
                .workloads(&["steady"])
                .sizes(&[1 << 20])
                .threads(&[1])
                .build(),
        );
        let text = render(&RunSummary::from_records(&records), 80);
        assert!(text.contains("4Ki") && !text.contains("1Mi"), "{text}");
    }

    #[test]
    fn best_is_marked_once_per_column_and_never_a_table_that_refuses() {
        let summary = summary(
            RunBuilder::new()
                .workloads(&["full"])
                .sizes(&[1024])
                .threads(&[1]),
        );
        let text = render(&summary, 80);
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(
            line("std ").contains(" -") && line("hashbrown ").contains(" -"),
            "{text}"
        );
        let rows = text.lines().skip_while(|line| !line.starts_with("table")).take(8);
        assert_eq!(rows.filter(|line| line.contains(" *")).count(), 1, "{text}");
        assert!(
            text.contains("tables at their limit") && line("table").ends_with("orphaned"),
            "{text}"
        );
    }

    #[test]
    fn failures_are_told_once_with_their_reason() {
        let text = render(
            &summary(RunBuilder::new().error("rcu", "steady", ErrorKind::Crash, "signal 11")),
            80,
        );
        assert_eq!(text.matches("signal 11").count(), 1, "{text}");
        assert!(
            text.contains("! rcu in steady: ERROR crash (") && text.contains("!ERROR"),
            "{text}"
        );
    }

    #[test]
    fn odd_runs_do_not_panic() {
        assert!(render(&RunSummary::from_records(&[]), 80).contains("0 cells ok"));
        let long = "replay:a-capture-with-a-very-long-file-name-2026-11-20T19-05-00Z";
        let text = render(
            &summary(
                RunBuilder::new()
                    .tables(&["null", &"x".repeat(70)])
                    .workloads(&[long, ":"])
                    .rounds(1),
            ),
            80,
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let only = RunBuilder::new().tables(&["rcu"]).workloads(&["full"]).error(
            "rcu",
            "full",
            ErrorKind::Build,
            "",
        );
        assert!(render(&summary(only), 0).contains("ERROR could not be built"));
    }
}
