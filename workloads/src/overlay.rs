//! A SYN flood laid over recorded packets.
//!
//! ```text
//! time     first ........ 25 % ......................... 75 % ........ last     of the capture
//! captured |--------------|------------------------------|--------------|
//! flood                   |s|s|s|s|s|s|s|s|s|s|s|s|s|s|s|                      one SYN in each slot, at random in it
//! ```
//! Each SYN has a random source address and port and goes to one of the servers that the capture's clients connect to
//! most. Nobody answers it: it holds a connection for as long as a table keeps it. The flood begins after the capture has
//! shown what is normal, and ends before it does, so that recovery is seen.
//!
//! [`flood_trace`] takes the merged packets through the tracker, for a table with room for the capture alone and a
//! quarter more ([`CAPACITY_PERCENT`]): it fills because of the flood, and what it evicts then is the question.
//!
//! # Guarantees
//!
//! * **O1** No synthetic tuple equals, in either direction, a captured tuple or another synthetic one in either direction.
//!   Every candidate is checked against the set of all of them; the report counts the checks.
//!   (`no_synthetic_tuple_is_anyone_elses`)
//! * **O2** Captured packets are all there, unchanged and in their order. (`captured_packets_keep_their_order`)
//! * **O3** The same packets, options and seed give the same overlay. (`the_seed_makes_the_overlay`)
//! * **O4** Memory is bounded: at most [`MOST_SYNS`] packets are added, else the options are refused.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hashbrown::HashSet;
use structures::tuple::protocol;
use structures::{Direction, Family, Prefix, Tuple};
use thiserror::Error;

use crate::generate::{Random, host_in, public_address};
use crate::packet::{Packet, TcpFlags, Transport};
use crate::trace::{Answers, Trace};
use crate::track::tcp::TcpState;
use crate::track::{TrackCounts, TrackOptions, Tracker};

/// Most packets a flood may have: as many as the largest captures kept in memory.
pub const MOST_SYNS: u64 = 1 << 25;
/// Capacity of the table in per cent of the capture's own peak: it would hold the capture alone with room to spare.
pub const CAPACITY_PERCENT: usize = 125;
/// [`FloodRate::Filling`]: SYNs, in units of the capacity, that come while one of them would be kept. The capture's own
/// connections take most of the first; two leave no doubt.
pub const FILLS: f64 = 2.0;
/// A candidate tuple is redrawn this often in a row before the sources count as used up.
const MOST_REDRAWS: u32 = 1000;
/// Bytes of a SYN on the wire: Ethernet, IPv4 and TCP with the usual options (MSS, SACK, timestamps, window scale).
const SYN_WIRE_BYTES: u32 = 74;
/// Source ports start here: below, senders need privileges, and filters drop them.
const FIRST_SOURCE_PORT: u16 = 1024;

const NS_PER_SECOND: f64 = 1e9;

/// How heavy a flood is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FloodRate {
    /// SYNs per second of the capture's clock.
    PacketsPerSecond(f64),
    /// As many as fill the table that [`flood_trace`] makes a trace for, [`FILLS`] times over.
    Filling,
    /// SYNs as a share (above 0, below 1) of all packets while the flood lasts.
    ShareOfPackets(f64),
}

impl fmt::Display for FloodRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PacketsPerSecond(rate) => write!(f, "{rate:.1} packets/s"),
            Self::Filling => f.write_str("what fills the table"),
            Self::ShareOfPackets(share) => write!(f, "{:.1} % of packets", 100.0 * share),
        }
    }
}

/// What flood to lay over a capture.
#[derive(Debug, Clone, PartialEq)]
pub struct FloodOptions {
    /// Seed of sources, targets and times.
    pub seed: u64,
    /// How heavy it is.
    pub rate: FloodRate,
    /// When it begins, as a share of the capture's duration.
    pub start: f64,
    /// When it ends, likewise.
    pub end: f64,
    /// How many of the most popular servers it goes to.
    pub targets: usize,
    /// Where the sources are said to be; empty: all over the unicast space.
    pub sources: Vec<Prefix>,
}

impl FloodOptions {
    /// From 25 % to 75 % of the capture, to its four most popular servers, from anywhere.
    #[must_use]
    pub const fn new(seed: u64, rate: FloodRate) -> Self {
        Self {
            seed,
            rate,
            start: 0.25,
            end: 0.75,
            targets: 4,
            sources: Vec::new(),
        }
    }
}

