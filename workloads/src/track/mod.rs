//! The tracker: packets become table operations on the capture's own clock.
//!
//! ```text
//! Packet -> clock (ms since the first packet, never back) -> [Expire, at most once a second] -> present?
//!   yes: Hit (direction, new status bits, timeout by protocol and state) [-> Close, where TCP is over]
//!   no:  Open, where the packet may open a connection; else Miss
//! ```
//! What opens: a TCP SYN, a TCP ACK (midstream pickup, Linux's `tcp_loose`), UDP, an ICMP request, any other protocol. What
//! does not: other TCP segments, ICMP answers, errors and notices. An ICMP error is a lookup of the packet it quotes; it
//! finds the connection and leaves its timeout alone.
//!
//! # Closing
//! A TCP connection is removed by its last ACK or its reset, not after `TIME_WAIT`'s 120 s as Linux does: a table's removals are
//! to be exercised, and a capture of minutes would see none. For as long as Linux would keep the entry, what still comes
//! for it is a Miss, and only a SYN opens the tuple again. [`TrackOptions::linger`] keeps closed connections as Linux does.
//!
//! # Guarantees
//! * **T1** Replayed one by one against a plain map, every operation has the answer it says; totals and final length too.
//!   (`tests/capture_track.rs`)
//! * **T2** Expiry is contract clause C2: absent from `expires <= now` on. (`tests/capture_track.rs`)
//! * **T3** Time never goes back: an earlier packet is taken at the time of the latest, and counted.
//! * **T4** A connection gets a new number each time it opens; memory is bounded by connections and tuples that missed.
//!
//! # Limits
//! No windows and sequence numbers, no helpers and expectations, no NAT, no SCTP or DCCP states, zone 0. Linux puts fragments
//! together first: here the first stands for the datagram, later ones of protocols with ports are skipped and counted.

mod live;
pub mod tcp;
pub mod timeouts;

use std::collections::HashMap;

use structures::tuple::protocol;
use structures::{Direction, Status, Tuple, VirtualTime};

use crate::decode::reply_of;
use crate::packet::{Packet, TcpFlags, Transport};
use crate::trace::{Answers, Connection, Expected, Op, OpKind, Trace};
use live::{Connections, Live, Slot};
use tcp::{Next, Segment, Side, TcpState};

/// Milliseconds between expiry sweeps at least.
const EXPIRE_EVERY_MS: u64 = 1000;
const NS_PER_MS: u64 = 1_000_000;
/// Least limit of connections a trace asks for.
const MIN_MAX_CONNECTIONS: usize = 1024;
/// Most connections and missed tuples one trace speaks of: the largest slab.
const MAX_CONNECTIONS: usize = structures::entry::MAX_SLOTS;

/// How to track.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackOptions {
    /// The trace's name.
    pub name: String,
    /// The trace's seed: the tracker draws nothing, whoever made the packets may have.
    pub seed: u64,
    /// Whether closed TCP connections stay until their timeout, as in Linux, instead of being removed at once.
    pub linger: bool,
}

/// What the tracker saw besides operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackCounts {
    /// Packets given.
    pub packets: u64,
    /// Packets whose time was before that of an earlier one.
    pub time_steps_back: u64,
    /// Later fragments of protocols with ports: skipped.
    pub later_fragments: u64,
    /// Packets whose answer would have the same tuple: skipped.
    pub same_endpoints: u64,
    /// Packets past the number of connections a trace can speak of: skipped.
    pub over_limit: u64,
    /// Segments, errors and notices that found their connection and left it as it was.
    pub ignored: u64,
    /// Packets that came for a closed connection: misses.
    pub after_close: u64,
    /// Most connections present at once, expired ones not yet swept included.
    pub peak_connections: u64,
}

/// A closed TCP connection, for as long as Linux would keep it.
#[derive(Debug, Clone, Copy)]
struct Closed {
    connection: u32,
    until: u64,
}

