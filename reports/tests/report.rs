//! The report as a document: complete, valid, self-contained, and unmoved by odd or hostile records.
//!
//! `cargo test -p reports --test report` leaves a demonstration report, of synthetic records, in the build folder's
//! `tmp/demo-report.html`.

#![expect(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use reports::report::{ReportError, ReportOptions, render};
use reports::summary::RunSummary;
use reports::{ErrorKind, Outcome, Record, TimelinePoint};
use support::RunBuilder;

fn html(records: &[Record]) -> String {
    render(records, &ReportOptions::default()).unwrap()
}

fn demo() -> Vec<Record> {
    RunBuilder::new()
        .with_batch_cells()
        .with_believable_errors()
        .build()
}

/// Every `<svg ...>...</svg>` of a page.
fn drawings(html: &str) -> Vec<&str> {
    html.match_indices("<svg")
        .map(|(start, _)| {
            let end = html[start..].find("</svg>").expect("an svg that ends") + start + "</svg>".len();
            &html[start..end]
        })
        .collect()
}

fn sections(html: &str) -> Vec<&str> {
    html.split("<section ")
        .skip(1)
        .map(|rest| rest.split("</section>").next().unwrap())
        .collect()
}

fn measurement(record: &mut Record) -> &mut reports::Measurement {
    match &mut record.outcome {
        Outcome::Ok(measurement) => measurement,
        Outcome::Error { message, .. } => panic!("{message}"),
    }
}

#[test]
fn demo_report_is_written_and_complete() {
    let page = html(&demo());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo-report.html");
    std::fs::write(&path, &page).unwrap();
    println!("demonstration report: {}", path.display());
    for id in [
        "errors",
        "matrix",
        "matrix-threads",
        "matrix-tail",
        "matrix-memory",
        "throughput",
        "latency",
        "memory",
        "threads",
        "flood-1",
        "flood-2",
        "harness",
        "run",
        "machine",
        "traces",
        "method",
        "bias",
    ] {
        assert!(page.contains(&format!("id=\"{id}\"")), "no section {id}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<html lang=\"en\">"));
}

#[test]
fn every_drawing_is_valid_xml_with_a_title_and_a_view_box() {
    let page = html(&demo());
    let drawings = drawings(&page);
    assert!(drawings.len() > 60, "only {} drawings", drawings.len());
    for svg in drawings {
        let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error} in {svg}"));
        let root = document.root_element();
        assert!(
            root.has_attribute("viewBox") && !root.has_attribute("width"),
            "{svg}"
        );
        let title = root
            .children()
            .find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")));
        assert!(
            title
                .and_then(|node| node.text())
                .is_some_and(|text| !text.is_empty()),
            "{svg}"
        );
    }
}

#[test]
fn no_fixed_colour_is_left_in_a_drawing() {
    for svg in drawings(&html(&demo())) {
        assert!(!svg.contains("=\"#"), "{svg}");
    }
}

/// Labels of one drawing that stand on the same line must not touch. Width is estimated generously for the
/// fonts browsers fall back to.
#[test]
fn labels_do_not_overlap_from_2_10_to_2_22() {
    let sizes: Vec<u64> = (10..=22).map(|power| 1 << power).collect();
    let page = html(
        &RunBuilder::new()
            .with_batch_cells()
            .sizes(&sizes)
            .rounds(3)
            .build(),
    );
    for svg in drawings(&page) {
        let document = roxmltree::Document::parse(svg).unwrap();
        let mut boxes: Vec<(f64, f64, f64, f64, String)> = Vec::new();
        for node in document
            .descendants()
            .filter(|node| node.tag_name().name() == "text")
        {
            let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
            let text = node.text().unwrap_or("").trim().to_owned();
            let (x, y, size) = (number("x"), number("y"), number("font-size"));
            let width = text.chars().count() as f64 * size * 0.56;
            let left = match node.attribute("text-anchor").unwrap() {
                "start" => x,
                "middle" => x - width / 2.0,
                _ => x - width,
            };
            boxes.push((left, left + width, y - size * 0.45, y + size * 0.45, text));
        }
        for (index, one) in boxes.iter().enumerate() {
            for other in &boxes[index + 1..] {
                let apart = one.1 <= other.0 || other.1 <= one.0 || one.3 <= other.2 || other.3 <= one.2;
                assert!(apart, "{:?} touches {:?} in {}", one.4, other.4, &svg[..200]);
            }
        }
        let root = document.root_element();
        let width: f64 = root
            .attribute("viewBox")
            .unwrap()
            .split(' ')
            .nth(2)
            .unwrap()
            .parse()
            .unwrap();
        for (left, right, .., text) in &boxes {
            assert!(
                *left >= -1.0 && *right <= width + 2.0,
                "{text:?} leaves {}",
                &svg[..200]
            );
        }
    }
}

