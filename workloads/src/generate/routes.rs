//! Prefixes like those of a BGP table, and which of them is the longest for an address.
//!
//! Lengths follow the shape of the default-free zone's histograms as bgp.potaroo.net charts them, roughly: three fifths
//! of IPv4 are /24, nearly half of IPv6 /48, and a few host routes and others longer than /24, which a tracker's own
//! policies have. About two fifths of the prefixes are more-specifics of another one, as in the real table. There is no
//! default route, no IPv4 prefix inside 198.0.0.0/8 and no IPv6 prefix below `2400::`, so that the servers of
//! [`super::endpoints`] are covered by nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashSet;
use structures::{Family, PolicyId, Prefix, Tuple};

use super::random::Random;

/// IPv4 prefix lengths by weight out of 1000.
const LENGTHS_V4: [(u32, u8); 14] = [
    (600, 24),
    (105, 22),
    (100, 23),
    (50, 21),
    (45, 20),
    (27, 19),
    (15, 18),
    (14, 16),
    (9, 17),
    (20, 28),
    (6, 32),
    (4, 15),
    (3, 14),
    (2, 12),
];
/// IPv6 prefix lengths by weight out of 1000.
const LENGTHS_V6: [(u32, u8); 10] = [
    (470, 48),
    (130, 32),
    (100, 44),
    (90, 40),
    (60, 36),
    (50, 29),
    (40, 46),
    (30, 64),
    (20, 33),
    (10, 128),
];
/// IPv6 prefixes per 1000: the share of the IPv6 table in both (about 200,000 of 1,200,000).
const IPV6_PER_MILLE: u32 = 170;
/// Of 1000 prefixes, those placed inside another.
const NESTED_PER_MILLE: u32 = 400;
/// Prefixes looked at for one that is shorter than what is to go inside.
const OUTER_TRIES: usize = 8;
/// Of 1000 prefixes, those outside zone 0.
const OTHER_ZONE_PER_MILLE: u32 = 60;
/// Zones besides 0.
const OTHER_ZONES: u16 = 3;

/// `count` distinct prefixes in random order, numbered policies.
pub(crate) fn prefixes(count: usize, random: &mut Random) -> Vec<(Prefix, PolicyId)> {
    let mut taken = HashSet::with_capacity(count);
    let mut made: Vec<(Prefix, PolicyId)> = Vec::with_capacity(count);
    while made.len() < count {
        // The histogram has far more prefixes of every length drawn often than any count asked for: this ends.
        let Some(prefix) = draw_prefix(&made, random) else {
            continue;
        };
        if taken.insert(prefix) {
            let number = u32::try_from(made.len()).unwrap_or(u32::MAX);
            made.push((prefix, PolicyId(number)));
        }
    }
    made
}

fn draw_prefix(made: &[(Prefix, PolicyId)], random: &mut Random) -> Option<Prefix> {
    let v6 = random.chance(IPV6_PER_MILLE);
    let (family, length) = if v6 {
        (Family::V6, weighted(&LENGTHS_V6, random))
    } else {
        (Family::V4, weighted(&LENGTHS_V4, random))
    };
    if !made.is_empty() && random.chance(NESTED_PER_MILLE) {
        for _ in 0..OUTER_TRIES {
            let (outer, _) = made[random.index(made.len())];
            if outer.family() == family && outer.length() < length {
                return Prefix::new(outer.zone(), host_in(&outer, random), length);
            }
        }
    }
    let zone = if random.chance(OTHER_ZONE_PER_MILLE) {
        1 + random.bits().to_le_bytes()[0] as u16 % OTHER_ZONES
    } else {
        0
    };
    Prefix::new(zone, public_address(family, random), length)
}

fn weighted(lengths: &[(u32, u8)], random: &mut Random) -> u8 {
    let mut left = random.below32(lengths.iter().map(|&(weight, _)| weight).sum());
    for &(weight, length) in lengths {
        if left < weight {
            return length;
        }
        left -= weight;
    }
    unreachable!("the draw is below the sum of the weights")
}

