//! Writes what the program was built from into the program.

use std::process::Command;

fn main() {
    let commit = output("git", &["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let dirty =
        output("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = output(&rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned());
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let flags = format!(
        "profile={} opt-level={} target={} features={} rustflags={}",
        var("PROFILE"),
        var("OPT_LEVEL"),
        var("TARGET"),
        var("CARGO_CFG_TARGET_FEATURE"),
        var("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " "),
    );
    for (name, value) in [
        ("COMMIT", commit),
        ("DIRTY", dirty.to_string()),
        ("RUSTC_VERSION", version),
        ("FLAGS", flags),
    ] {
        println!("cargo::rustc-env=CTBENCH_{name}={value}");
    }
    for path in ["../.git/HEAD", "../.git/index", "../.git/refs/heads"] {
        if std::path::Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// What a command prints, trimmed; `None` where it cannot run or fails.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