/// Why there is no flood.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum OverlayError {
    /// An option is out of range.
    #[error("flood option {name}: {problem}")]
    Option {
        /// Its name.
        name: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The capture lasts no time, so that nothing can be laid over it.
    #[error(
        "the capture has {packets} packets within {nanoseconds} ns; a flood needs a capture with some duration"
    )]
    NoDuration {
        /// Its packets.
        packets: usize,
        /// First to last.
        nanoseconds: u64,
    },
    /// Nobody in the capture speaks TCP.
    #[error("none of the capture's {packets} packets is TCP: there is no server to flood")]
    NoTargets {
        /// Its packets.
        packets: usize,
    },
    /// The sources have no tuple left.
    #[error(
        "after {made} of {asked} SYNs no unused source was found in {MOST_REDRAWS} draws; give more source \
         prefixes (of the servers' address family), or a lower rate"
    )]
    SourcesUsedUp {
        /// SYNs made.
        made: u64,
        /// SYNs asked for.
        asked: u64,
    },
    /// The table would not fill.
    #[error(
        "with the flood at most {peak} connections are present, and the table has room for {capacity}: it never fills; \
         ask for more than {rate}"
    )]
    NeverFills {
        /// Most connections at a time, with the flood.
        peak: u64,
        /// Connections the table has room for.
        capacity: usize,
        /// What was asked for.
        rate: FloodRate,
    },
}

/// What a flood is and came to.
#[derive(Debug, Clone, PartialEq)]
pub struct FloodReport {
    /// Its seed.
    pub seed: u64,
    /// What was asked for.
    pub asked: FloodRate,
    /// The same in packets per second.
    pub asked_pps: f64,
    /// Packets per second from the first SYN to the last, by their times.
    pub achieved_pps: f64,
    /// SYNs.
    pub packets: u64,
    /// Captured packets, all of them.
    pub captured_packets: u64,
    /// SYNs as a share of all packets while the flood lasts.
    pub share: f64,
    /// When it begins, on the capture's clock.
    pub start_ns: u64,
    /// When it ends.
    pub end_ns: u64,
    /// Where it goes.
    pub targets: Vec<SocketAddr>,
    /// Different source addresses.
    pub sources: u64,
    /// Tuples, synthetic and both ways round, that were looked up among all others.
    pub checks: u64,
    /// Candidates that were somebody else's and drawn again.
    pub redrawn: u64,
}

impl FloodReport {
    /// How long it lasts.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        seconds(self.end_ns - self.start_ns)
    }
}

impl fmt::Display for FloodReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SYN flood: asked {} = {:.1} packets/s, achieved {:.1} packets/s: {} SYNs from {} sources to {} servers in \
             {:.1} s, {:.1} % of the packets meanwhile; {} tuples checked to be nobody else's, {} redrawn",
            self.asked,
            self.asked_pps,
            self.achieved_pps,
            self.packets,
            self.sources,
            self.targets.len(),
            self.seconds(),
            100.0 * self.share,
            self.checks,
            self.redrawn
        )
    }
}

/// Captured and synthetic packets in one.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlay {
    /// All packets; the synthetic ones are marked.
    pub packets: Vec<Packet>,
    /// What the flood came to.
    pub report: FloodReport,
}

/// Lays a SYN flood over `packets`.
///
/// # Errors
/// [`OverlayError`], where an option or the capture does not allow it.
pub fn syn_flood(packets: &[Packet], options: &FloodOptions) -> Result<Overlay, OverlayError> {
    let window = Window::of(packets, options)?;
    let targets = popular_servers(packets, options)?;
    let mut forge = Forge::new(packets, options, &targets);
    let mut syns = Vec::with_capacity(usize::try_from(window.syns).unwrap_or(0));
    for number in 0..window.syns {
        let time_ns = window.time_of(number, &mut forge.random);
        let tuple = forge.tuple().ok_or(OverlayError::SourcesUsedUp {
            made: number,
            asked: window.syns,
        })?;
        syns.push(syn(time_ns, tuple));
    }
    let report = FloodReport {
        seed: options.seed,
        asked: options.rate,
        asked_pps: window.asked_pps,
        achieved_pps: achieved_pps(&syns).unwrap_or(window.asked_pps),
        packets: window.syns,
        captured_packets: packets.len() as u64,
        share: window.syns as f64 / (window.syns + window.captured) as f64,
        start_ns: window.start_ns,
        end_ns: window.end_ns,
        targets: targets
            .iter()
            .map(|t| SocketAddr::new(t.dst(), t.dst_port()))
            .collect(),
        sources: forge.sources.len() as u64,
        checks: forge.checks,
        redrawn: forge.redrawn,
    };
    Ok(Overlay {
        packets: merge(packets, &syns),
        report,
    })
}