/// A random public unicast address, outside the ranges that the module's text keeps free.
pub(crate) fn public_address(family: Family, random: &mut Random) -> IpAddr {
    if family == Family::V6 {
        // 2400:: to 2fff::, where the registries' blocks lie.
        let top = 0x2400 + u128::from(random.below32(0xc00));
        let rest = u128::from(random.bits()) << 48;
        return IpAddr::V6(Ipv6Addr::from_bits((top << 112) | rest));
    }
    let [_, b, c, d] = random.bits32().to_be_bytes();
    // 1 to 223 without 198; /12 is the shortest prefix, so that none reaches into a neighbouring octet.
    let octet = match random.below32(222) {
        n if n < 197 => n + 1,
        n => n + 2,
    };
    IpAddr::V4(Ipv4Addr::new(octet.to_le_bytes()[0], b, c, d))
}

/// A random address inside `prefix`.
pub(crate) fn host_in(prefix: &Prefix, random: &mut Random) -> IpAddr {
    let length = u32::from(prefix.length());
    let noise = u128::from(random.bits()) << 64 | u128::from(random.bits());
    let bits = prefix.bits() | noise.checked_shr(length).unwrap_or(0);
    match prefix.family() {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap_or(0))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

/// Longest prefixes by interval: the answer for an address is that of the last boundary at or before it.
///
/// Each prefix is an interval of addresses; sorted by start and length they nest, and a stack turns them into
/// boundaries at which the answer changes. The oracle does it by another way (one map per length).
#[derive(Debug)]
pub(crate) struct Intervals(Vec<(Space, Vec<Boundary>)>);

/// An address and the answer from there on.
type Boundary = (u128, Option<PolicyId>);

/// Addresses that are compared with each other.
type Space = (u16, Family);

impl Intervals {
    pub(crate) fn new(prefixes: &[(Prefix, PolicyId)]) -> Self {
        let mut sorted: Vec<&(Prefix, PolicyId)> = prefixes.iter().collect();
        sorted.sort_by_key(|(p, _)| (p.zone(), p.family(), p.bits(), p.length()));
        let spaces = sorted
            .chunk_by(|(a, _), (b, _)| (a.zone(), a.family()) == (b.zone(), b.family()))
            .map(|group| ((group[0].0.zone(), group[0].0.family()), boundaries(group)))
            .collect();
        Self(spaces)
    }

    /// The policy of the longest prefix that covers the destination of `tuple`.
    pub(crate) fn policy_of(&self, tuple: &Tuple) -> Option<PolicyId> {
        let space = (tuple.zone(), tuple.family());
        let (_, boundaries) = self.0.iter().find(|(s, _)| *s == space)?;
        let past = boundaries.partition_point(|&(start, _)| start <= tuple.dst_bits());
        boundaries[past.checked_sub(1)?].1
    }
}

/// The boundaries of one zone and family, from prefixes sorted by start, then length.
fn boundaries(group: &[&(Prefix, PolicyId)]) -> Vec<Boundary> {
    let mut at: Vec<Boundary> = Vec::with_capacity(2 * group.len());
    // Open prefixes, outermost first, with their last address.
    let mut open: Vec<(u128, PolicyId)> = Vec::new();
    let close_before = |limit: Option<u128>, open: &mut Vec<(u128, PolicyId)>, at: &mut Vec<_>| {
        while let Some(&(last, _)) = open.last()
            && limit.is_none_or(|limit| last < limit)
        {
            open.pop();
            if let Some(next) = last.checked_add(1) {
                at.push((next, open.last().map(|&(_, policy)| policy)));
            }
        }
    };
    for (prefix, policy) in group {
        close_before(Some(prefix.bits()), &mut open, &mut at);
        let last = prefix.bits() | u128::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0);
        open.push((last, *policy));
        at.push((prefix.bits(), Some(*policy)));
    }
    close_before(None, &mut open, &mut at);
    // Where several begin or end at one address, the last boundary pushed is the innermost state there.
    at.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow_policy(prefixes: &[(Prefix, PolicyId)], tuple: &Tuple) -> Option<PolicyId> {
        let covering = prefixes.iter().filter(|(prefix, _)| prefix.covers(tuple));
        covering
            .max_by_key(|(prefix, _)| prefix.length())
            .map(|&(_, policy)| policy)
    }

    fn to(address: IpAddr, zone: u16) -> Tuple {
        let tuple = match address {
            IpAddr::V4(a) => Tuple::v4(17, Ipv4Addr::LOCALHOST, 1, a, 2),
            IpAddr::V6(a) => Tuple::v6(17, Ipv6Addr::LOCALHOST, 1, a, 2),
        };
        tuple.in_zone(zone)
    }

    #[test]
    fn intervals_agree_with_trying_every_prefix() {
        let mut random = Random::new(3, 3);
        let prefixes = prefixes(2000, &mut random);
        let intervals = Intervals::new(&prefixes);
        let mut covered = 0;
        for round in 0..4000 {
            let (prefix, _) = &prefixes[random.index(prefixes.len())];
            let address = match round % 4 {
                0 if round % 8 == 0 => public_address(Family::V6, &mut random),
                0 => public_address(Family::V4, &mut random),
                _ => host_in(prefix, &mut random),
            };
            let tuple = to(address, prefix.zone());
            let expected = slow_policy(&prefixes, &tuple);
            assert_eq!(intervals.policy_of(&tuple), expected, "{tuple}");
            covered += u32::from(expected.is_some());
        }
        assert!(covered >= 3000);
    }

    /// Ends of the address space, prefixes that begin or end together, the default route.
    #[test]
    fn intervals_hold_at_the_edges() {
        let given = [
            ("0.0.0.0", 0),
            ("0.0.0.0", 8),
            ("255.0.0.0", 8),
            ("255.255.255.255", 32),
            ("10.0.0.0", 8),
            ("10.0.0.0", 32),
            ("10.255.255.0", 24),
            ("11.0.0.0", 8),
        ];
        let prefixes: Vec<(Prefix, PolicyId)> = (0..)
            .zip(given)
            .map(|(n, (a, length))| (Prefix::new(0, a.parse().unwrap(), length).unwrap(), PolicyId(n)))
            .collect();
        for skip in 0..2 {
            let prefixes = &prefixes[skip..];
            let intervals = Intervals::new(prefixes);
            for a in [
                "0.0.0.0",
                "0.255.255.255",
                "1.0.0.0",
                "9.255.255.255",
                "10.0.0.0",
                "10.0.0.1",
                "10.255.254.255",
                "10.255.255.0",
                "10.255.255.255",
                "11.0.0.0",
                "11.255.255.255",
                "12.0.0.0",
                "254.255.255.255",
                "255.0.0.0",
                "255.255.255.254",
                "255.255.255.255",
            ] {
                let tuple = to(a.parse().unwrap(), 0);
                assert_eq!(
                    intervals.policy_of(&tuple),
                    slow_policy(prefixes, &tuple),
                    "{a} skip {skip}"
                );
            }
        }
    }

    #[test]
    fn lengths_are_like_a_bgp_table() {
        let made = prefixes(8000, &mut Random::new(1, 1));
        let share = |keep: &dyn Fn(&Prefix) -> bool| {
            made.iter().filter(|(p, _)| keep(p)).count() as f64 / made.len() as f64
        };
        assert!((0.12..0.22).contains(&share(&|p| p.family() == Family::V6)));
        assert!((0.45..0.60).contains(&share(&|p| p.family() == Family::V4 && p.length() == 24)));
        assert!((0.02..0.09).contains(&share(&|p| p.zone() != 0)));
        let nested = share(&|p| {
            made.iter().any(|(q, _)| {
                q.length() < p.length()
                    && q.zone() == p.zone()
                    && q.family() == p.family()
                    && Prefix::new(q.zone(), to_address(p), q.length()) == Some(*q)
            })
        });
        assert!((0.25..0.6).contains(&nested), "{nested}");
    }

    fn to_address(prefix: &Prefix) -> IpAddr {
        match prefix.family() {
            Family::V4 => IpAddr::V4(Ipv4Addr::from_bits((prefix.bits() >> 96) as u32)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(prefix.bits())),
        }
    }
}