#[test]
fn nothing_is_fetched_and_no_script_runs() {
    let page = html(&demo());
    let without_namespace = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for forbidden in [
        "http:",
        "https:",
        "//cdn",
        "<script",
        "@import",
        "url(",
        "src=",
        "javascript:",
        "onload=",
    ] {
        assert!(!without_namespace.contains(forbidden), "{forbidden} in the page");
    }
}

#[test]
fn every_plot_has_its_command_reading_and_numbers() {
    let page = html(&demo());
    let figures: Vec<&str> = sections(&page)
        .into_iter()
        .filter(|section| section.contains("<figure>"))
        .collect();
    assert!(figures.len() >= 7, "{}", figures.len());
    for figure in figures {
        assert!(
            figure.contains("<pre class=\"command\">ctbench bench --profile quick --tables "),
            "{figure}"
        );
        assert!(
            figure.contains("--seed 1</pre>") && figure.contains("How to read it."),
            "{figure}"
        );
        assert!(
            figure.contains("<details>") && figure.contains("<tbody>\n<tr>"),
            "{figure}"
        );
        assert!(
            figure.contains("class=\"legend\"") && figure.contains("<svg"),
            "{figure}"
        );
    }
}

#[test]
fn errors_come_before_any_number_and_have_none() {
    let page = html(&demo());
    let errors = page.find("id=\"errors\" role").unwrap();
    assert!(errors < page.find("id=\"matrix\"").unwrap());
    assert!(page.contains("op 48213 (hit, original, connection 1771)"));
    assert!(page.contains(">14 failed</a>") && page.contains("<h2>14 failed cells</h2>"));
    let matrix = sections(&page)
        .into_iter()
        .find(|section| section.starts_with("id=\"matrix\""))
        .unwrap();
    assert!(matrix.contains("<strong>ERROR</strong><small>wrong answer</small>"));
    assert!(matrix.contains("<span>best</span>") && matrix.contains("class=\"d5\""));
}

#[test]
fn the_harness_is_never_ranked() {
    let page = html(&demo());
    for section in sections(&page)
        .into_iter()
        .filter(|section| section.contains("class=\"matrix\""))
    {
        assert!(!section.contains("null"), "{section}");
    }
    assert!(
        sections(&page)
            .iter()
            .any(|section| section.starts_with("id=\"harness\"") && section.contains("null"))
    );
}

fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let start = format!("id=\"{id}\"");
    let found = sections(page)
        .into_iter()
        .find(|section| section.starts_with(&start));
    found.unwrap_or_else(|| panic!("no section {id}"))
}

/// The row of a table in a matrix.
fn matrix_row<'a>(section: &'a str, table: &str) -> &'a str {
    let rows = section.split("<tr>").filter(|row| row.contains("swatch"));
    let found = rows
        .into_iter()
        .find(|row| row.contains(&format!(" {table}</th>")));
    found.unwrap_or_else(|| panic!("no {table} in {section}"))
}

/// In these records the refusing tables are the fastest in `full` and in the flood: they would have won.
#[test]
fn who_refuses_is_marked_and_best_nowhere() {
    let records = RunBuilder::new().workloads(&["full", "flood:everyday"]).build();
    let page = html(&records);
    for id in ["matrix", "matrix-threads", "matrix-tail"] {
        let matrix = section(&page, id);
        for table in ["std", "hashbrown"] {
            let row = matrix_row(matrix, table);
            assert!(row.contains("<strong>refuses</strong>"), "{id}: {row}");
            assert!(
                !row.contains("class=\"best\"") && !row.contains("class=\"tie\""),
                "{id}: {row}"
            );
            assert!(row.contains("not ranked in 2"), "{id}: {row}");
        }
        assert!(
            id == "matrix-tail" || matrix_row(matrix, "std").contains(" Mpps"),
            "its figure stays"
        );
        assert!(matrix.contains("<span>best</span>"), "{id}");
    }
    for id in ["throughput", "latency", "threads", "flood-1"] {
        let note = "Not ranked, refuses newcomers when full: hashbrown, std.";
        assert!(section(&page, id).contains(note), "{id}");
    }
    // The harness's part is that of the fastest table that did the work.
    let harness = section(&page, "harness");
    let row = harness
        .split("<tr>")
        .find(|row| row.starts_with("<td class=\"name\">full"));
    assert!(
        row.is_some_and(|row| row.contains("<td>hashtrie</td>")),
        "{row:?}"
    );
}

