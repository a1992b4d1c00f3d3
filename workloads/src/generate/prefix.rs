//! `prefix`: connections and prefixes in one table, one lookup for both.
//!
//! ```text
//! 70 % ClassifyHit     packets of the N connections, as in `steady`
//! 30 % ClassifyMiss    packets of connections that are not there: the longest prefix answers
//! ```
//! Destinations of nine in ten connections, present or absent, are hosts inside prefixes, by Zipf popularity of the
//! prefix; the rest are servers that no prefix covers. A host may lie in a longer prefix than the one it was drawn from:
//! [`Trace::policies`] has the longest.

use std::net::IpAddr;

use structures::{Direction, Family, PolicyId, Prefix, Status};

use super::endpoints::Destination;
use super::routes::{Intervals, host_in, prefixes};
use super::{Builder, ESTABLISHED, Permutation, Random, Size, Step, Traffic, Zipf};
use crate::trace::{Connection, OpKind, Trace};

/// Most prefixes: 2^16, so that prefixes and connections weigh alike in a table of 2^18 connections.
pub const MOST_PREFIXES: usize = 1 << 16;
/// Connections per prefix below that.
pub const CONNECTIONS_PER_PREFIX: usize = 4;
/// Fewest prefixes.
pub const FEWEST_PREFIXES: usize = 16;
/// Misses per 1000 packets.
pub const MISSES_PER_MILLE: u32 = 300;
/// Of 1000 connections, those to a destination that no prefix covers.
const OUTSIDE_PER_MILLE: u32 = 100;

/// Makes the workload.
#[must_use]
pub fn prefix(size: Size) -> Trace {
    let size = size.clamped();
    let live = size.connections;
    let absent = live.clamp(super::miss::FEWEST_ABSENT, super::miss::MOST_ABSENT);
    let mut builder = Builder::new(size, live + absent, live + absent);
    builder.prefill(|_| ESTABLISHED);
    let by_rank = Permutation::new(u64::from(live), size.seed, 50);
    let mut random = Random::new(size.seed, 51);
    let mut traffic = Traffic::new(live);
    while !builder.is_complete() {
        let (connection, kind, direction) = if random.chance(MISSES_PER_MILLE) {
            let connection = live + random.below32(absent);
            (connection, OpKind::ClassifyMiss, Direction::Original)
        } else {
            let (rank, direction) = traffic.next(&mut random);
            (by_rank.apply32(rank), OpKind::ClassifyHit, direction)
        };
        builder.push(Step {
            kind,
            connection,
            direction,
            set_status: if kind == OpKind::ClassifyHit {
                ESTABLISHED
            } else {
                Status::NEW
            },
        });
    }
    let routed = Routed::new(&builder, live + absent);
    let mut trace = builder.finish_with("prefix", routed.connections, live as usize);
    trace.prefixes = routed.prefixes;
    trace.policies = routed.policies;
    trace
}

/// Connections to destinations inside and outside prefixes.
struct Routed {
    prefixes: Vec<(Prefix, PolicyId)>,
    connections: Vec<Connection>,
    policies: Vec<Option<PolicyId>>,
}

impl Routed {
    fn new(builder: &Builder, numbers: u32) -> Self {
        let size = builder.size;
        let mut random = Random::new(size.seed, 52);
        let count =
            (size.connections as usize / CONNECTIONS_PER_PREFIX).clamp(FEWEST_PREFIXES, MOST_PREFIXES);
        let prefixes = prefixes(count, &mut random);
        let intervals = Intervals::new(&prefixes);
        let v4 = Hosts::new(Family::V4, &prefixes, &intervals, &mut random);
        let v6 = Hosts::new(Family::V6, &prefixes, &intervals, &mut random);
        let (connections, policies) = (0..numbers)
            .map(|number| {
                let hosts = if builder.plan.is_ipv6(number) { &v6 } else { &v4 };
                // Nothing covers the plan's own servers.
                let host = (!random.chance(OUTSIDE_PER_MILLE))
                    .then(|| hosts.draw(&mut random))
                    .flatten();
                let connection = builder
                    .plan
                    .connection(number, host.map(|(destination, _)| destination));
                (connection, host.and_then(|(_, policy)| policy))
            })
            .unzip();
        Self {
            prefixes,
            connections,
            policies,
        }
    }
}

/// Hosts of one family inside prefixes.
struct Hosts {
    hosts: Vec<(Destination, Option<PolicyId>)>,
    zipf: Option<Zipf>,
}

/// Hosts per prefix.
const HOSTS_PER_PREFIX: usize = 2;

impl Hosts {
    /// Prefixes come in random order, so that their place is as good a popularity rank as any.
    fn new(
        family: Family,
        prefixes: &[(Prefix, PolicyId)],
        intervals: &Intervals,
        random: &mut Random,
    ) -> Self {
        let mut hosts = Vec::with_capacity(HOSTS_PER_PREFIX * prefixes.len());
        for (prefix, _) in prefixes.iter().filter(|(p, _)| p.family() == family) {
            for _ in 0..HOSTS_PER_PREFIX {
                let address = host_in(prefix, random);
                let destination = Destination {
                    address,
                    zone: prefix.zone(),
                };
                hosts.push((destination, intervals.policy_of(&probe(destination))));
            }
        }
        let prefixes = u32::try_from(hosts.len() / HOSTS_PER_PREFIX).unwrap_or(u32::MAX);
        Self {
            hosts,
            zipf: (prefixes > 0).then(|| Zipf::new(prefixes)),
        }
    }

    fn draw(&self, random: &mut Random) -> Option<(Destination, Option<PolicyId>)> {
        let rank = self.zipf.as_ref()?.draw(random) as usize;
        self.hosts
            .get(rank * HOSTS_PER_PREFIX + random.index(HOSTS_PER_PREFIX))
            .copied()
    }
}

/// A tuple with that destination.
fn probe(destination: Destination) -> structures::Tuple {
    use structures::Tuple;
    let tuple = match destination.address {
        IpAddr::V4(address) => Tuple::v4(0, address, 0, address, 0),
        IpAddr::V6(address) => Tuple::v6(0, address, 0, address, 0),
    };
    tuple.in_zone(destination.zone)
}
