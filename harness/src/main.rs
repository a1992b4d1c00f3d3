//! The `ctbench` binary.

use std::process::ExitCode;

use clap::Parser;
use harness::args::{Cli, Command};
use harness::{cmd, exit};

/// jemalloc: the allocator every table gets, and the account of what it took.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Bench(args) => cmd::bench::run(args),
        Command::Verify(args) => cmd::verify::run(args),
        Command::List(args) => cmd::list::run(args),
        Command::Report(args) => cmd::report::run(args),
        Command::Doctor(args) => cmd::doctor::run(args),
        Command::RunCell(args) => cmd::run_cell::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("ctbench: {error:#}");
        ExitCode::from(exit::USAGE)
    })
}