#[test]
fn what_is_orphaned_has_a_column_and_is_ranked_by_itself() {
    let records = RunBuilder::new()
        .workloads(&["steady", "full"])
        .threads(&[1])
        .build();
    let page = html(&records);
    let matrix = section(&page, "matrix");
    assert_eq!(matrix.matches(">orphaned<small>").count(), 1, "{matrix}");
    // None is lost by the two that evict well: a tie. Who refuses has its share, and no rank but there.
    for table in ["hashtrie", "hashtrie-lpm"] {
        let cell = "<td class=\"tie\"><strong>0%</strong> <span>tie</span>";
        assert!(matrix_row(matrix, table).contains(cell), "{matrix}");
    }
    let refused = matrix_row(matrix, "hashbrown");
    assert!(
        refused.contains("<td class=\"d5\"><strong>25.0%</strong>"),
        "{refused}"
    );
    let only_steady = html(&RunBuilder::new().workloads(&["steady"]).build());
    assert!(!section(&only_steady, "matrix").contains("orphaned"));
}

#[test]
fn the_flood_section_tells_what_the_limit_costs() {
    let page = html(
        &RunBuilder::new()
            .workloads(&["flood:everyday"])
            .threads(&[1])
            .build(),
    );
    let flood = section(&page, "flood-1");
    assert!(flood.contains("<h3>What the limit costs</h3>"));
    assert!(
        flood.contains("<td class=\"name\">std</td><td class=\"name\">not ranked: refuses</td>"),
        "{flood}"
    );
    assert!(flood.contains("<td>90.0%</td><td>45k</td>"), "{flood}");
    for loss in [
        "orphaned packets",
        "evicted, legitimate",
        "evicted, attack",
        "refused newcomers",
    ] {
        assert!(flood.contains(&format!("<h4>{loss}</h4>")), "{loss}");
    }
    assert!(!flood.contains(">null<"), "the harness holds nothing");
}

#[test]
fn lookups_at_once_have_panels_and_columns_of_their_own() {
    let page = html(
        &RunBuilder::new()
            .workloads(&["steady"])
            .with_batch_cells()
            .build(),
    );
    assert!(section(&page, "throughput").contains("<h4>steady, 32 at once</h4>"));
    assert!(section(&page, "latency").contains("<h4>steady, 32 at once (1Mi connections)</h4>"));
    assert!(section(&page, "matrix").contains(">steady, 32 at once<small>"));
    assert!(section(&page, "threads").contains("--filter &#x27;&#x2f;b1$&#x27; --seed 1"));
}

#[test]
fn a_missing_prefill_is_explained_once_per_place() {
    let why = "No prefill, so not measured (the table begins empty): flood:everyday, replay:flood.";
    let records = RunBuilder::new()
        .workloads(&["steady", "flood:everyday", "replay:flood"])
        .build();
    assert_eq!(html(&records).matches(why).count(), 2, "matrix and plot");
    assert!(!html(&RunBuilder::new().workloads(&["steady"]).build()).contains("No prefill, so"));
}

/// As large as a real run: ten tables, histograms of a thousand durations, timelines of 240 points, five rounds.
#[test]
fn a_report_of_a_real_run_stays_small() {
    let mut records = RunBuilder::new()
        .tables(&[
            "rcu", "chained", "hashtrie", "std", "a", "b", "c", "d", "e", "null",
        ])
        .with_batch_cells()
        .sizes(&[1 << 10, 1 << 14, 1 << 17, 1 << 20])
        .build();
    for (index, record) in records.iter_mut().enumerate() {
        let mut noise = support::Noise::of(&index.to_string());
        let m = measurement(record);
        m.batch_ns = (0..1000)
            .map(|step| (400 + 13 * step + noise.0 % 13, 1 + 4000 / (step + 1)))
            .collect();
        if !m.timeline.is_empty() {
            m.timeline = (0..240)
                .map(|step| TimelinePoint {
                    time_ms: step * 1000,
                    live_assured: 9000 + noise.whole() % 300,
                    live_unassured: 3000 + noise.whole() % 300,
                    orphaned: step * step,
                    ..TimelinePoint::default()
                })
                .collect();
        }
    }
    let size = html(&records).len();
    assert!(size < 1_500_000, "{size}");
}

