//! Who talks to whom: believable tuples, distinct by construction.
//!
//! ```text
//! number --Permutation--> slot = client << 14 | port - 49152          source, unique per connection
//! number --mix--> server (Zipf), service (protocol, port)             destination
//! number --Permutation--> pool slot = address * 64512 + port - 1024   what source NAT makes of it
//! ```
//!
//! * Clients sit in [`CLIENT_PREFIXES`] prefixes, a quarter of them IPv6 /48s, the rest IPv4 /20s. Half of the
//!   connections belong to a seventeenth of the clients (busy ones: proxies, resolvers), so that connections per client
//!   are not all alike.
//! * [`SERVERS`] servers, dual stack, with Zipf popularity; well-known service ports (see [`SERVICES`]).
//! * Connections of two fifths of the IPv4 prefixes, 30 % of all, pass source NAT: the reply goes to a pool address and
//!   port, not to the client.
//!
//! # Guarantees
//!
//! * **G1** No two connections share a tuple in any direction. Originals differ in source address or port, because
//!   number -> slot is injective. Replies to clients differ likewise; replies to the pool differ because number ->
//!   pool slot is injective; and no client has a pool address. An original's source port is in 49152-65535
//!   (RFC 6335's dynamic ports), a reply's is a service port below 49152, so no original is a reply.
//!   (`tuples_are_distinct_in_both_directions`)
//! * **G2** A connection depends on the plan and its number alone, not on those made before it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use structures::Tuple;
use structures::tuple::protocol::{TCP, UDP};

use super::random::{Permutation, Random, Zipf, mix};
use crate::trace::Connection;

/// Client prefixes; 20 of them hold 5 of IPv6, 6 of IPv4 behind NAT, and 9 of IPv4 without.
const CLIENT_PREFIXES: u32 = 240;
/// Of [`CLIENT_PREFIXES`]: a quarter.
const IPV6_PREFIXES: u32 = CLIENT_PREFIXES / 4;
/// Of [`CLIENT_PREFIXES`]: 30 %.
const NAT_PREFIXES: u32 = CLIENT_PREFIXES * 3 / 10;
/// Hosts in an IPv4 client prefix (a /20).
const HOSTS: u32 = 1 << 12;
/// Servers.
const SERVERS: u32 = 512;
/// Quiet clients per busy one.
const QUIET_PER_BUSY: u32 = 16;
/// Connections per busy client that are aimed for; half of all connections are theirs.
const PER_BUSY_CLIENT: u32 = 256;
/// Most busy clients: with the quiet ones they fill half of the hosts.
const MOST_BUSY: u32 = 1 << 15;
/// log2 of the dynamic ports, 49152-65535 (RFC 6335 section 6).
const PORT_BITS: u32 = 14;
/// First dynamic port.
const FIRST_DYNAMIC_PORT: u16 = 49_152;
/// Ports of a NAT pool address: all but the well-known, as carrier-grade NATs use them.
const POOL_PORTS: u32 = 65_536 - FIRST_POOL_PORT;
/// First port of a NAT pool address.
const FIRST_POOL_PORT: u32 = 1024;
/// The NAT pool: 203.0.112.0/20, outside every client and server prefix.
const POOL: Ipv4Addr = Ipv4Addr::new(203, 0, 112, 0);
/// Servers' IPv4 addresses: 198.18.0.0/15, reserved for benchmarks (RFC 2544).
const SERVERS_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// Servers' IPv6 addresses: `2001:2::/48`, reserved for benchmarks (RFC 5180).
const SERVERS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0);
/// Entries of the table that servers are drawn from.
const SERVER_DRAWS: usize = 1 << 12;

/// Services by weight out of 256: protocol, port. The web with QUIC, names, time, mail, shells; 62 % are TCP.
const SERVICES: [(u16, u8, u16); 9] = [
    (112, TCP, 443),
    (48, UDP, 443),
    (40, UDP, 53),
    (24, TCP, 80),
    (8, UDP, 123),
    (8, TCP, 993),
    (8, TCP, 8080),
    (4, TCP, 22),
    (4, TCP, 25),
];

/// A block of client addresses.
#[derive(Debug, Clone, Copy)]
enum ClientNet {
    /// A /20.
    V4 { base: u32, nat: bool },
    /// A /48; every client has a /64 of its own.
    V6 { base: u128 },
}

/// A destination to use in place of the plan's server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination {
    pub(crate) address: IpAddr,
    pub(crate) zone: u16,
}

/// Makes connections by number.
#[derive(Debug)]
pub(crate) struct Plan {
    seed: u64,
    nets: Vec<ClientNet>,
    busy: Permutation,
    quiet: Permutation,
    busy_clients: u32,
    pool: Permutation,
    servers: Vec<u16>,
    services: Vec<(u8, u16)>,
}