/// Turns packets into a trace.
#[derive(Debug)]
pub struct Tracker {
    options: TrackOptions,
    live: Connections,
    /// Closed connections by original tuple or its mirror, whichever is less.
    closed: HashMap<Tuple, Closed>,
    /// Size of `closed` at which those that are over are dropped.
    closed_limit: usize,
    /// Tuples that missed and were not opened.
    missed: HashMap<Tuple, u32>,
    connections: Vec<Connection>,
    ops: Vec<Op>,
    expected: Expected,
    counts: TrackCounts,
    origin_ns: Option<u64>,
    latest_ns: u64,
    last_expire: u64,
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(options: TrackOptions) -> Self {
        Self {
            options,
            live: Connections::default(),
            closed: HashMap::new(),
            closed_limit: MIN_MAX_CONNECTIONS,
            missed: HashMap::new(),
            connections: Vec::new(),
            ops: Vec::new(),
            expected: Expected::default(),
            counts: TrackCounts::default(),
            origin_ns: None,
            latest_ns: 0,
            last_expire: 0,
        }
    }

    /// Tracks a packet.
    pub fn packet(&mut self, packet: &Packet) {
        self.counts.packets += 1;
        let now = self.clock(packet.time_ns);
        if is_later_fragment(packet) {
            self.counts.later_fragments += 1;
            return;
        }
        let reply = reply_of(&packet.tuple);
        if reply == packet.tuple {
            self.counts.same_endpoints += 1;
            return;
        }
        if self.connections.len() >= MAX_CONNECTIONS {
            self.counts.over_limit += 1;
            return;
        }
        self.expire(now);
        match self.live.find(&packet.tuple, now) {
            Some((slot, direction, &live)) => self.present(packet, now, slot, direction, live),
            None => self.absent(packet, now, reply),
        }
        self.counts.peak_connections = self.counts.peak_connections.max(self.live.len() as u64);
    }

    /// What was seen so far.
    #[must_use]
    pub const fn counts(&self) -> &TrackCounts {
        &self.counts
    }

    /// The trace over all packets so far.
    #[must_use]
    pub fn finish(mut self) -> Trace {
        let end = self.ops.last().map_or(0, |op| op.time.0);
        self.expected.expired += self.live.sweep(end);
        self.expected.final_len = self.live.len() as u64;
        let peak = usize::try_from(self.counts.peak_connections).unwrap_or(MAX_CONNECTIONS);
        Trace {
            name: self.options.name,
            seed: self.options.seed,
            // A quarter more than ever present: a table that numbers slots ahead or frees late must not fill.
            max_connections: (peak + peak.div_ceil(4)).max(MIN_MAX_CONNECTIONS),
            evict_when_full: false,
            answers: Answers::Exact,
            connections: self.connections,
            prefixes: Vec::new(),
            policies: Vec::new(),
            prefill: Vec::new(),
            ops: self.ops,
            expected: self.expected,
        }
    }

    /// Milliseconds since the first packet; a packet from before the latest is taken at the latest's time.
    fn clock(&mut self, time_ns: u64) -> u64 {
        let origin = *self.origin_ns.get_or_insert(time_ns);
        if time_ns < self.latest_ns {
            self.counts.time_steps_back += 1;
        }
        self.latest_ns = self.latest_ns.max(time_ns);
        (self.latest_ns - origin) / NS_PER_MS
    }

    fn expire(&mut self, now: u64) {
        if now - self.last_expire < EXPIRE_EVERY_MS || self.live.first_expired(now).is_none() {
            return;
        }
        self.last_expire = now;
        self.expected.expired += self.live.sweep(now);
        self.ops.push(Op {
            time: VirtualTime(now),
            connection: 0,
            timeout_ms: 0,
            kind: OpKind::Expire,
            direction: Direction::Original,
            set_status: Status::NEW,
            attack: false,
        });
    }

    /// A packet of a present connection.
    fn present(&mut self, packet: &Packet, now: u64, slot: Slot, direction: Direction, live: Live) {
        let mut after = live;
        let refreshed = match packet.transport {
            Transport::IcmpError => None,
            Transport::Tcp(flags) => {
                let side = if direction == live.first {
                    Side::First
                } else {
                    Side::Second
                };
                match tcp::cell(live.tcp, Segment::of(flags), side).next {
                    Next::Ignore => None,
                    Next::To(state) => Some(tcp_step(&mut after, state, direction)),
                    Next::Reopen => return self.reopen(packet, now, slot, direction, live),
                }
            }
            transport => Some(stateless_step(
                &mut after,
                transport,
                packet.tuple.protocol(),
                now,
            )),
        };
        match refreshed {
            Some(timeout_ms) => {
                if direction == Direction::Reply {
                    after.status = after.status.with(Status::SEEN_REPLY);
                }
                after.expires = now.saturating_add(u64::from(timeout_ms));
            }
            None => self.counts.ignored += 1,
        }
        self.live.update(slot, |kept| {
            kept.expires = after.expires;
            kept.tcp = after.tcp;
            kept.first = after.first;
            kept.status = after.status;
        });
        self.hit(now, direction, &after, Status(after.status.0 & !live.status.0));
        if after.tcp.is_closed() && !self.options.linger {
            self.close(now, slot, direction, &after);
            self.remember_closed(now, &after);
        }
    }