/// A flood as a workload.
#[derive(Debug, Clone)]
pub struct Flood {
    /// The trace: a table that fills, evicts, and recovers.
    pub trace: Trace,
    /// The flood.
    pub report: FloodReport,
    /// What the tracker counted; its peak is that of a table without a limit.
    pub counts: TrackCounts,
    /// Most connections of the capture alone.
    pub legitimate_peak: u64,
}

/// The trace, named `name`, of a flood laid over `packets`; see the module's text. The table's limit is
/// [`CAPACITY_PERCENT`] of the capture's own peak.
///
/// # Errors
/// [`OverlayError`]; among them that the table would not fill.
pub fn flood_trace(name: &str, packets: &[Packet], options: &FloodOptions) -> Result<Flood, OverlayError> {
    let (_, alone) = track(name, options.seed, packets);
    let capacity = usize::try_from(alone.peak_connections).unwrap_or(usize::MAX);
    let capacity = (capacity.saturating_mul(CAPACITY_PERCENT) / 100).max(1);
    let rate = match options.rate {
        FloodRate::Filling => filling_rate(packets, options, capacity)?,
        rate => rate,
    };
    let options = FloodOptions {
        rate,
        ..options.clone()
    };
    let overlay = syn_flood(packets, &options)?;
    let (mut trace, counts) = track(name, options.seed, &overlay.packets);
    if counts.peak_connections <= capacity as u64 {
        return Err(OverlayError::NeverFills {
            peak: counts.peak_connections,
            capacity,
            rate,
        });
    }
    trace.max_connections = capacity;
    trace.evict_when_full = true;
    trace.answers = Answers::GivenEvictions;
    Ok(Flood {
        trace,
        report: overlay.report,
        counts,
        legitimate_peak: alone.peak_connections,
    })
}

/// The rate at which [`FILLS`] times `capacity` SYNs come before the first of them expires or the flood ends.
fn filling_rate(
    packets: &[Packet],
    options: &FloodOptions,
    capacity: usize,
) -> Result<FloodRate, OverlayError> {
    let (start_ns, end_ns) = Window::span(packets, options)?;
    let kept = f64::from(TcpState::SynSent.timeout_ms()) / 1000.0;
    let rate = FILLS * capacity as f64 / seconds(end_ns - start_ns).min(kept);
    Ok(FloodRate::PacketsPerSecond(rate))
}

fn track(name: &str, seed: u64, packets: &[Packet]) -> (Trace, TrackCounts) {
    let mut tracker = Tracker::new(TrackOptions {
        name: name.to_owned(),
        seed,
        ..TrackOptions::default()
    });
    for packet in packets {
        tracker.packet(packet);
    }
    let counts = *tracker.counts();
    (tracker.finish(), counts)
}

/// When a flood happens and how many SYNs it has.
#[derive(Debug)]
struct Window {
    start_ns: u64,
    end_ns: u64,
    /// Captured packets in it.
    captured: u64,
    syns: u64,
    asked_pps: f64,
}

impl Window {
    fn of(packets: &[Packet], options: &FloodOptions) -> Result<Self, OverlayError> {
        let (start_ns, end_ns) = Self::span(packets, options)?;
        let inside = |packet: &&Packet| (start_ns..end_ns).contains(&packet.time_ns);
        let captured = packets.iter().filter(inside).count() as u64;
        let duration = seconds(end_ns - start_ns);
        let asked = match options.rate {
            FloodRate::PacketsPerSecond(rate) if rate.is_finite() && rate > 0.0 => rate * duration,
            FloodRate::ShareOfPackets(share) if share > 0.0 && share < 1.0 => {
                captured as f64 * share / (1.0 - share)
            }
            FloodRate::Filling => return Err(option("rate", "there is no table to fill; it takes a number")),
            FloodRate::PacketsPerSecond(_) => return Err(option("rate", "it takes a number above 0")),
            FloodRate::ShareOfPackets(_) => {
                return Err(option("share", "it takes a number above 0 and below 1"));
            }
        };
        Ok(Self {
            start_ns,
            end_ns,
            captured,
            syns: whole_syns(asked, options.rate)?,
            asked_pps: asked / duration,
        })
    }

