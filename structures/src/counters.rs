//! Event counters, named as `nf_conntrack` names them where it has one.
//!
//! They are per handle (no sharing, no atomics) and exist only with the feature `counters`: headline runs
//! are compiled without them, and [`Counters::count`] is then empty.

/// What happened inside a table that its answers alone do not show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lookups that found their connection.
    pub found: u64,
    /// Connections inserted.
    pub insert: u64,
    /// Inserts refused: a duplicate tuple was present.
    pub insert_failed: u64,
    /// Inserts refused: table full and nothing evictable was found.
    pub drop: u64,
    /// Connections evicted for a newcomer.
    pub early_drop: u64,
    /// Connections removed because their timeout had passed.
    pub expired: u64,
    /// Connections removed on request.
    pub delete: u64,
    /// Lookups started again because a writer interfered.
    pub search_restart: u64,
    /// Inserts refused: chain over the cap.
    pub chaintoolong: u64,
    /// Entries looked at beyond the first, in any operation: chain links, trie levels, overflow lines.
    pub extra_probes: u64,
    /// Structural growth or shrinking steps (node splits, collapses, rehashes).
    pub resize: u64,
}

impl Counters {
    /// Runs `add` on the counters, or nothing where counters are compiled out.
    #[inline(always)]
    pub fn count(&mut self, add: impl FnOnce(&mut Self)) {
        if cfg!(feature = "counters") {
            add(self);
        }
    }

    /// Every counter with its name.
    pub fn named(self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("found", self.found),
            ("insert", self.insert),
            ("insert_failed", self.insert_failed),
            ("drop", self.drop),
            ("early_drop", self.early_drop),
            ("expired", self.expired),
            ("delete", self.delete),
            ("search_restart", self.search_restart),
            ("chaintoolong", self.chaintoolong),
            ("extra_probes", self.extra_probes),
            ("resize", self.resize),
        ]
        .into_iter()
    }

    /// Sums two sets of counters.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            found: self.found + other.found,
            insert: self.insert + other.insert,
            insert_failed: self.insert_failed + other.insert_failed,
            drop: self.drop + other.drop,
            early_drop: self.early_drop + other.early_drop,
            expired: self.expired + other.expired,
            delete: self.delete + other.delete,
            search_restart: self.search_restart + other.search_restart,
            chaintoolong: self.chaintoolong + other.chaintoolong,
            extra_probes: self.extra_probes + other.extra_probes,
            resize: self.resize + other.resize,
        }
    }
}
