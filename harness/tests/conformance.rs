//! Every line of the registry passes the contract's suite.

use harness::registry;

#[test]
fn every_registered_table_passes_the_suite() {
    for table in registry::tables() {
        println!("conformance: {}", table.name);
        table.check_conformance();
    }
}
