# The short list of things people do. `just` alone lists them.

set positional-arguments

# List the recipes
default:
    @just --list --unsorted

# Measure: the quick profile, then a report (arguments go to `ctbench bench`)
bench *arguments:
    cargo run --release -- bench "$@"

# Run all tests
test:
    cargo test --workspace

# Run every cell once and check its answers, untimed
verify *arguments:
    cargo run --release -- verify "$@"

# Tell what this machine offers and what will disturb measurements
doctor:
    cargo run --release -- doctor

# Formatting, lints, crate layering
check:
    .ci/check

# criterion micro-benchmarks per operation and table (needs nothing; FILTER like 'hit/rcu')
criterion *filter:
    cargo bench -p harness --bench operations -- "$@"

# gungraun instruction counts per operation and table (needs valgrind and gungraun-runner; says how to get them)
instructions *arguments:
    .ci/instructions "$@"

# Model-check the lock-free parts with loom (minutes)
loom:
    .ci/loom

# The report's test in headless Chromium (apt-get install chromium)
browser:
    cargo test -p reports --test chromium -- --nocapture

# Record our own captures again, in network namespaces (root; `pcaps/record.sh --help`)
pcaps *arguments:
    pcaps/record.sh "$@"

# Everything CI runs
ci:
    .ci/run
