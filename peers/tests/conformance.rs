//! Every peer through the conformance suite.

use peers::{HashbrownMap, HashbrownPrefix, StdMap};
use structures::conformance;

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
