//! One file per subcommand.

pub mod bench;
pub mod doctor;
pub mod list;
pub mod report;
pub mod run_cell;
pub mod verify;

use std::io::Write;

use anyhow::{Context, Result};

/// Writes to stdout; a closed pipe (`| head`) is no error.
///
/// # Errors
/// Anything else that goes wrong with stdout.
pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to stdout")
        }
        _ => Ok(()),
    }
}

/// Writes a value as indented JSON to stdout.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}