    /// A SYN on a connection that is over and was kept: the old one goes, a new one begins.
    fn reopen(&mut self, packet: &Packet, now: u64, slot: Slot, direction: Direction, live: Live) {
        self.hit(now, direction, &live, Status::NEW);
        self.close(now, slot, direction, &live);
        self.absent(packet, now, reply_of(&packet.tuple));
    }

    /// A packet of no present connection.
    fn absent(&mut self, packet: &Packet, now: u64, reply: Tuple) {
        let closed = self.closed_connection(&packet.tuple, now);
        let is_syn = matches!(packet.transport, Transport::Tcp(flags) if Segment::of(flags) == Segment::Syn);
        if let Some(closed) = closed
            && !is_syn
        {
            self.counts.after_close += 1;
            let known = self.connections[closed.connection as usize];
            let direction = direction_of(&known, &packet.tuple);
            return self.miss(now, closed.connection, direction, packet.synthetic);
        }
        match opens(packet.transport, packet.tuple.protocol()) {
            Some((timeout_ms, tcp)) => self.open(packet, now, reply, timeout_ms, tcp),
            None => {
                let number = self.missed_number(packet.tuple, reply);
                self.miss(now, number, Direction::Original, packet.synthetic);
            }
        }
    }

    fn open(&mut self, packet: &Packet, now: u64, reply: Tuple, timeout_ms: u32, tcp: TcpState) {
        let connection = self.number(packet.tuple, reply);
        let live = Live::new(connection, now, timeout_ms, tcp, packet.synthetic);
        self.expected.expired += self.live.insert(live, packet.tuple, reply);
        self.closed.remove(&either_way(&packet.tuple));
        self.expected.misses += 1;
        self.expected.inserts += 1;
        self.push(
            now,
            connection,
            timeout_ms,
            OpKind::Open,
            Direction::Original,
            Status::NEW,
            packet.synthetic,
        );
    }

    fn hit(&mut self, now: u64, direction: Direction, live: &Live, set: Status) {
        self.expected.hits += 1;
        // What is left where the packet did not refresh it: the table's expiry then comes out unchanged.
        let timeout_ms = u32::try_from(live.expires - now).unwrap_or(u32::MAX);
        self.push(
            now,
            live.connection,
            timeout_ms,
            OpKind::Hit,
            direction,
            set,
            live.attack,
        );
    }

    fn close(&mut self, now: u64, slot: Slot, direction: Direction, live: &Live) {
        self.live.remove(slot);
        self.expected.removes += 1;
        self.push(
            now,
            live.connection,
            0,
            OpKind::Close,
            direction,
            Status::NEW,
            live.attack,
        );
    }

    fn miss(&mut self, now: u64, connection: u32, direction: Direction, attack: bool) {
        self.expected.misses += 1;
        self.push(now, connection, 0, OpKind::Miss, direction, Status::NEW, attack);
    }

    #[expect(clippy::too_many_arguments, reason = "one per field of an operation")]
    fn push(
        &mut self,
        now: u64,
        connection: u32,
        timeout_ms: u32,
        kind: OpKind,
        direction: Direction,
        set_status: Status,
        attack: bool,
    ) {
        self.ops.push(Op {
            time: VirtualTime(now),
            connection,
            timeout_ms,
            kind,
            direction,
            set_status,
            attack,
        });
    }

    /// A new number.
    fn number(&mut self, original: Tuple, reply: Tuple) -> u32 {
        self.connections.push(Connection { original, reply });
        // `packet` lets at most `MAX_CONNECTIONS` through, which fits.
        u32::try_from(self.connections.len() - 1).unwrap_or(u32::MAX)
    }

