//! The `ctbench` binary.
fn main() {}
