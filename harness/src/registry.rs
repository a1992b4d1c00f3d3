//! The one list of tables. Adding a table is one file in `structures` or `peers`, and one line in [`tables`].
//!
//! Each line fixes a type and its options under a name; the compiler makes a timed loop for it, and the line brings
//! conformance tests, benchmarks, plots and comparison.

use std::fmt::Debug;

use peers::{HashbrownMap, HashbrownPrefix, StdMap};
use reports::Measurement;
use structures::tables::chained::{self, Chained, GlobalLock};
use structures::tables::faulty::{LosesInserts, StaleEntries};
use structures::tables::hashtrie::{self, HashTrie};
use structures::tables::hashtrie_lpm::HashTrieLpm;
use structures::tables::null::Null;
use structures::tables::rcu::{Rcu, RcuOptions};
use structures::{
    BuildError, Classified, FlowTable, FoldHasher, PacketMeta, PolicyId, Prefix, PrefixHandle, Sip24Hasher,
    TableInfo, conformance,
};

use crate::measure::run::{Job, RunError, run};
use crate::micro::{self, Micro};

/// Every table, in the order of reports.
#[must_use]
pub fn tables() -> Vec<Table> {
    vec![
        table::<Chained<FoldHasher>>("chained", chained::Options::default()),
        table::<Chained<Sip24Hasher>>("chained-siphash", chained::Options::default()),
        table::<Chained<FoldHasher, GlobalLock>>("chained-2005", chained::Options::kernel_2005()),
        table::<HashTrie<FoldHasher>>("hashtrie", hashtrie::Options::default()),
        prefix_table::<HashTrieLpm<FoldHasher>>("hashtrie-lpm", hashtrie::Options::default()),
        table::<Rcu<FoldHasher>>("rcu", RcuOptions::default()),
        table::<StdMap>("std", ()),
        table::<HashbrownMap>("hashbrown", ()),
        prefix_table::<HashbrownPrefix>("hashbrown-prefix", ()).only_for_prefixes(),
        table::<Null>("null", ()),
    ]
}

/// Tables with planted faults: what a bench says of a table that errs can be seen, and is tested, on these. They are run only
/// when named.
#[must_use]
pub fn faulty_tables() -> Vec<Table> {
    vec![
        table::<LosesInserts<Chained>>("faulty-loses-inserts", Default::default()),
        table::<StaleEntries<Chained>>("faulty-stale-entries", Default::default()),
    ]
}

/// Every table that can be named.
#[must_use]
pub fn all_tables() -> Vec<Table> {
    let mut all = tables();
    all.extend(faulty_tables());
    all
}

/// The table that does nothing: the harness's own cost.
pub const NULL: &str = "null";

type MicroBuilder = Box<dyn Fn(u32) -> Result<Box<dyn Micro>, BuildError> + Send + Sync>;
type Run = Box<dyn Fn(&Job<'_>) -> Result<Measurement, RunError> + Send + Sync>;

/// One line of the registry.
pub struct Table {
    /// Name in records and on the command line.
    pub name: &'static str,
    /// What a reader of the report must know.
    pub info: TableInfo,
    /// Its options, for people.
    pub options: String,
    /// Whether it also holds prefixes.
    pub prefixes: bool,
    /// Whether it is measured with prefix workloads only, because another line measures the rest of it.
    pub only_prefixes: bool,
    run: Run,
    conformance: Box<dyn Fn() + Send + Sync>,
    micro: MicroBuilder,
}

impl Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Table {
    /// The same line, for prefix workloads only.
    #[must_use]
    pub fn only_for_prefixes(self) -> Self {
        Self {
            only_prefixes: true,
            ..self
        }
    }

    /// Runs one cell on this table.
    ///
    /// # Errors
    /// [`RunError`] where the table cannot be built, or answered wrong.
    pub fn run(&self, job: &Job<'_>) -> Result<Measurement, RunError> {
        (self.run)(job)
    }

    /// Runs the conformance suite.
    ///
    /// # Panics
    /// Where the table breaks the contract; the message says which clause.
    pub fn check_conformance(&self) {
        (self.conformance)();
    }

    /// A table holding `connections` connections, for micro-benchmarks.
    ///
    /// # Errors
    /// Where the table cannot be built.
    pub fn micro(&self, connections: u32) -> Result<Box<dyn Micro>, BuildError> {
        (self.micro)(connections)
    }
}

/// A registry line for a table that holds connections.
#[must_use]
pub fn table<T: FlowTable>(name: &'static str, options: T::Options) -> Table {
    let (checked, repeated) = (options.clone(), options.clone());
    Table {
        name,
        info: T::INFO,
        options: format!("{options:?}"),
        prefixes: false,
        only_prefixes: false,
        run: Box::new(move |job| run::<T, NoPrefixes>(job, &options)),
        conformance: Box::new(move || {
            if T::INFO.answers {
                conformance::check::<T>(&checked);
            }
        }),
        micro: Box::new(move |connections| micro::bench::<T>(&repeated, connections)),
    }
}

/// A registry line for a table that holds connections and prefixes.
#[must_use]
pub fn prefix_table<T>(name: &'static str, options: T::Options) -> Table
where
    T: FlowTable,
    for<'t> T::Handle<'t>: PrefixHandle,
{
    let prefixed = options.clone();
    Table {
        prefixes: true,
        run: Box::new({
            let options = options.clone();
            move |job| run::<T, WithPrefixes>(job, &options)
        }),
        conformance: Box::new(move || {
            conformance::check::<T>(&prefixed);
            conformance::prefix::check::<T>(&prefixed);
        }),
        ..table::<T>(name, options)
    }
}

/// How the timed loop reaches a table's prefixes, where it has them.
pub trait PrefixAccess<T: FlowTable> {
    /// The connection, else the longest prefix.
    fn classify(handle: &mut T::Handle<'_>, packet: &PacketMeta, hash: u64) -> Classified;

    /// Sets a prefix's policy.
    fn insert_prefix(handle: &mut T::Handle<'_>, prefix: &Prefix, policy: PolicyId);
}

/// For tables without prefixes: only connections are found. The planner gives them no prefix workload.
#[derive(Debug)]
pub struct NoPrefixes;

impl<T: FlowTable> PrefixAccess<T> for NoPrefixes {
    #[inline]
    fn classify(handle: &mut T::Handle<'_>, packet: &PacketMeta, hash: u64) -> Classified {
        use structures::FlowHandle;
        handle
            .lookup(packet, hash)
            .map_or(Classified::Nothing, Classified::Connection)
    }

    fn insert_prefix(_: &mut T::Handle<'_>, _: &Prefix, _: PolicyId) {}
}

/// For tables with prefixes.
#[derive(Debug)]
pub struct WithPrefixes;

impl<T> PrefixAccess<T> for WithPrefixes
where
    T: FlowTable,
    for<'t> T::Handle<'t>: PrefixHandle,
{
    #[inline]
    fn classify(handle: &mut T::Handle<'_>, packet: &PacketMeta, hash: u64) -> Classified {
        handle.classify(packet, hash)
    }

    fn insert_prefix(handle: &mut T::Handle<'_>, prefix: &Prefix, policy: PolicyId) {
        handle.insert_prefix(prefix, policy);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_the_null_table_is_there() {
        let tables = tables();
        let names: HashSet<_> = tables.iter().map(|t| t.name).collect();
        assert_eq!(names.len(), tables.len());
        assert!(names.contains(NULL));
        assert!(
            tables.iter().all(|t| t.info.answers != (t.name == NULL)),
            "only null has no answers"
        );
    }
}