impl Plan {
    /// A plan for connection numbers below `limit`, with as many clients as suits `numbers` of them.
    pub(crate) fn new(numbers: u32, limit: u32, seed: u64) -> Self {
        let busy_clients = (numbers / PER_BUSY_CLIENT)
            .max(limit >> PORT_BITS)
            .next_power_of_two()
            .clamp(8, MOST_BUSY);
        let quiet_clients = busy_clients * QUIET_PER_BUSY;
        let slots = |clients: u32| u64::from(clients) << PORT_BITS;
        let mut random = Random::new(seed, 1);
        Self {
            seed: random.bits(),
            nets: client_nets(&mut random),
            busy: Permutation::new(slots(busy_clients), seed, 2),
            quiet: Permutation::new(slots(quiet_clients), seed, 3),
            busy_clients,
            pool: Permutation::new(u64::from(limit.max(1)), seed, 4),
            servers: server_draws(&mut random),
            services: SERVICES
                .iter()
                .flat_map(|&(weight, protocol, port)| (0..weight).map(move |_| (protocol, port)))
                .collect(),
        }
    }

    /// Connections 0 to `count - 1`.
    pub(crate) fn connections(&self, count: u32) -> Vec<Connection> {
        (0..count).map(|number| self.connection(number, None)).collect()
    }

    /// Whether connection `number` is a TCP one, without making it.
    pub(crate) fn is_tcp(&self, number: u32) -> bool {
        self.service(self.draw(number)).0 == TCP
    }

    /// Whether connection `number` is an IPv6 one, without making it.
    pub(crate) fn is_ipv6(&self, number: u32) -> bool {
        matches!(self.client(number).1, ClientNet::V6 { .. })
    }

    /// Connection `number`, to the plan's own server or to `destination`, which must be of the client's family.
    pub(crate) fn connection(&self, number: u32, destination: Option<Destination>) -> Connection {
        let draw = self.draw(number);
        let (protocol, service) = self.service(draw);
        let (host, net, port) = self.client(number);
        let [_, low, high, ..] = draw.to_le_bytes();
        let server = self.servers[usize::from(u16::from_le_bytes([low, high])) % SERVER_DRAWS];
        let zone = destination.map_or(0, |d| d.zone);
        let endpoints = match net {
            ClientNet::V4 { base, nat } => {
                let client = Ipv4Addr::from_bits(base + host);
                let server = match destination.map(|d| d.address) {
                    Some(IpAddr::V4(address)) => address,
                    _ => Ipv4Addr::from_bits(SERVERS_V4.to_bits() + (u32::from(server) << 4) + 1),
                };
                let (seen, seen_port) = if nat {
                    self.translated(number)
                } else {
                    (client, port)
                };
                Connection {
                    original: Tuple::v4(protocol, client, port, server, service),
                    reply: Tuple::v4(protocol, server, service, seen, seen_port),
                }
            }
            ClientNet::V6 { base } => {
                let interface = mix(u64::from(host) ^ self.seed);
                let client = Ipv6Addr::from_bits(base + (u128::from(host) << 64) + u128::from(interface));
                let server = match destination.map(|d| d.address) {
                    Some(IpAddr::V6(address)) => address,
                    _ => Ipv6Addr::from_bits(SERVERS_V6.to_bits() + (u128::from(server) << 64) + 1),
                };
                let original = Tuple::v6(protocol, client, port, server, service);
                Connection {
                    original,
                    reply: original.mirrored(),
                }
            }
        };
        Connection {
            original: endpoints.original.in_zone(zone),
            reply: endpoints.reply.in_zone(zone),
        }
    }

    /// Random bits that belong to `number`.
    fn draw(&self, number: u32) -> u64 {
        mix(self.seed ^ u64::from(number))
    }

    fn service(&self, draw: u64) -> (u8, u16) {
        self.services[usize::from(draw.to_le_bytes()[0])]
    }

    /// Host number, net and source port of connection `number`: unique as a triple.
    fn client(&self, number: u32) -> (u32, ClientNet, u16) {
        let half = u64::from(number / 2);
        let (slot, first_client) = if number.is_multiple_of(2) {
            (self.busy.apply(half), 0)
        } else {
            (self.quiet.apply(half), self.busy_clients)
        };
        let port = FIRST_DYNAMIC_PORT + low16(slot & ((1 << PORT_BITS) - 1));
        let client = first_client + u32::try_from(slot >> PORT_BITS).unwrap_or(0);
        let net = self.nets[(client % CLIENT_PREFIXES) as usize];
        (client / CLIENT_PREFIXES + 1, net, port)
    }

    /// The pool address and port that connection `number` leaves with.
    fn translated(&self, number: u32) -> (Ipv4Addr, u16) {
        let slot = self.pool.apply32(number);
        let port = FIRST_POOL_PORT + slot % POOL_PORTS;
        let address = POOL.to_bits() + slot / POOL_PORTS;
        (Ipv4Addr::from_bits(address), low16(u64::from(port)))
    }
}

