//! criterion micro-benchmarks: every operation on every table. `just criterion [FILTER]`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use harness::measure::clock;
use harness::micro::{MicroOp, OPERATIONS};
use harness::registry;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Connections in the table: within L2, and past the L3 of most machines.
const SIZES: [u32; 2] = [1 << 14, 1 << 20];

fn operations(criterion: &mut Criterion) {
    for op in MicroOp::ALL {
        let mut group = criterion.benchmark_group(op.name());
        group.throughput(Throughput::Elements(OPERATIONS.into()));
        for table in registry::tables() {
            for size in SIZES {
                let id = BenchmarkId::new(table.name, size);
                // Built inside, once asked for: a filter then builds only what it runs.
                let mut bench = None;
                group.bench_function(id, |bencher| {
                    let bench = bench.get_or_insert_with(|| table.micro(size).expect("the table builds"));
                    bencher.iter_custom(|iterations| {
                        let mut total = Duration::ZERO;
                        for _ in 0..iterations {
                            bench.prepare(op);
                            let start = clock::now();
                            bench.measure(op);
                            total += start.elapsed();
                        }
                        total
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = operations
}
criterion_main!(benches);
