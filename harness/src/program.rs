//! What the running program is: revision, compiler, flags, and a hash of the executable itself.

use std::sync::OnceLock;

use reports::Program;
use xxhash_rust::xxh3::xxh3_64;

/// Facts about this program, as records carry them.
#[must_use]
pub fn facts() -> Program {
    Program {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("CTBENCH_COMMIT").to_owned(),
        dirty: env!("CTBENCH_DIRTY") == "true",
        rustc: env!("CTBENCH_RUSTC_VERSION").to_owned(),
        flags: env!("CTBENCH_FLAGS").to_owned(),
        features: features(),
        argv: std::env::args().map(|argument| shell_word(&argument)).collect(),
    }
}

fn features() -> Vec<String> {
    if cfg!(feature = "counters") {
        vec!["counters".to_owned()]
    } else {
        Vec::new()
    }
}

/// The program's own name for command lines in reports, whatever path it was started by.
fn shell_word(argument: &str) -> String {
    match std::path::Path::new(argument).file_name() {
        Some(name) if argument.ends_with("ctbench") => name.to_string_lossy().into_owned(),
        _ => argument.to_owned(),
    }
}

/// Hash of the executable: results of another build are stale, even with the same commit.
#[must_use]
pub fn executable_hash() -> u64 {
    static HASH: OnceLock<u64> = OnceLock::new();
    *HASH.get_or_init(|| {
        let read = std::env::current_exe().and_then(std::fs::read);
        read.map_or(0, |bytes| xxh3_64(&bytes))
    })
}
