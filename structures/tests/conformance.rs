//! Every table of this crate, in the configurations that matter, through the conformance suite.

// The suite runs real threads: not for the model checker.
#![cfg(not(loom))]

use structures::conformance;
use structures::tables::chained::{Buckets, Chained, Eviction, GlobalLock, HashedLocks, Options};
use structures::{FoldHasher, Sip24Hasher};

mod chained {
    use super::*;

    #[test]
    fn as_today() {
        conformance::check::<Chained>(&Options::default());
    }

    #[test]
    fn as_in_2005() {
        conformance::check::<Chained<FoldHasher, GlobalLock>>(&Options::kernel_2005());
    }

    #[test]
    fn with_siphash_and_2018_buckets() {
        let options = Options {
            buckets: Buckets::OnePer(4),
            chain_cap: false,
            ..Options::default()
        };
        conformance::check::<Chained<Sip24Hasher, HashedLocks>>(&options);
    }

    /// Long chains: everything happens inside a few of them.
    #[test]
    fn with_seven_buckets() {
        let options = Options {
            buckets: Buckets::Exactly(7),
            chain_cap: false,
            eviction: Eviction::OldestOfBucket,
        };
        conformance::check::<Chained>(&options);
    }

    #[test]
    fn with_more_buckets_than_nodes() {
        let options = Options {
            buckets: Buckets::PerConnection(4),
            ..Options::default()
        };
        // Half a node per bucket: eight buckets hold nothing with probability e^-4.
        conformance::check::<Chained>(&options);
    }
}