    /// Beginning and end on the capture's clock.
    fn span(packets: &[Packet], options: &FloodOptions) -> Result<(u64, u64), OverlayError> {
        if !(0.0 <= options.start && options.start < options.end && options.end <= 1.0) {
            let problem = format!(
                "from {} to {} of the capture; it takes 0 <= start < end <= 1",
                options.start, options.end
            );
            return Err(option("start, end", problem));
        }
        let times = || packets.iter().map(|packet| packet.time_ns);
        let first = times().min().unwrap_or(0);
        let nanoseconds = times().max().unwrap_or(0) - first;
        let start = first + part(nanoseconds, options.start);
        let end = first + part(nanoseconds, options.end);
        if start >= end {
            return Err(OverlayError::NoDuration {
                packets: packets.len(),
                nanoseconds,
            });
        }
        Ok((start, end))
    }

    /// When SYN `number` is sent: at random in its slot.
    fn time_of(&self, number: u64, random: &mut Random) -> u64 {
        let length = self.end_ns - self.start_ns;
        let within = u128::from(number) * u128::from(length) + u128::from(random.below(length));
        // Below `length`, since number < syns.
        self.start_ns + u64::try_from(within / u128::from(self.syns)).unwrap_or(0)
    }
}

fn option(name: &'static str, problem: impl Into<String>) -> OverlayError {
    OverlayError::Option {
        name,
        problem: problem.into(),
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / NS_PER_SECOND
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "share is in 0..=1: the product is not negative and at most `whole`, give or take its last bits"
)]
fn part(whole: u64, share: f64) -> u64 {
    ((whole as f64 * share) as u64).min(whole)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is checked to be in 1..=MOST_SYNS before"
)]
fn whole_syns(asked: f64, rate: FloodRate) -> Result<u64, OverlayError> {
    let asked = asked.round();
    if asked < 1.0 {
        return Err(option(
            "rate",
            format!("{rate} is not one SYN in the time that the flood has"),
        ));
    }
    if asked > MOST_SYNS as f64 {
        return Err(option(
            "rate",
            format!("{rate} makes {asked:.0} SYNs; at most {MOST_SYNS}: ask for less"),
        ));
    }
    Ok(asked as u64)
}

/// The servers most connected to, as tuples with them as destination: by SYNs, or, in a capture that shows none, by TCP
/// packets.
fn popular_servers(packets: &[Packet], options: &FloodOptions) -> Result<Vec<Tuple>, OverlayError> {
    if options.targets == 0 {
        return Err(option("targets", "it takes 1 or more"));
    }
    let syns = by_popularity(packets, |flags| {
        flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK)
    });
    let servers = if syns.is_empty() {
        by_popularity(packets, |_| true)
    } else {
        syns
    };
    if servers.is_empty() {
        return Err(OverlayError::NoTargets {
            packets: packets.len(),
        });
    }
    // Sources and servers are of one family, or no SYN could be sent.
    let reachable = |server: &Tuple| {
        options.sources.is_empty() || options.sources.iter().any(|p| p.family() == server.family())
    };
    let servers: Vec<Tuple> = servers
        .into_iter()
        .filter(reachable)
        .take(options.targets)
        .collect();
    if servers.is_empty() {
        return Err(option(
            "sources",
            "no prefix is of the address family of a server in the capture",
        ));
    }
    Ok(servers)
}

fn by_popularity(packets: &[Packet], counts: impl Fn(TcpFlags) -> bool) -> Vec<Tuple> {
    let mut popularity: HashMap<Tuple, u64> = HashMap::new();
    for packet in packets.iter().filter(|packet| !packet.synthetic) {
        if let Transport::Tcp(flags) = packet.transport
            && counts(flags)
        {
            let to = &packet.tuple;
            *popularity
                .entry(towards(to.dst(), to.dst_port(), to.dst(), 0, to.zone()))
                .or_default() += 1;
        }
    }
    let mut servers: Vec<(Tuple, u64)> = popularity.into_iter().collect();
    // By tuple where equally popular, so that the order of the map does not show.
    servers.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    servers.into_iter().map(|(tuple, _)| tuple).collect()
}

