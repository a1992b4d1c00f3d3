//! gungraun instruction counts: every operation on every table, the same from run to run. `just instructions`.
//!
//! One count is [`OPERATIONS`] operations on a table of [`CONNECTIONS`] connections. Counted by valgrind, so that no
//! neighbour, clock rate or cache disturbs them: these are what CI may gate on.
#![expect(missing_docs, reason = "the macros make undocumented items")]

use gungraun::{library_benchmark, library_benchmark_group, main};
use harness::micro::{Micro, MicroOp, OPERATIONS};
use harness::registry;

/// Connections in the table.
const CONNECTIONS: u32 = 1 << 14;
const _: () = assert!(OPERATIONS <= CONNECTIONS);

fn names() -> Vec<&'static str> {
    registry::tables().iter().map(|table| table.name).collect()
}

fn prepared(name: &str, op: MicroOp) -> Box<dyn Micro> {
    let table = registry::tables()
        .into_iter()
        .find(|table| table.name == name)
        .expect("a name of the registry");
    let mut bench = table.micro(CONNECTIONS).expect("the table builds");
    // The measured run is the second: the first one warms allocators and lazy set-up.
    bench.prepare(op);
    bench.measure(op);
    bench.prepare(op);
    bench
}

fn ready_hit(name: &'static str) -> Box<dyn Micro> {
    prepared(name, MicroOp::Hit)
}

fn ready_hit_batch(name: &'static str) -> Box<dyn Micro> {
    prepared(name, MicroOp::HitBatch)
}

fn ready_miss(name: &'static str) -> Box<dyn Micro> {
    prepared(name, MicroOp::Miss)
}

fn ready_insert(name: &'static str) -> Box<dyn Micro> {
    prepared(name, MicroOp::Insert)
}

fn ready_remove(name: &'static str) -> Box<dyn Micro> {
    prepared(name, MicroOp::Remove)
}

#[library_benchmark]
#[benches::table(iter = names(), setup = ready_hit)]
fn hit(mut bench: Box<dyn Micro>) -> Box<dyn Micro> {
    bench.measure(MicroOp::Hit);
    bench
}

#[library_benchmark]
#[benches::table(iter = names(), setup = ready_hit_batch)]
fn hit_batch(mut bench: Box<dyn Micro>) -> Box<dyn Micro> {
    bench.measure(MicroOp::HitBatch);
    bench
}

#[library_benchmark]
#[benches::table(iter = names(), setup = ready_miss)]
fn miss(mut bench: Box<dyn Micro>) -> Box<dyn Micro> {
    bench.measure(MicroOp::Miss);
    bench
}

#[library_benchmark]
#[benches::table(iter = names(), setup = ready_insert)]
fn insert(mut bench: Box<dyn Micro>) -> Box<dyn Micro> {
    bench.measure(MicroOp::Insert);
    bench
}

#[library_benchmark]
#[benches::table(iter = names(), setup = ready_remove)]
fn remove(mut bench: Box<dyn Micro>) -> Box<dyn Micro> {
    bench.measure(MicroOp::Remove);
    bench
}

library_benchmark_group!(name = operations; benchmarks = hit, hit_batch, miss, insert, remove);
main!(library_benchmark_groups = operations);
