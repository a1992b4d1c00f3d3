//! The part for tables that also hold prefixes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::pool::numbered;
use super::{At, LONG_MS, Mixer, build, insert, packet, remove, sizing};
use crate::table::{
    Classified, ConnectionId, FlowHandle, FlowTable, Found, Insert, PolicyId, PrefixHandle, Status,
};
use crate::tuple::{Direction, Prefix, Tuple, protocol};

const ZONES: [u16; 3] = [0, 7, u16::MAX];
const PREFIXES: usize = 600;
const STEPS: usize = 12_000;

/// Longest-prefix match against brute force, over prefixes of all lengths that are inserted, replaced and removed; and
/// connections before prefixes.
///
/// # Panics
/// Where the table gives another answer than brute force, with what was expected and got.
pub fn check<T>(options: &T::Options)
where
    T: FlowTable,
    for<'t> T::Handle<'t>: PrefixHandle,
{
    for seed in [1, 2] {
        longest_match::<T>(options, seed);
    }
    every_length::<T>(options);
    connection_comes_first::<T>(options);
}

/// Inserts, replaces, removes and asks at random.
fn longest_match<T>(options: &T::Options, seed: u64)
where
    T: FlowTable,
    for<'t> T::Handle<'t>: PrefixHandle,
{
    let sizing = sizing(1000, false, seed);
    let table = build::<T>(options, &sizing);
    let mut at = At::new::<T>("prefixes: longest match", options, &sizing);
    let (mut handle, mut rng) = (table.handle(), Mixer::new(seed));
    let pool: Vec<Prefix> = (0..PREFIXES).map(|_| any_prefix(&mut rng)).collect();
    let mut model: HashMap<Prefix, PolicyId> = HashMap::new();
    for step in 0..STEPS {
        at.step = step;
        let prefix = *rng.pick(&pool);
        match rng.below(100) {
            0..=24 => {
                let policy = PolicyId(u32::try_from(step).unwrap_or(0));
                let expected = model.insert(prefix, policy);
                let got = handle.insert_prefix(&prefix, policy);
                at.same(format_args!("insert_prefix {prefix:?}"), expected, got);
            }
            25..=39 => {
                let expected = model.remove(&prefix);
                let got = handle.remove_prefix(&prefix);
                at.same(format_args!("remove_prefix {prefix:?}"), expected, got);
            }
            _ => {
                let tuple = tuple_near(&prefix, &mut rng);
                ask(&at, &mut handle, &model, &tuple);
            }
        }
        if step % 32 == 0 {
            handle.quiescent();
        }
    }
    at.same(format_args!("len: prefixes are not connections"), 0, table.len());
    for prefix in pool {
        let expected = model.remove(&prefix);
        at.same(
            format_args!("remove_prefix {prefix:?}"),
            expected,
            handle.remove_prefix(&prefix),
        );
        let tuple = tuple_near(&prefix, &mut rng);
        ask(&at, &mut handle, &model, &tuple);
    }
}

/// One address under a prefix of every length, taken away from the longest down, then again from the shortest up.
fn every_length<T>(options: &T::Options)
where
    T: FlowTable,
    for<'t> T::Handle<'t>: PrefixHandle,
{
    for address in ["203.0.113.77", "2001:db8:85a3::8a2e:370:7334"] {
        let Ok(address) = address.parse::<IpAddr>() else {
            continue;
        };
        let sizing = sizing(16, false, 3);
        let table = build::<T>(options, &sizing);
        let mut at = At::new::<T>("prefixes: every length", options, &sizing);
        let mut handle = table.handle();
        let tuple = tuple_to(address, 0);
        let longest = tuple.family().max_prefix_length();
        for upwards in [false, true] {
            let mut model = HashMap::new();
            let prefixes = (0..=longest).filter_map(|length| Prefix::new(0, address, length));
            for prefix in prefixes.clone() {
                model.insert(prefix, PolicyId(u32::from(prefix.length())));
                handle.insert_prefix(&prefix, PolicyId(u32::from(prefix.length())));
                ask(&at, &mut handle, &model, &tuple);
            }
            let mut order: Vec<Prefix> = prefixes.collect();
            if !upwards {
                order.reverse();
            }
            for prefix in order {
                at.step += 1;
                let expected = model.remove(&prefix);
                at.same(
                    format_args!("remove_prefix {prefix:?}"),
                    expected,
                    handle.remove_prefix(&prefix),
                );
                ask(&at, &mut handle, &model, &tuple);
            }
        }
    }
}

