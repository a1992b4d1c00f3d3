//! Plans cells, runs and checks them, writes records.
//!
//! ```text
//! args -> session (cells, traces) -> child process per cell -> measure -> Outcome -> Record -> records.jsonl -> report
//! ```

pub mod args;
pub mod child;
pub mod cmd;
pub mod exit;
pub mod machine;
pub mod measure;
pub mod micro;
pub mod plan;
pub mod program;
pub mod progress;
pub mod registry;
pub mod session;
pub mod sys;
pub mod workload;
