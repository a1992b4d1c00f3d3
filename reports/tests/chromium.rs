//! The report in a real browser: it renders, and the console stays silent.
//!
//! Needs Chromium (`apt-get install chromium`, or `CHROMIUM=/path/to/chromium`); where there is none the tests say so
//! and pass.

#![expect(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reports::report::{ReportOptions, render};
use support::RunBuilder;

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// The browser, or `None` with a printed message.
fn browser() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Some(path.into());
    }
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let found = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|p| p.is_file());
    if found.is_none() {
        println!(
            "skipped: no Chromium found (tried {}; CHROMIUM=path names another)",
            NAMES.join(", ")
        );
    }
    found
}

/// What came of rendering a page.
struct Rendered {
    /// The document after rendering.
    dom: String,
    /// Lines the page wrote to the console, errors and warnings among them.
    console: Vec<String>,
}

fn run(browser: &Path, arguments: &[&str], page: &Path) -> std::process::Output {
    let profile = tempfile::tempdir().unwrap();
    Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .args(["--enable-logging=stderr", "--v=0", "--timeout=60000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap()
}

fn rendered(browser: &Path, html: &str) -> Rendered {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    fs::write(&page, html).unwrap();
    let output = run(browser, &["--dump-dom"], &page);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let log = String::from_utf8_lossy(&output.stderr);
    // Messages of the page carry the word CONSOLE and their source; messages of the browser itself do not.
    let console = log
        .lines()
        .filter(|line| line.contains(":CONSOLE"))
        .map(str::to_owned)
        .collect();
    Rendered {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        console,
    }
}

/// With names as long as file names are.
fn demo() -> String {
    let long = "2026-11-20T19-05-00Z_office_gateway_eth0_all_traffic_of_the_day";
    let (replay, flood) = (format!("replay:{long}"), format!("flood:{long}"));
    let workloads = [
        "steady",
        "churn",
        "miss",
        "full",
        "flood:everyday",
        &replay,
        &flood,
    ];
    let records = RunBuilder::new()
        .tables(&[
            "chained",
            "hashtrie",
            "rcu",
            "std",
            "hashbrown",
            &long[..40],
            "null",
        ])
        .workloads(&workloads)
        .with_batch_cells()
        .with_believable_errors()
        .build();
    render(&records, &ReportOptions::default()).unwrap()
}

/// The check can fail: each kind of complaint is caught.
#[test]
fn a_page_that_complains_is_caught() {
    let Some(browser) = browser() else { return };
    let pages = [
        "<!DOCTYPE html><title>x</title><script>throw new Error('planted')</script>",
        "<!DOCTYPE html><title>x</title><script>console.warn('planted')</script>",
        "<!DOCTYPE html><title>x</title><script>console.error('planted')</script>",
        "<!DOCTYPE html><title>x</title><img src='planted.png'><script src='planted.js'></script>\
         <script>window.onload = () => { undefinedFunction() }</script>",
        "<!DOCTYPE html><title>x</title><svg viewBox='0 0 planted 1'><path d='planted'/></svg>",
    ];
    for page in pages {
        let seen = rendered(&browser, page);
        assert!(!seen.console.is_empty(), "nothing was caught of {page}");
    }
    let quiet = rendered(&browser, "<!DOCTYPE html><title>x</title><p>fine");
    assert_eq!(quiet.console, Vec::<String>::new());
}

#[test]
fn the_report_renders_without_a_word_on_the_console() {
    let Some(browser) = browser() else { return };
    let page = demo();
    let seen = rendered(&browser, &page);
    assert_eq!(seen.console, Vec::<String>::new());
    // What the parser made of it is what was meant: nothing was moved or dropped.
    for element in ["<svg", "<section", "<table", "<details", "<figure", "<tr>"] {
        assert_eq!(
            seen.dom.matches(element).count(),
            page.matches(element).count(),
            "{element}"
        );
    }
}

/// At phone width nothing but the boxes made for it scrolls sideways. A script put into a copy of the page measures.
#[test]
fn a_phone_need_not_scroll_sideways() {
    let Some(browser) = browser() else { return };
    let measure = "<script>addEventListener('load', () => { \
        const wide = [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') || e.matches('.scroll')) \
          .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className); \
        document.title = 'width ' + innerWidth + ' wide [' + wide.slice(0, 5).join(' ') + ']'; })</script></head>";
    // Headless windows have a least width, so the page goes into a frame of a phone's.
    let inner = demo().replacen("</head>", measure, 1);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("inner.html"), inner).unwrap();
    let outer = folder.path().join("outer.html");
    fs::write(
        &outer,
        "<!DOCTYPE html><title>-</title><iframe id=f width=390 height=800 style='border:0' src='inner.html'></iframe>\
         <script>f.onload = () => { document.title = f.contentDocument.title }</script>",
    )
    .unwrap();
    let output = run(
        &browser,
        &["--dump-dom", "--allow-file-access-from-files"],
        &outer,
    );
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|rest| rest.split("</title>").next())
        .unwrap_or("")
        .to_owned();
    assert_eq!(title, "width 390 wide []");
}