/// `classify` finds the connection from either side before any prefix, touches it, and finds the prefix once it is gone.
fn connection_comes_first<T>(options: &T::Options)
where
    T: FlowTable,
    for<'t> T::Handle<'t>: PrefixHandle,
{
    let sizing = sizing(200, false, 4);
    let table = build::<T>(options, &sizing);
    let mut at = At::new::<T>("prefixes: connection first", options, &sizing);
    let mut handle = table.handle();
    for n in 0..100 {
        at.step += 1;
        let (original, reply) = numbered(0, n);
        let opened = packet(original, n, 10, 50, Status::NEW);
        let got = insert(&mut handle, &opened, &reply, &mut Vec::new());
        at.same(format_args!("insert {n}"), Insert::Inserted, got);
        for (direction, tuple) in [(Direction::Original, original), (Direction::Reply, reply)] {
            let longest = tuple.family().max_prefix_length();
            if let Some(host) = Prefix::new(0, tuple.dst(), longest) {
                handle.insert_prefix(&host, PolicyId(n));
            }
            let got = classify(&mut handle, tuple, 59, 100);
            let expected = Classified::Connection(Found {
                id: ConnectionId(n),
                direction,
            });
            at.same(
                format_args!("classify {tuple}, a connection, under a host prefix"),
                expected,
                got,
            );
        }
        // Touched at 59 for 100: there at 158, gone at 159.
        let live = classify(&mut handle, original, 158, 1);
        let hit = Classified::Connection(Found {
            id: ConnectionId(n),
            direction: Direction::Original,
        });
        at.same(
            format_args!("classify {original} at 158, touched at 59 for 100"),
            hit,
            live,
        );
        let got = classify(&mut handle, original, 159, 100);
        at.same(
            format_args!("classify {original}, expired"),
            Classified::Prefix(PolicyId(n)),
            got,
        );
        let stays = packet(original, n, 159, LONG_MS, Status::NEW);
        let got = insert(&mut handle, &stays, &reply, &mut Vec::new());
        at.same(format_args!("insert {n} again"), Insert::Inserted, got);
        at.same(
            format_args!("remove {n}"),
            Some(ConnectionId(n)),
            remove(&mut handle, &reply, 159),
        );
        let got = classify(&mut handle, reply, 159, 100);
        at.same(
            format_args!("classify {reply}, removed"),
            Classified::Prefix(PolicyId(n)),
            got,
        );
    }
    let nowhere = tuple_to(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 0);
    at.same(
        format_args!("classify {nowhere}"),
        Classified::Nothing,
        classify(&mut handle, nowhere, 0, 1),
    );
}

fn classify<H: PrefixHandle>(handle: &mut H, tuple: Tuple, now: u64, timeout_ms: u32) -> Classified {
    let hash = handle.hash(&tuple);
    handle.classify(&packet(tuple, 0, now, timeout_ms, Status::NEW), hash)
}

fn ask<H: PrefixHandle>(at: &At, handle: &mut H, model: &HashMap<Prefix, PolicyId>, tuple: &Tuple) {
    let longest = model
        .iter()
        .filter(|(p, _)| p.covers(tuple))
        .max_by_key(|(p, _)| p.length());
    let expected = longest.map_or(Classified::Nothing, |(_, policy)| Classified::Prefix(*policy));
    let got = classify(handle, *tuple, 0, 1);
    at.same(
        format_args!("classify {tuple}, longest prefix {longest:?}"),
        expected,
        got,
    );
}

/// Prefixes of all lengths over few different bits, so that they nest.
fn any_prefix(rng: &mut Mixer) -> Prefix {
    loop {
        let bits = clustered_bits(rng);
        let (address, longest) = address_of(rng.percent(50), bits);
        let length = u8::try_from(rng.below(usize::from(longest) + 1)).unwrap_or(0);
        if let Some(prefix) = Prefix::new(*rng.pick(&ZONES), address, length) {
            return prefix;
        }
    }
}

/// 128 bits, each byte one of two values.
fn clustered_bits(rng: &mut Mixer) -> u128 {
    let choice = rng.next();
    (0..16).fold(0, |bits, i| {
        (bits << 8) | if choice >> i & 1 == 0 { 0x5a } else { 0xdb }
    })
}

fn address_of(v4: bool, bits: u128) -> (IpAddr, u8) {
    if v4 {
        let [a, b, c, d, ..] = bits.to_be_bytes();
        (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), 32)
    } else {
        (IpAddr::V6(Ipv6Addr::from_bits(bits)), 128)
    }
}

/// A tuple to an address in `prefix`, or one bit beside it, now and then in another zone or family.
fn tuple_near(prefix: &Prefix, rng: &mut Mixer) -> Tuple {
    let tail = clustered_bits(rng) & u128::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0);
    let mut bits = prefix.bits() | tail;
    let v4 = (prefix.family().max_prefix_length() == 32) != rng.percent(5);
    if rng.percent(30) {
        bits ^= 1 << (127 - rng.below(if v4 { 32 } else { 128 }));
    }
    let zone = if rng.percent(10) {
        *rng.pick(&ZONES)
    } else {
        prefix.zone()
    };
    tuple_to(address_of(v4, bits).0, zone)
}

fn tuple_to(address: IpAddr, zone: u16) -> Tuple {
    match address {
        IpAddr::V4(to) => Tuple::v4(protocol::TCP, Ipv4Addr::new(10, 0, 0, 1), 1, to, 2),
        IpAddr::V6(to) => Tuple::v6(protocol::TCP, Ipv6Addr::LOCALHOST, 1, to, 2),
    }
    .in_zone(zone)
}
