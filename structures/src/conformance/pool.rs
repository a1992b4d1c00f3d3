//! Tuples and pairs of tuples to draw connections from.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Mixer;
use crate::tuple::{Tuple, protocol};

const PROTOCOLS: [u8; 8] = [
    protocol::ICMP,
    protocol::TCP,
    protocol::UDP,
    protocol::DCCP,
    protocol::GRE,
    protocol::ICMPV6,
    protocol::SCTP,
    protocol::UDPLITE,
];
const ZONES: [u16; 3] = [0, 1, u16::MAX];

/// A small closed world: few enough tuples that connections collide in every way, alike enough that many
/// differ in one field only.
#[derive(Debug)]
pub(super) struct Pool {
    tuples: Vec<Tuple>,
}

impl Pool {
    /// At least `size` tuples (1 or more), each with its mirror. Pools of different `realm`s share no tuple.
    pub(super) fn new(size: usize, realm: u8, rng: &mut Mixer) -> Self {
        let (mut seen, mut tuples) = (HashSet::new(), Vec::new());
        while tuples.len() < size {
            let tuple = any_tuple(realm, rng);
            // A tuple that is its own mirror can't be a connection without NAT: a reply differs from its original.
            if tuple != tuple.mirrored() && seen.insert(tuple) {
                tuples.push(tuple);
                if seen.insert(tuple.mirrored()) {
                    tuples.push(tuple.mirrored());
                }
            }
        }
        Self { tuples }
    }

    pub(super) fn tuple(&self, rng: &mut Mixer) -> Tuple {
        *rng.pick(&self.tuples)
    }

    /// An original and its reply: mirrored in half the cases, else any other tuple, as NAT would have it.
    pub(super) fn connection(&self, rng: &mut Mixer) -> (Tuple, Tuple) {
        let original = self.tuple(rng);
        let mut reply = original.mirrored();
        if rng.percent(50) {
            reply = self.tuple(rng);
        }
        if reply == original {
            reply = original.mirrored();
        }
        (original, reply)
    }
}

fn any_tuple(realm: u8, rng: &mut Mixer) -> Tuple {
    let protocol = *rng.pick(&PROTOCOLS);
    let host = |rng: &mut Mixer| u8::try_from(rng.below(16)).unwrap_or(0);
    let port = |rng: &mut Mixer| 1000 + u16::try_from(rng.below(16)).unwrap_or(0);
    let (a, b) = (host(rng), host(rng));
    let (source_port, destination_port) = (port(rng), port(rng));
    let tuple = if rng.percent(50) {
        let address = |h| Ipv4Addr::new(10, realm, 0, h);
        Tuple::v4(protocol, address(a), source_port, address(b), destination_port)
    } else {
        let address = |h| Ipv6Addr::new(0x2001, 0xdb8, u16::from(realm), 0, 0, 0, 0, u16::from(h));
        Tuple::v6(protocol, address(a), source_port, address(b), destination_port)
    };
    tuple.in_zone(*rng.pick(&ZONES))
}

/// The `n`th of many different connections, no two of which share a tuple: original and reply, with NAT for some.
pub(super) fn numbered(realm: u8, n: u32) -> (Tuple, Tuple) {
    let [_, b, c, d] = n.to_be_bytes();
    let server = Ipv4Addr::new(198, 51, 100, realm);
    if n.is_multiple_of(3) {
        let client = Ipv6Addr::new(
            0x2001,
            0xdb8,
            1,
            u16::from(realm),
            0,
            0,
            u16::from(b),
            u16::from_be_bytes([c, d]),
        );
        let server = Ipv6Addr::new(0x2001, 0xdb8, 2, u16::from(realm), 0, 0, 0, 1);
        let original = Tuple::v6(protocol::TCP, client, 4000, server, 443);
        return (original, original.mirrored());
    }
    let original = Tuple::v4(protocol::UDP, Ipv4Addr::new(10, b, c, d), 5000, server, 53);
    let translated = Ipv4Addr::new(203, b, c, d);
    (original, Tuple::v4(protocol::UDP, server, 53, translated, 6000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_connections_share_no_tuple() {
        let mut seen = HashSet::new();
        for realm in 0..3 {
            for n in 0..5000 {
                let (original, reply) = numbered(realm, n);
                assert!(seen.insert(original) && seen.insert(reply), "{n}");
            }
        }
    }

    #[test]
    fn a_pool_has_replies_that_are_others_originals() {
        let mut rng = Mixer::new(1);
        let pool = Pool::new(64, 0, &mut rng);
        let drawn: Vec<_> = (0..2000).map(|_| pool.connection(&mut rng)).collect();
        assert!(drawn.iter().all(|(o, r)| o != r));
        let originals: HashSet<_> = drawn.iter().map(|(o, _)| o).collect();
        assert!(
            drawn
                .iter()
                .any(|(o, r)| originals.contains(r) && *r != o.mirrored())
        );
    }
}