#[test]
fn records_without_errors_have_no_errors_section() {
    let page = html(&RunBuilder::new().workloads(&["steady"]).sizes(&[1024]).build());
    assert!(!page.contains("id=\"errors\"") && page.contains("none failed"));
}

#[test]
fn no_records_are_an_error_with_advice() {
    let error = render(&[], &ReportOptions::default()).unwrap_err();
    assert!(matches!(error, ReportError::Empty));
    assert!(error.to_string().contains("ctbench bench"));
}

/// Names are data: of tables, workloads (file names are part of them), sources, arguments, machines, messages.
#[test]
fn hostile_text_stays_text() {
    let evil = "</title></svg></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u{0}\u{1b}[2J\u{202e}{{ 7*7 }}";
    let mut records = RunBuilder::new()
        .workloads(&["steady", "flood:x"])
        .sizes(&[1024, 4096])
        .threads(&[1, 2])
        .rounds(3)
        .build();
    for (index, record) in records.iter_mut().enumerate() {
        if record.cell.table != "null" {
            record.cell.table = format!("{evil}{}", record.cell.table);
        }
        record.cell.workload = format!("{}{evil}", record.cell.workload);
        record.trace.source = evil.into();
        record.trace.digest = evil.into();
        record.program.argv = vec!["ctbench".into(), "--capture".into(), evil.into()];
        record.program.commit = evil.into();
        record.program.rustc = evil.into();
        record.program.features = vec![evil.into()];
        record.machine.cpu = evil.into();
        record.machine.governor = Some(evil.into());
        record.machine.hypervisor = Some(evil.into());
        record.machine.mitigations = vec![(evil.into(), evil.into())];
        if index % 7 == 0 {
            record.outcome = Outcome::Error {
                kind: ErrorKind::Crash,
                message: evil.into(),
            };
        }
    }
    let options = ReportOptions {
        title: evil.into(),
        ..ReportOptions::default()
    };
    let page = render(&records, &options).unwrap();
    for forbidden in ["<script", "<img", "\u{0}", "\u{1b}", "\u{202e}", "{{ 49"] {
        assert!(!page.contains(forbidden), "{forbidden:?} got through");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("<title>").count(), 1 + drawings(&page).len());
    for svg in drawings(&page) {
        roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error} in {svg}"));
    }
}

/// A run may be cut short anywhere, and filters leave any subset.
#[test]
fn any_subset_of_records_makes_a_report() {
    let all = demo();
    let page = |records: &[Record]| drawings(&html(records)).len();
    page(&all[..1]);
    for record in all.iter().step_by(97) {
        page(std::slice::from_ref(record));
    }
    for table in support::TABLES {
        page(
            &all.iter()
                .filter(|record| record.cell.table == table)
                .cloned()
                .collect::<Vec<_>>(),
        );
    }
    for workload in support::WORKLOADS {
        page(
            &all.iter()
                .filter(|record| record.cell.workload == workload)
                .cloned()
                .collect::<Vec<_>>(),
        );
    }
    let mut thinned = all.clone();
    let mut noise = support::Noise::of("subset");
    thinned.retain(|_| noise.unit() < 0.1);
    page(&thinned);
}

#[test]
fn only_errors_make_a_report_without_plots() {
    let records: Vec<Record> = demo()
        .into_iter()
        .filter(|r| matches!(r.outcome, Outcome::Error { .. }))
        .collect();
    let page = html(&records);
    assert!(
        page.contains("id=\"errors\"") && !page.contains("<figure>"),
        "{page}"
    );
}

#[test]
fn no_timelines_make_a_report_without_them() {
    let page = html(&RunBuilder::new().without_timelines().build());
    assert!(!page.contains("id=\"flood-1\"") && page.contains("id=\"threads\""));
}

