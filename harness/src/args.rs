//! The command line: what can be typed, with examples. Checking and meaning are the commands'.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::plan::Profile;

/// Benchmarks connection-tracking tables on replayed captures and synthetic flows; every answer is checked.
#[derive(Debug, Parser)]
#[command(
    name = "ctbench",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  ctbench bench                          the quick profile: under 3 minutes, then a report
  ctbench bench --capture my.pcapng      the same on a capture of yours
  ctbench list                           tables, workloads, captures
  ctbench doctor                         what will disturb measurements on this machine

Exit status: 0 ok, 1 a table failed verification, 2 usage or input/output, 3 refused, 130 interrupted."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure: run every cell several times, write records and an HTML report
    #[command(after_help = "\
Examples:
  ctbench bench
  ctbench bench --profile full --out results/night
  ctbench bench --out results/night --resume
  ctbench bench --tables rcu,chained --workloads steady --flows 2^10,2^20
  ctbench bench --filter '^rcu/steady/.*/b32$'
  ctbench bench --capture office.pcapng --capture isp.pcap.gz

A cell is named table/workload/connections/threads/batch, such as rcu/steady/2^17/t1/b32;
--filter takes a regular expression over that name. A cell is run in a process of its own, in
every round, in an order shuffled by the seed. Ctrl-C leaves every finished cell whole.")]
    Bench(BenchArgs),
    /// Run every cell once and check its answers, without measuring
    #[command(after_help = "\
Examples:
  ctbench verify
  ctbench verify --tables hashtrie --capture strange.pcap
  ctbench verify --filter 'flood'")]
    Verify(VerifyArgs),
    /// List tables, workloads and captures
    #[command(after_help = "\
Examples:
  ctbench list
  ctbench list tables --json
  ctbench list cells --profile full --tables rcu")]
    List(ListArgs),
    /// Make the report of a finished or interrupted run again
    #[command(after_help = "\
Examples:
  ctbench report results/latest
  ctbench report results/latest --all
  ctbench report results/night --output night.html
  ctbench report results/night --json | jq .")]
    Report(ReportArgs),
    /// Tell what this machine offers and what will disturb measurements on it
    #[command(after_help = "\
Examples:
  ctbench doctor
  ctbench doctor --json")]
    Doctor(DoctorArgs),
    /// Run one cell; `bench` starts itself with this
    #[command(name = "run-cell", hide = true)]
    RunCell(RunCellArgs),
}

/// Which cells.
#[derive(Debug, Clone, Args)]
pub struct CellArgs {
    /// How much to measure
    #[arg(long, value_enum, default_value = "quick")]
    pub profile: Profile,
    /// Only cells whose name matches this regular expression
    #[arg(long, value_name = "REGEX")]
    pub filter: Option<String>,
    /// Only these tables (comma separated; see `ctbench list tables`)
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub tables: Vec<String>,
    /// Only these workloads (comma separated; see `ctbench list workloads`)
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub workloads: Vec<String>,
    /// Connections of synthetic workloads, instead of the profile's: 1000 or 2^20 (comma separated)
    #[arg(long, value_delimiter = ',', value_name = "SIZES", value_parser = parse_size)]
    pub flows: Vec<u64>,
    /// Thread counts, instead of the profile's (comma separated)
    #[arg(long, value_delimiter = ',', value_name = "COUNTS", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Vec<u32>,
    /// Seed of every random choice: traces, tables, the order of cells
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Capture to replay, pcap or pcapng, plain, gzip or zstd, instead of the built-in ones (repeatable)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub capture: Vec<PathBuf>,
    /// Refuse a capture that is broken somewhere, instead of using what comes before
    #[arg(long)]
    pub strict: bool,
}

/// `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Which cells.
    #[command(flatten)]
    pub cells: CellArgs,
    /// Folder for records and report [default: results/PROFILE-TIME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Do only what is missing or stale in --out (default: the latest run)
    #[arg(long)]
    pub resume: bool,
    /// Repetitions of every cell, instead of the profile's
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: Option<u32>,
    /// Start no new round after so many seconds, once every cell was run; 0: no limit [default: 140 for quick]
    #[arg(long, value_name = "SECONDS")]
    pub budget: Option<u64>,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Which cells.
    #[command(flatten)]
    pub cells: CellArgs,
    /// Print one JSON object per cell on stdout
    #[arg(long)]
    pub json: bool,
}

/// What `list` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Listed {
    /// Tables, workloads and captures.
    All,
    /// Tables.
    Tables,
    /// Workloads.
    Workloads,
    /// Captures.
    Captures,
    /// Cells of a profile.
    Cells,
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    #[arg(value_enum, default_value = "all")]
    pub what: Listed,
    /// Which cells.
    #[command(flatten)]
    pub cells: CellArgs,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folder of a run: it holds records.jsonl
    pub dir: PathBuf,
    /// Where to write the report [default: DIR/report.html]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print every workload and size on stdout, not one screen
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `run-cell`.
#[derive(Debug, Args)]
pub struct RunCellArgs {
    /// The cell, as JSON
    #[arg(long)]
    pub spec: String,
}

/// Largest number of connections that can be asked for.
const MOST_CONNECTIONS: u64 = 1 << 26;

/// `1000` or `2^20`.
fn parse_size(text: &str) -> Result<u64, String> {
    let problem = || format!("{text} is no number of connections: write 1000 or 2^20, at most 2^26");
    let size = match text.split_once('^') {
        Some(("2", bits)) => 1u64
            .checked_shl(bits.parse().map_err(|_| problem())?)
            .ok_or_else(problem)?,
        Some(_) => return Err(problem()),
        None => text.parse().map_err(|_| problem())?,
    };
    if (1..=MOST_CONNECTIONS).contains(&size) {
        Ok(size)
    } else {
        Err(problem())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_numbers_or_powers_of_two() {
        assert_eq!(parse_size("2^20"), Ok(1 << 20));
        assert_eq!(parse_size("1000"), Ok(1000));
        for bad in ["0", "2^64", "2^27", "3^2", "x", "", "-1", "2^"] {
            let error = parse_size(bad).unwrap_err();
            assert!(error.contains("write 1000 or 2^20"), "{bad}: {error}");
        }
    }
}