    /// The number that stands for a tuple that misses and opens nothing.
    fn missed_number(&mut self, tuple: Tuple, reply: Tuple) -> u32 {
        if let Some(&number) = self.missed.get(&tuple) {
            return number;
        }
        let number = self.number(tuple, reply);
        self.missed.insert(tuple, number);
        number
    }

    fn closed_connection(&self, tuple: &Tuple, now: u64) -> Option<Closed> {
        if tuple.protocol() != protocol::TCP {
            return None;
        }
        self.closed
            .get(&either_way(tuple))
            .copied()
            .filter(|closed| closed.until > now)
    }

    fn remember_closed(&mut self, now: u64, live: &Live) {
        let original = self.connections[live.connection as usize].original;
        let closed = Closed {
            connection: live.connection,
            until: live.expires,
        };
        self.closed.insert(either_way(&original), closed);
        if self.closed.len() > self.closed_limit {
            self.closed.retain(|_, closed| closed.until > now);
            self.closed_limit = (2 * self.closed.len()).max(MIN_MAX_CONNECTIONS);
        }
    }
}

/// Later fragments of protocols that have ports or identifiers: they carry none, and cannot be told to belong anywhere.
fn is_later_fragment(packet: &Packet) -> bool {
    // The decoder gives a later fragment no ports and no transport; those of other protocols are told apart by address
    // anyway, and are tracked.
    let numbered = matches!(
        packet.tuple.protocol(),
        protocol::TCP
            | protocol::UDP
            | protocol::UDPLITE
            | protocol::SCTP
            | protocol::DCCP
            | protocol::GRE
            | protocol::ICMP
            | protocol::ICMPV6
    );
    packet.fragment
        && packet.transport == Transport::Other
        && numbered
        && (packet.tuple.src_port(), packet.tuple.dst_port()) == (0, 0)
}

/// Timeout and TCP state of the connection that such a packet opens; `None` where it opens none.
fn opens(transport: Transport, protocol: u8) -> Option<(u32, TcpState)> {
    match transport {
        Transport::Tcp(flags) => opened_by_segment(flags),
        Transport::Udp | Transport::IcmpRequest | Transport::Other => Some((
            timeouts::stateless(transport, protocol, false, 0).0,
            TcpState::None,
        )),
        Transport::IcmpReply | Transport::IcmpError | Transport::IcmpOther => None,
    }
}

fn opened_by_segment(flags: TcpFlags) -> Option<(u32, TcpState)> {
    match tcp::cell(TcpState::None, Segment::of(flags), Side::First).next {
        Next::To(TcpState::Established) => Some((timeouts::TCP_ONE_SIDED_MS, TcpState::Established)),
        Next::To(state) => Some((state.timeout_ms(), state)),
        Next::Ignore | Next::Reopen => None,
    }
}

/// Takes a TCP connection to `state`; returns its timeout.
fn tcp_step(live: &mut Live, state: TcpState, direction: Direction) -> u32 {
    let before = live.tcp;
    let replied = live.status.contains(Status::SEEN_REPLY);
    if state == TcpState::FinWait && before != TcpState::FinWait {
        // The machine's first side is from now on the one that closed first.
        live.first = direction;
    }
    live.tcp = state;
    if state != TcpState::Established {
        return state.timeout_ms();
    }
    if !replied {
        return timeouts::TCP_ONE_SIDED_MS;
    }
    if matches!(before, TcpState::SynRecv | TcpState::Established) {
        // `nf_conntrack_tcp_packet`: the ACK of the handshake, or a packet after both directions of a connection that was
        // picked up.
        live.status = live.status.with(Status::ASSURED);
    }
    state.timeout_ms()
}

/// The same for protocols without states.
fn stateless_step(live: &mut Live, transport: Transport, protocol: u8, now: u64) -> u32 {
    let replied = live.status.contains(Status::SEEN_REPLY);
    let (timeout_ms, assured) = timeouts::stateless(transport, protocol, replied, now - live.opened);
    if assured {
        live.status = live.status.with(Status::ASSURED);
    }
    timeout_ms
}

/// The same tuple for both directions of a TCP connection.
fn either_way(tuple: &Tuple) -> Tuple {
    (*tuple).min(tuple.mirrored())
}

fn direction_of(connection: &Connection, tuple: &Tuple) -> Direction {
    if connection.original == *tuple {
        Direction::Original
    } else {
        Direction::Reply
    }
}
