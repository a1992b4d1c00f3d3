//! `list`: what there is to measure.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::{ListArgs, Listed};
use crate::registry;
use crate::session::Session;
use crate::workload::{self, CaptureOptions, Needs};
use crate::{machine, plan};

/// Lists.
///
/// # Errors
/// For cells: unknown names and broken captures.
pub fn run(args: &ListArgs) -> Result<ExitCode> {
    let captures = CaptureOptions {
        files: args.cells.capture.clone(),
        strict: args.cells.strict,
    };
    let all = args.what == Listed::All;
    let mut json = serde_json::Map::new();
    let mut text = String::new();
    if all || args.what == Listed::Tables {
        tables(&mut text, &mut json)?;
    }
    if all || args.what == Listed::Workloads {
        workloads(&captures, &mut text, &mut json)?;
    }
    if all || args.what == Listed::Captures {
        capture_list(&captures, &mut text, &mut json)?;
    }
    if args.what == Listed::Cells {
        cells(args, &mut text, &mut json)?;
    }
    if args.json {
        super::print_json(&Value::Object(json))?;
    } else {
        super::print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

type Json = serde_json::Map<String, Value>;

fn tables(text: &mut String, json: &mut Json) -> Result<()> {
    writeln!(text, "Tables")?;
    let mut list = Vec::new();
    for table in registry::tables() {
        let mut can = Vec::new();
        if table.info.evicts {
            can.push("evicts when full");
        }
        if table.prefixes {
            can.push("prefixes");
        }
        let can = if can.is_empty() {
            String::new()
        } else {
            format!(" [{}]", can.join(", "))
        };
        entry(text, table.name, &format!("{}{can}", table.info.summary))?;
        entry(text, "", &format!("locking: {}", table.info.locking))?;
        list.push(json!({
            "name": table.name, "summary": table.info.summary, "locking": table.info.locking,
            "options": table.options, "evicts": table.info.evicts, "prefixes": table.prefixes,
        }));
    }
    json.insert("tables".into(), list.into());
    Ok(())
}

fn workloads(captures: &CaptureOptions, text: &mut String, json: &mut Json) -> Result<()> {
    writeln!(text, "Workloads")?;
    let mut list = Vec::new();
    for workload in workload::synthetic() {
        let needs = if workload.needs == Needs::Prefixes {
            " [tables with prefixes]"
        } else {
            ""
        };
        entry(text, &workload.name, &format!("{}{needs}", workload.about))?;
        list.push(json!({ "name": workload.name, "about": workload.about }));
    }
    for name in captures.workload_names() {
        let about = workload::capture_about(&name);
        entry(text, &name, about)?;
        list.push(json!({ "name": name, "about": about }));
    }
    json.insert("workloads".into(), list.into());
    Ok(())
}

fn capture_list(captures: &CaptureOptions, text: &mut String, json: &mut Json) -> Result<()> {
    writeln!(text, "Captures")?;
    let mut list = Vec::new();
    for source in captures.sources() {
        let replay = source.load(captures.strict)?;
        let facts = workload::describe_capture(&replay).join("; ");
        entry(text, &source.name, &format!("{}: {facts}", source.place()))?;
        list.push(json!({ "name": source.name, "place": source.place(), "facts": facts }));
    }
    json.insert("captures".into(), list.into());
    Ok(())
}

fn cells(args: &ListArgs, text: &mut String, json: &mut Json) -> Result<()> {
    let session = Session::prepare(&args.cells, &AtomicBool::new(false))?;
    let mut list = Vec::new();
    for cell in &session.cells {
        let name = plan::cell_name(cell);
        writeln!(text, "{name}")?;
        list.push(json!({ "name": name, "cell": cell, "trace": session.trace(cell) }));
    }
    let rounds = args.cells.profile.scale(machine::online_cpus()).rounds;
    eprintln!("{} cells, {rounds} rounds", session.cells.len());
    json.insert("cells".into(), list.into());
    Ok(())
}

/// Column at which descriptions start.
const INDENT: usize = 20;
/// Width of a terminal everybody has.
const WIDTH: usize = 80;

/// `  name      description`, wrapped to 80 columns.
fn entry(text: &mut String, name: &str, about: &str) -> Result<()> {
    let mut line = format!("  {name:<width$}", width = INDENT - 2);
    if name.len() > INDENT - 3 {
        writeln!(text, "{}", line.trim_end())?;
        line = " ".repeat(INDENT);
    }
    let mut empty = true;
    for word in about.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(text, "{line}")?;
            line = " ".repeat(INDENT);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(text, "{}", line.trim_end())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_fit_80_columns() {
        let mut text = String::new();
        entry(&mut text, "a-very-long-name-of-something", &"word ".repeat(60)).unwrap();
        entry(&mut text, "short", "one line").unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("  short             one line"));
    }
}