/// Numbers at the ends of their types, from a file somebody edited.
#[test]
fn extreme_numbers_do_not_panic() {
    for value in [0, 1, u64::MAX] {
        let mut records = RunBuilder::new()
            .workloads(&["steady", "full"])
            .sizes(&[1024, 4096])
            .rounds(3)
            .build();
        for (index, record) in records.iter_mut().enumerate() {
            record.finished_unix_s = value;
            record.trace.ops = value;
            if index % 3 == 0 {
                record.cell.connections = value;
                record.cell.threads = if value == 0 { 0 } else { u32::MAX };
            }
            record.machine.l2_bytes = Some(value);
            record.machine.memory_bytes = value;
            let m = measurement(record);
            if index % 2 == 0 {
                (m.packets, m.wall_ns, m.burst) = (value, value, 0);
            }
            m.batch_ns = vec![(value, value), (value, value), (0, 1)];
            m.worst_batch_ns = value;
            m.clock.cost_ps = value;
            m.memory = reports::MemoryFacts {
                empty_bytes: value,
                filled_bytes: value,
                resident_bytes: value,
                own_bytes: value,
                connections: value,
            };
            let point = TimelinePoint {
                time_ms: value,
                op: value,
                live_assured: value,
                live_unassured: value,
                live_attack: value,
                evicted_attack: value,
                evicted_legitimate: value,
                refused: value,
                orphaned: value,
            };
            m.timeline = vec![point, TimelinePoint::default(), point];
        }
        let page = html(&records);
        for svg in drawings(&page) {
            roxmltree::Document::parse(svg).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}

#[test]
fn a_long_timeline_is_thinned() {
    let mut records = RunBuilder::new()
        .tables(&["rcu"])
        .workloads(&["full"])
        .sizes(&[1024])
        .threads(&[1])
        .rounds(1)
        .build();
    measurement(&mut records[0]).timeline = (0..200_000)
        .map(|op| TimelinePoint {
            time_ms: op,
            op,
            live_attack: op,
            ..TimelinePoint::default()
        })
        .collect();
    assert!(html(&records).len() < 150_000);
}

#[test]
fn weaknesses_of_the_run_are_warned_of() {
    let mut records = RunBuilder::new()
        .workloads(&["steady"])
        .sizes(&[1024])
        .threads(&[8])
        .rounds(2)
        .build();
    let last = records.len() - 1;
    records[last].program.commit = "another".into();
    records[last].cell.seed = 99;
    records[last].machine.cpu = "another".into();
    records[last].program.dirty = true;
    records[last].finished_unix_s += 10;
    let page = html(&records);
    for warning in [
        "Virtual machine",
        "SMT is on",
        "Frequency governor",
        "Transparent huge pages",
        "Too few rounds",
        "Several builds",
        "Several machines",
        "Uncommitted changes",
        "More threads than CPUs",
    ] {
        assert!(
            page.contains(&format!("<strong>{warning}:</strong>")),
            "no warning of {warning}"
        );
    }
}

#[test]
fn the_focus_chooses_the_size() {
    let records = RunBuilder::new().workloads(&["steady"]).threads(&[1]).build();
    let options = ReportOptions {
        focus_connections: Some(5000),
        ..ReportOptions::default()
    };
    let page = render(&records, &options).unwrap();
    assert!(page.contains("steady (4Ki connections)"));
    assert!(html(&records).contains("steady (1Mi connections)"));
}

#[test]
fn records_alone_decide_the_report() {
    let mut records = demo();
    let first = html(&records);
    records.reverse();
    assert_eq!(html(&records), first);
    let summary = RunSummary::from_records(&records);
    assert_eq!(summary.tables.iter().collect::<BTreeSet<_>>().len(), 7);
}

/// Relative luminance contrast, WCAG 2.2.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |hex: &str| {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn colours_have_contrast_in_light_dark_and_print() {
    let style = include_str!("../src/report/style.css");
    let blocks: Vec<&str> = style
        .split(":root {")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 3, "light, dark, print");
    for block in blocks {
        let color = |name: &str| {
            let place = block
                .find(&format!("{name}:"))
                .unwrap_or_else(|| panic!("{name} missing"));
            block[place + name.len() + 1..].trim_start()[..7].to_owned()
        };
        let check = |text: &str, back: &str, least: f64| {
            let found = contrast(&color(text), &color(back));
            assert!(
                found >= least,
                "{text} on {back}: {found:.2}, below {least} in {block}"
            );
        };
        for back in ["--page", "--panel"] {
            for text in ["--text", "--muted", "--accent", "--bad"] {
                check(text, back, 4.5);
            }
            for series in 0..8 {
                check(&format!("--s{series}"), back, 3.0);
            }
        }
        for back in [
            "--best-bg",
            "--tie-bg",
            "--d1",
            "--d2",
            "--d3",
            "--d4",
            "--d5",
            "--warn-bg",
            "--bad-bg",
        ] {
            check("--text", back, 4.5);
        }
        check("--bad", "--bad-bg", 4.5);
    }
}

/// The same run as plain text, printed for whoever looks (`cargo test -p reports --test report -- --nocapture`).
#[test]
fn the_summary_of_the_demo_fits_a_terminal() {
    let text = reports::summary::render(&RunSummary::from_records(&demo()), 80);
    println!("{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80) && text.lines().count() < 90);
}