/// The low 16 bits of a number that has no others.
fn low16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Distinct client prefixes, the kinds in random order.
fn client_nets(random: &mut Random) -> Vec<ClientNet> {
    let mut nets: Vec<ClientNet> = (0..CLIENT_PREFIXES)
        .map(|n| {
            if n < IPV6_PREFIXES {
                // 3fff::/20, reserved for documentation (RFC 9637); the number keeps the /48s apart.
                let site = u128::from((n << 20) + (random.bits32() >> 12));
                ClientNet::V6 {
                    base: (0x3fff << 112) + (site << 80),
                }
            } else if n < IPV6_PREFIXES + NAT_PREFIXES {
                ClientNet::V4 {
                    base: (10 << 24) + (n << 16) + random.below32(16) * HOSTS,
                    nat: true,
                }
            } else {
                // One per first octet, 17 to 124: none of them 10, 127, 198 or 203.
                let octet = 17 + (n - IPV6_PREFIXES - NAT_PREFIXES);
                ClientNet::V4 {
                    base: (octet << 24) + random.below32(1 << 12) * HOSTS,
                    nat: false,
                }
            }
        })
        .collect();
    random.shuffle(&mut nets);
    nets
}

/// Servers by Zipf popularity, drawn once: connections pick an entry.
fn server_draws(random: &mut Random) -> Vec<u16> {
    let zipf = Zipf::new(SERVERS);
    (0..SERVER_DRAWS)
        .map(|_| low16(u64::from(zipf.draw(random))))
        .collect()
}

const _: () = {
    // Every client has a host number inside its prefix, the all-ones address not among them.
    assert!((QUIET_PER_BUSY + 1) * MOST_BUSY / CLIENT_PREFIXES + 1 < HOSTS - 1);
    // The pool's /20 holds as many ports as there can be connections.
    assert!((super::MOST_NUMBERS / POOL_PORTS) < 1 << 12);
    // Half of the connections fit into the slots of the busy clients, at every number of them.
    assert!(super::MOST_NUMBERS / 2 <= MOST_BUSY << PORT_BITS);
    assert!(PER_BUSY_CLIENT < 1 << PORT_BITS);
};

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use structures::Family;

    use super::*;

    /// G1, at a size where the birthday paradox would show any lapse.
    #[test]
    fn tuples_are_distinct_in_both_directions() {
        for (numbers, seed) in [(1 << 16, 1), (1 << 16, 2), (1000, 3), (1, 4)] {
            let mut seen = HashSet::new();
            for connection in Plan::new(numbers, numbers, seed).connections(numbers) {
                assert!(seen.insert(connection.original), "{} twice", connection.original);
                assert!(seen.insert(connection.reply), "{} twice", connection.reply);
            }
        }
    }

    #[test]
    fn shares_are_as_documented() {
        let numbers = 1 << 16;
        let connections = Plan::new(numbers, numbers, 5).connections(numbers);
        let share = |count: usize| count as f64 / f64::from(numbers);
        let v6 = share(
            connections
                .iter()
                .filter(|c| c.original.family() == Family::V6)
                .count(),
        );
        let nat = share(
            connections
                .iter()
                .filter(|c| c.reply != c.original.mirrored())
                .count(),
        );
        let tcp = share(
            connections
                .iter()
                .filter(|c| c.original.protocol() == TCP)
                .count(),
        );
        assert!((0.22..0.28).contains(&v6), "IPv6 {v6}");
        assert!((0.27..0.33).contains(&nat), "NAT {nat}");
        assert!((0.60..0.65).contains(&tcp), "TCP {tcp}");
    }

    #[test]
    fn servers_are_few_and_unequal_and_clients_many() {
        let numbers = 1 << 16;
        let connections = Plan::new(numbers, numbers, 6).connections(numbers);
        let mut servers: HashMap<IpAddr, u32> = HashMap::new();
        let mut clients: HashMap<IpAddr, u32> = HashMap::new();
        for connection in &connections {
            *servers.entry(connection.original.dst()).or_default() += 1;
            *clients.entry(connection.original.src()).or_default() += 1;
        }
        assert!(servers.len() <= 2 * SERVERS as usize);
        // The first of 512 by Zipf has 1/6.8 of the connections, over two families.
        assert!(servers.values().max() > Some(&(numbers / 14)));
        assert!(clients.len() > 2000, "{} clients", clients.len());
        assert!(clients.values().max() > Some(&100));
    }

    #[test]
    fn shortcuts_agree_with_the_connection() {
        let plan = Plan::new(4096, 4096, 7);
        for number in 0..4096 {
            let original = plan.connection(number, None).original;
            assert_eq!(plan.is_tcp(number), original.protocol() == TCP);
            assert_eq!(plan.is_ipv6(number), original.family() == Family::V6);
        }
    }

    #[test]
    fn another_destination_replaces_the_server_in_both_tuples() {
        let plan = Plan::new(64, 64, 8);
        let number = (0..64).find(|&n| !plan.is_ipv6(n)).unwrap();
        let address: IpAddr = "192.0.2.9".parse().unwrap();
        let connection = plan.connection(number, Some(Destination { address, zone: 3 }));
        assert_eq!(connection.original.dst(), address);
        assert_eq!(connection.reply.src(), address);
        assert_eq!((connection.original.zone(), connection.reply.zone()), (3, 3));
        assert_eq!(
            connection.original.src_port(),
            plan.connection(number, None).original.src_port()
        );
    }
}
