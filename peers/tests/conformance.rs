//! Every peer through the conformance suite.

use peers::{HashbrownMap, HashbrownPrefix, StdMap};
use structures::{FlowTable, Sizing, conformance};

#[test]
fn std_map() {
    conformance::check::<StdMap>(&());
}

#[test]
fn hashbrown_map() {
    conformance::check::<HashbrownMap>(&());
}

#[test]
fn hashbrown_prefix() {
    conformance::check::<HashbrownPrefix>(&());
    conformance::prefix::check::<HashbrownPrefix>(&());
}

/// Bytes per connection at `max` connections, without the 2048 slots of slack that every table here has.
fn bytes_per_connection<T: FlowTable<Options = ()>>(max: usize) -> usize {
    let sizing = Sizing {
        max_connections: max,
        evict_when_full: false,
        seed: 1,
    };
    let table = T::new(&sizing, &()).expect("a capacity well below the limit");
    (table.memory_bytes() - 2048 * 128) / max
}

#[test]
fn bytes_per_connection_are_those_of_the_headers() {
    for max in [50_000, 1 << 16, 100_000, 115_000] {
        let (std, hashbrown) = (
            bytes_per_connection::<StdMap>(max),
            bytes_per_connection::<HashbrownMap>(max),
        );
        assert!((240..=352).contains(&std), "{max}: {std}");
        assert!((149..=170).contains(&hashbrown), "{max}: {hashbrown}");
    }
}
