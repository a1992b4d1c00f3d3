//! Exit statuses.

/// A table gave a wrong answer, crashed or timed out.
pub const FAILED: u8 = 1;
/// Wrong usage, or input or output failed.
pub const USAGE: u8 = 2;
/// Interrupted by Ctrl-C, as shells number it (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