/// A TCP tuple to a server; `source` is of the server's family.
fn towards(server: IpAddr, port: u16, source: IpAddr, source_port: u16, zone: u16) -> Tuple {
    match (source, server) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Tuple::v4(protocol::TCP, src, source_port, dst, port),
        (IpAddr::V6(src), IpAddr::V6(dst)) => Tuple::v6(protocol::TCP, src, source_port, dst, port),
        _ => unreachable!("sources are drawn of their server's family"),
    }
    .in_zone(zone)
}

/// Makes tuples that are nobody else's.
struct Forge<'o> {
    random: Random,
    targets: &'o [Tuple],
    v4: Vec<Prefix>,
    v6: Vec<Prefix>,
    /// Tuples of captured and synthetic packets, each both ways round.
    taken: HashSet<Tuple>,
    sources: HashSet<IpAddr>,
    checks: u64,
    redrawn: u64,
}

impl<'o> Forge<'o> {
    fn new(packets: &[Packet], options: &FloodOptions, targets: &'o [Tuple]) -> Self {
        let of = |family| {
            options
                .sources
                .iter()
                .filter(|p| p.family() == family)
                .copied()
                .collect()
        };
        let mut taken = HashSet::new();
        for packet in packets {
            for direction in [Direction::Original, Direction::Reply] {
                taken.insert(turned(packet.tuple, direction));
            }
        }
        Self {
            random: Random::new(options.seed, 100),
            targets,
            v4: of(Family::V4),
            v6: of(Family::V6),
            taken,
            sources: HashSet::new(),
            checks: 0,
            redrawn: 0,
        }
    }

    /// The next tuple, or nothing where none is found.
    fn tuple(&mut self) -> Option<Tuple> {
        for _ in 0..=MOST_REDRAWS {
            let candidate = self.candidate();
            let ways = [Direction::Original, Direction::Reply].map(|way| turned(candidate, way));
            self.checks += ways.len() as u64;
            if ways.iter().any(|tuple| self.taken.contains(tuple)) {
                self.redrawn += 1;
                continue;
            }
            self.taken.extend(ways);
            self.sources.insert(candidate.src());
            return Some(candidate);
        }
        None
    }

    fn candidate(&mut self) -> Tuple {
        let server = self.targets[self.random.index(self.targets.len())];
        let prefixes = match server.family() {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        let source = if prefixes.is_empty() {
            public_address(server.family(), &mut self.random)
        } else {
            let prefix = prefixes[self.random.index(prefixes.len())];
            host_in(&prefix, &mut self.random)
        };
        let ports = u32::from(u16::MAX - FIRST_SOURCE_PORT) + 1;
        let port = FIRST_SOURCE_PORT + u16::try_from(self.random.below32(ports)).unwrap_or(0);
        towards(server.dst(), server.dst_port(), source, port, server.zone())
    }
}

fn turned(tuple: Tuple, direction: Direction) -> Tuple {
    match direction {
        Direction::Original => tuple,
        Direction::Reply => tuple.mirrored(),
    }
}

fn syn(time_ns: u64, tuple: Tuple) -> Packet {
    Packet {
        time_ns,
        tuple,
        transport: Transport::Tcp(TcpFlags::SYN),
        wire_len: match tuple.family() {
            Family::V4 => SYN_WIRE_BYTES,
            // The IPv6 header is 20 bytes longer.
            Family::V6 => SYN_WIRE_BYTES + 20,
        },
        fragment: false,
        synthetic: true,
    }
}

/// Intervals per second between the SYNs; nothing where there are none.
fn achieved_pps(syns: &[Packet]) -> Option<f64> {
    let (first, last) = (syns.first()?, syns.last()?);
    let elapsed = last.time_ns - first.time_ns;
    (elapsed > 0).then(|| (syns.len() - 1) as f64 / seconds(elapsed))
}

/// Both lists by time. A capture's clock may step back: a SYN comes before the first captured packet that is later, and
/// the captured packets keep their order.
fn merge(captured: &[Packet], syns: &[Packet]) -> Vec<Packet> {
    let mut merged = Vec::with_capacity(captured.len() + syns.len());
    let mut left = syns;
    for packet in captured {
        let due = left.partition_point(|syn| syn.time_ns <= packet.time_ns);
        let (now, later) = left.split_at(due);
        merged.extend_from_slice(now);
        merged.push(*packet);
        left = later;
    }
    merged.extend_from_slice(left);
    merged
}

#[cfg(test)]
mod tests;
