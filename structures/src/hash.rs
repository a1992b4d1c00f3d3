//! Keyed hash functions over a tuple.
//!
//! A table hashes a tuple once and passes the hash on: a lookup that misses hands its hash to the insert.

use std::fmt::Debug;
use std::hash::{BuildHasher, Hasher};

use siphasher::sip::SipHasher24;

use crate::tuple::Tuple;

/// A keyed 64-bit hash of a tuple.
pub trait TupleHasher: Clone + Debug + Send + Sync + 'static {
    /// Name in records and reports.
    const NAME: &'static str;

    /// A hasher whose key is derived from `seed`.
    fn with_seed(seed: u64) -> Self;

    /// All 64 bits are usable: tables take bucket numbers from one end and tags from the other.
    fn hash(&self, tuple: &Tuple) -> u64;
}

/// foldhash (quality variant): folded 64x64 multiplies, keyed. The default of the tables here: the fastest
/// keyed hash of the field without special instructions. Keyed, but not designed against an attacker who can observe
/// timing; [`Sip24Hasher`] is.
#[derive(Debug, Clone)]
pub struct FoldHasher(foldhash::quality::FixedState);

impl TupleHasher for FoldHasher {
    const NAME: &'static str = "foldhash";

    fn with_seed(seed: u64) -> Self {
        Self(foldhash::quality::FixedState::with_seed(seed))
    }

    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        let mut hasher = self.0.build_hasher();
        for word in tuple.words() {
            hasher.write_u64(word);
        }
        hasher.finish()
    }
}

/// SipHash-2-4, as Linux hashes conntrack tuples since 2021 (commit dd6d2910c5e0).
#[derive(Debug, Clone)]
pub struct Sip24Hasher {
    key: (u64, u64),
}

/// Second half of the SipHash key; the first is the seed. Any constant does: the seed makes the key.
const SIP_KEY_HIGH: u64 = 0x9e37_79b9_7f4a_7c15;

impl TupleHasher for Sip24Hasher {
    const NAME: &'static str = "siphash-2-4";

    fn with_seed(seed: u64) -> Self {
        Self {
            key: (seed, seed.rotate_left(32) ^ SIP_KEY_HIGH),
        }
    }

    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        for word in tuple.words() {
            hasher.write_u64(word);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::tuple::protocol::UDP;

    fn depends_on_key_and_tuple<H: TupleHasher>() {
        let a = Tuple::v4(UDP, Ipv4Addr::new(10, 0, 0, 1), 1, Ipv4Addr::new(10, 0, 0, 2), 2);
        assert_eq!(H::with_seed(7).hash(&a), H::with_seed(7).hash(&a));
        assert_ne!(
            H::with_seed(7).hash(&a),
            H::with_seed(8).hash(&a),
            "{} ignores its key",
            H::NAME
        );
        assert_ne!(
            H::with_seed(7).hash(&a),
            H::with_seed(7).hash(&a.mirrored()),
            "{} is symmetric",
            H::NAME
        );
    }

    #[test]
    fn hashes_depend_on_key_and_tuple() {
        depends_on_key_and_tuple::<FoldHasher>();
        depends_on_key_and_tuple::<Sip24Hasher>();
    }

    /// Both ends of the hash must spread 2^16 neighbouring tuples: no slot of 2^12 gets more than four times its share.
    fn both_ends_spread<H: TupleHasher>() {
        let hasher = H::with_seed(1);
        let (mut low, mut high) = (vec![0u32; 1 << 12], vec![0u32; 1 << 12]);
        for port in 0..=u16::MAX {
            let t = Tuple::v4(
                UDP,
                Ipv4Addr::new(10, 0, 0, 1),
                port,
                Ipv4Addr::new(10, 0, 0, 2),
                53,
            );
            let h = hasher.hash(&t);
            low[(h & 0xfff) as usize] += 1;
            high[(h >> 52) as usize] += 1;
        }
        assert!(low.iter().chain(&high).all(|&n| n < 64), "{} clusters", H::NAME);
    }

    #[test]
    fn hashes_spread_at_both_ends() {
        both_ends_spread::<FoldHasher>();
        both_ends_spread::<Sip24Hasher>();
    }
}
