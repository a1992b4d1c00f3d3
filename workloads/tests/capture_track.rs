//! The tracker by protocol, state and clock (T1 to T4).

mod capture_common;
#[path = "capture_common/model.rs"]
mod model;

use capture_common::{all_captures, shared_captures};
use proptest::prelude::*;
use structures::tuple::protocol;
use structures::{Direction, Status, Tuple};
use workloads::decode::reply_of;
use workloads::packet::{Packet, TcpFlags, Transport};
use workloads::replay::{Replay, ReplayError, ReplayOptions};
use workloads::track::tcp::TcpState;
use workloads::track::{TrackCounts, TrackOptions, Tracker, timeouts};
use workloads::{Op, OpKind, Trace};

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;
const FIN: u8 = 0x11;
const RST: u8 = 0x04;
const DAY_MS: u64 = 86_400_000;

fn tuple(protocol: u8, port: u16) -> Tuple {
    Tuple::v4(protocol, [10, 0, 0, 1].into(), port, [10, 0, 0, 2].into(), 80)
}

fn packet(time_ms: u64, tuple: Tuple, transport: Transport) -> Packet {
    Packet {
        time_ns: time_ms * 1_000_000,
        tuple,
        transport,
        wire_len: 64,
        fragment: false,
        synthetic: false,
    }
}

/// A segment of one connection: time, whether the opener sends it, flags.
fn segment(time_ms: u64, opener: bool, flags: u8) -> Packet {
    let there = tuple(protocol::TCP, 1000);
    let tuple = if opener { there } else { there.mirrored() };
    packet(time_ms, tuple, Transport::Tcp(TcpFlags(flags)))
}

fn datagram(time_ms: u64, opener: bool) -> Packet {
    let there = tuple(protocol::UDP, 1000);
    packet(
        time_ms,
        if opener { there } else { there.mirrored() },
        Transport::Udp,
    )
}

fn track_with(options: TrackOptions, packets: &[Packet]) -> (Trace, TrackCounts) {
    let mut tracker = Tracker::new(options);
    for packet in packets {
        tracker.packet(packet);
    }
    let counts = *tracker.counts();
    let trace = tracker.finish();
    model::check(&trace);
    (trace, counts)
}

fn track(packets: &[Packet]) -> (Trace, TrackCounts) {
    track_with(TrackOptions::default(), packets)
}

fn lingering() -> TrackOptions {
    TrackOptions {
        linger: true,
        ..TrackOptions::default()
    }
}

fn kinds(trace: &Trace) -> Vec<OpKind> {
    trace.ops.iter().map(|op| op.kind).collect()
}

fn handshake() -> Vec<Packet> {
    vec![
        segment(0, true, SYN),
        segment(10, false, SYN_ACK),
        segment(20, true, ACK),
    ]
}

fn after_handshake(more: &[Packet]) -> Vec<Packet> {
    [handshake(), more.to_vec()].concat()
}

fn last(trace: &Trace) -> &Op {
    trace.ops.last().expect("operations")
}

use OpKind::{Close, Expire, Hit, Miss, Open};

#[test]
fn a_connection_opens_is_used_and_closes() {
    let (trace, _) = track(&after_handshake(&[
        segment(30, true, FIN),
        segment(40, false, FIN),
        segment(50, true, ACK),
    ]));
    assert_eq!(kinds(&trace), [Open, Hit, Hit, Hit, Hit, Hit, Close]);
    let timeouts: Vec<u32> = trace.ops.iter().map(|op| op.timeout_ms).collect();
    let of = TcpState::timeout_ms;
    assert_eq!(
        timeouts[..6],
        [
            of(TcpState::SynSent),
            of(TcpState::SynRecv),
            of(TcpState::Established),
            of(TcpState::FinWait),
            of(TcpState::LastAck),
            of(TcpState::TimeWait)
        ]
    );
    let set: Vec<Status> = trace.ops.iter().map(|op| op.set_status).collect();
    assert_eq!(set[1], Status::SEEN_REPLY);
    assert_eq!(set[2], Status::ASSURED);
    assert!(set[3..].iter().all(|s| *s == Status::NEW), "bits are set once");
    assert_eq!(trace.ops[1].direction, Direction::Reply);
    assert_eq!(trace.expected.final_len, 0);
}

#[test]
fn the_answerer_may_close_first() {
    let (trace, _) = track(&after_handshake(&[
        segment(30, false, FIN),
        segment(40, true, ACK),
        segment(50, true, FIN),
        // The opener, who is the second closer, acknowledging more does not end it; the first closer does.
        segment(60, true, ACK),
        segment(70, false, ACK),
    ]));
    assert_eq!(kinds(&trace)[3..], [Hit, Hit, Hit, Hit, Hit, Close]);
}

#[test]
fn a_reset_removes_and_a_syn_opens_a_new_number() {
    let (trace, counts) = track(&after_handshake(&[
        segment(30, false, RST),
        segment(40, true, ACK),
        segment(50, true, RST),
        segment(60, true, SYN),
    ]));
    assert_eq!(kinds(&trace)[3..], [Hit, Close, Miss, Miss, Open]);
    assert_eq!(counts.after_close, 2);
    assert_eq!((trace.ops[0].connection, last(&trace).connection), (0, 1));
    assert_eq!(
        trace.connections[0], trace.connections[1],
        "T4: the same tuples, a new number"
    );
    assert_eq!(
        trace.ops[5].connection, 0,
        "late packets are misses of the connection they came for"
    );
}

#[test]
fn what_comes_long_after_a_close_is_a_new_pickup() {
    let linger = u64::from(TcpState::Close.timeout_ms());
    for (wait, expected) in [(linger - 1, Miss), (linger, Open)] {
        let (trace, _) = track(&after_handshake(&[
            segment(30, false, RST),
            segment(30 + wait, true, ACK),
        ]));
        assert_eq!(last(&trace).kind, expected, "{wait} ms after");
    }
}

#[test]
fn closed_connections_may_linger_as_in_linux() {
    let closed = after_handshake(&[
        segment(30, true, FIN),
        segment(40, false, FIN),
        segment(50, true, ACK),
        segment(60, false, FIN),
        segment(70, true, ACK),
    ]);
    let (trace, _) = track_with(lingering(), &closed);
    assert!(!kinds(&trace).contains(&Close));
    assert_eq!(last(&trace).timeout_ms, TcpState::TimeWait.timeout_ms());
    // A SYN meanwhile: the old one goes, the new one comes.
    let (trace, _) = track_with(lingering(), &[closed, vec![segment(1000, true, SYN)]].concat());
    assert_eq!(kinds(&trace)[8..], [Hit, Close, Open]);
    assert_eq!(trace.expected.final_len, 1);
    // After a reset, ten seconds.
    let (trace, _) = track_with(
        lingering(),
        &after_handshake(&[segment(30, true, RST), segment(40, false, RST)]),
    );
    assert_eq!(last(&trace).timeout_ms, TcpState::Close.timeout_ms());
}

#[test]
fn only_some_packets_open() {
    let icmp = |kind: u8, transport| {
        let tuple = Tuple::v4(
            protocol::ICMP,
            [10, 0, 0, 1].into(),
            7,
            [10, 0, 0, 2].into(),
            u16::from(kind) << 8,
        );
        packet(0, tuple, transport)
    };
    for (opener, expected, timeout_ms) in [
        (segment(0, true, SYN), Open, TcpState::SynSent.timeout_ms()),
        (segment(0, true, ACK), Open, timeouts::TCP_ONE_SIDED_MS),
        (segment(0, true, SYN_ACK), Miss, 0),
        (segment(0, true, FIN), Miss, 0),
        (segment(0, true, RST), Miss, 0),
        (segment(0, true, 0), Miss, 0),
        (segment(0, true, 0x29), Miss, 0),
        (datagram(0, true), Open, timeouts::UDP_MS),
        (icmp(8, Transport::IcmpRequest), Open, timeouts::ICMP_MS),
        (icmp(0, Transport::IcmpReply), Miss, 0),
        (icmp(5, Transport::IcmpOther), Miss, 0),
        (packet(0, tuple(protocol::UDP, 9), Transport::IcmpError), Miss, 0),
        (
            packet(0, tuple(89, 0), Transport::Other),
            Open,
            timeouts::GENERIC_MS,
        ),
        (
            packet(0, tuple(protocol::GRE, 0), Transport::Other),
            Open,
            timeouts::GRE_MS,
        ),
    ] {
        let (trace, _) = track(&[opener]);
        assert_eq!(trace.ops.len(), 1, "{opener:?}");
        assert_eq!(
            (last(&trace).kind, last(&trace).timeout_ms),
            (expected, timeout_ms),
            "{opener:?}"
        );
    }
}

#[test]
fn what_misses_twice_has_one_number() {
    let (trace, _) = track(&[
        segment(0, true, RST),
        segment(1, true, RST),
        segment(2, false, RST),
    ]);
    assert_eq!(kinds(&trace), [Miss; 3]);
    let numbers: Vec<u32> = trace.ops.iter().map(|op| op.connection).collect();
    assert_eq!(numbers, [0, 0, 1]);
}

/// Linux does not trust a connection it has not seen both ways with five days.
#[test]
fn a_connection_picked_up_midstream_is_assured_after_both_directions() {
    let (trace, _) = track(&[
        segment(0, true, ACK),
        segment(1, false, ACK),
        segment(2, true, ACK),
    ]);
    let seen: Vec<(u32, Status)> = trace
        .ops
        .iter()
        .map(|op| (op.timeout_ms, op.set_status))
        .collect();
    let one_sided = timeouts::TCP_ONE_SIDED_MS;
    assert_eq!(
        seen,
        [
            (one_sided, Status::NEW),
            (one_sided, Status::SEEN_REPLY),
            (TcpState::Established.timeout_ms(), Status::ASSURED)
        ]
    );
}

#[test]
fn retransmitted_handshakes_do_not_keep_an_entry_alive() {
    let (trace, counts) = track(&[
        segment(0, true, SYN),
        segment(10, false, SYN_ACK),
        segment(30_000, true, SYN),
        segment(40_000, false, SYN_ACK),
        segment(60_010, true, ACK),
    ]);
    // The entry of time 10 expires at 60,010 whatever was sent again; the ACK is a new pickup.
    assert_eq!(kinds(&trace), [Open, Hit, Hit, Hit, Expire, Open]);
    assert_eq!(trace.ops[2].timeout_ms, 60_010 - 30_000);
    assert_eq!(counts.ignored, 2);
}

#[test]
fn udp_becomes_a_stream_when_it_is_answered_and_goes_on() {
    let (trace, _) = track(&[
        datagram(0, true),
        datagram(10, false),
        datagram(2000, true),
        datagram(2001, true),
    ]);
    let seen: Vec<(u32, Status)> = trace
        .ops
        .iter()
        .map(|op| (op.timeout_ms, op.set_status))
        .collect();
    assert_eq!(
        seen,
        [
            (timeouts::UDP_MS, Status::NEW),
            (timeouts::UDP_MS, Status::SEEN_REPLY),
            (timeouts::UDP_MS, Status::NEW),
            (timeouts::UDP_STREAM_MS, Status::ASSURED)
        ]
    );
}

#[test]
fn an_unanswered_udp_flow_never_becomes_a_stream() {
    let packets: Vec<Packet> = (0..10).map(|n| datagram(n * 5000, true)).collect();
    let (trace, _) = track(&packets);
    assert!(trace.ops.iter().all(|op| op.timeout_ms == timeouts::UDP_MS));
}

/// T2, to the millisecond.
#[test]
fn a_connection_is_absent_from_its_expiry_on() {
    let timeout = u64::from(timeouts::UDP_MS);
    let (trace, _) = track(&[datagram(0, true), datagram(timeout - 1, false)]);
    assert_eq!(kinds(&trace), [Open, Hit]);
    let (trace, _) = track(&[datagram(0, true), datagram(timeout, false)]);
    assert_eq!(kinds(&trace), [Open, Expire, Open]);
    assert_eq!(trace.expected.expired, 1);
    // A hit moves the expiry.
    let (trace, _) = track(&[
        datagram(0, true),
        datagram(timeout - 1, false),
        datagram(2 * timeout - 2, true),
    ]);
    assert_eq!(kinds(&trace), [Open, Hit, Hit]);
}

/// Between two sweeps an expired connection is there and yet absent.
#[test]
fn a_connection_that_was_not_swept_yet_is_absent_too() {
    let timeout = u64::from(timeouts::UDP_MS);
    let flow = |time_ms, port| packet(time_ms, tuple(protocol::UDP, port), Transport::Udp);
    for (late, expected) in [(timeout + 499, Hit), (timeout + 500, Open), (timeout + 501, Open)] {
        let (trace, counts) = track(&[flow(0, 1), flow(500, 2), flow(timeout, 3), flow(late, 2)]);
        assert_eq!(kinds(&trace), [Open, Open, Expire, Open, expected], "at {late}");
        // Opening over the expired one takes its place.
        assert_eq!(counts.peak_connections, 2);
        assert_eq!(trace.expected.final_len, 2);
    }
}

/// What was closed, reopened and lost again is forgotten: its next packet is a pickup, not a straggler of the first.
#[test]
fn a_reopened_connection_is_no_longer_a_closed_one() {
    let closed = after_handshake(&[
        segment(30, true, FIN),
        segment(40, false, FIN),
        segment(50, true, ACK),
    ]);
    let again = [
        segment(1000, true, SYN),
        segment(2000, false, SYN_ACK),
        segment(70_000, true, ACK),
    ];
    let (trace, counts) = track(&[closed, again.to_vec()].concat());
    assert_eq!(kinds(&trace)[7..], [Open, Hit, Expire, Open]);
    assert_eq!(counts.after_close, 0);
}

#[test]
fn an_expiry_that_moves_earlier_is_not_missed() {
    // Established, five days; the FIN makes it two minutes.
    let fin_wait = u64::from(TcpState::FinWait.timeout_ms());
    let other = |time_ms| packet(time_ms, tuple(protocol::UDP, 5), Transport::Udp);
    let (trace, _) = track(&after_handshake(&[
        segment(30, true, FIN),
        other(30 + fin_wait - 1),
        other(30 + fin_wait),
    ]));
    assert_eq!(kinds(&trace)[4..], [Open, Expire, Hit]);
    let (trace, _) = track(&after_handshake(&[other(5 * DAY_MS + 19)]));
    assert_eq!(
        kinds(&trace)[3..],
        [Open],
        "still there a millisecond before five days"
    );
    let (trace, _) = track(&after_handshake(&[other(5 * DAY_MS + 20)]));
    assert_eq!(kinds(&trace)[3..], [Expire, Open]);
}

#[test]
fn sweeps_come_at_most_once_a_second() {
    let flow = |n: u64, time_ms| {
        packet(
            time_ms,
            tuple(protocol::UDP, u16::try_from(n).unwrap()),
            Transport::Udp,
        )
    };
    let timeout = u64::from(timeouts::UDP_MS);
    // One connection expires every 100 ms; packets come at 10 ms intervals.
    let mut packets: Vec<Packet> = (0..50).map(|n| flow(n, n * 100)).collect();
    packets.extend((0..600).map(|n| flow(1000, timeout - 500 + n * 10)));
    let (trace, _) = track(&packets);
    let sweeps: Vec<u64> = trace
        .ops
        .iter()
        .filter(|op| op.kind == Expire)
        .map(|op| op.time.0)
        .collect();
    assert_eq!(sweeps.len(), 6, "{sweeps:?}");
    assert_eq!(trace.expected.expired, 50);
}

#[test]
fn an_error_finds_its_connection_and_leaves_it_alone() {
    let quoted = datagram(0, true).tuple;
    let timeout = u64::from(timeouts::UDP_MS);
    let (trace, counts) = track(&[
        datagram(0, true),
        packet(20_000, quoted, Transport::IcmpError),
        packet(20_001, quoted.mirrored(), Transport::IcmpError),
        datagram(timeout, true),
    ]);
    assert_eq!(kinds(&trace), [Open, Hit, Hit, Expire, Open]);
    assert_eq!(trace.ops[1].timeout_ms, 10_000, "what is left");
    assert_eq!(trace.ops[2].direction, Direction::Reply);
    assert_eq!(trace.ops[2].set_status, Status::NEW, "an error is no answer");
    assert_eq!(counts.ignored, 2);
}

#[test]
fn icmp_answers_belong_to_their_requests() {
    let request = Tuple::v4(
        protocol::ICMP,
        [10, 0, 0, 1].into(),
        7,
        [10, 0, 0, 2].into(),
        0x0800,
    );
    let other = Tuple::v4(protocol::ICMP, [10, 0, 0, 2].into(), 8, [10, 0, 0, 1].into(), 0);
    let (trace, _) = track(&[
        packet(0, request, Transport::IcmpRequest),
        packet(1, reply_of(&request), Transport::IcmpReply),
        packet(2, other, Transport::IcmpReply),
    ]);
    assert_eq!(kinds(&trace), [Open, Hit, Miss]);
    assert_eq!(trace.ops[1].direction, Direction::Reply);
}

/// T3.
#[test]
fn time_that_steps_back_stands_still_and_is_counted() {
    let (trace, counts) = track(&[
        datagram(100, true),
        datagram(90, true),
        datagram(0, false),
        datagram(200, true),
    ]);
    let times: Vec<u64> = trace.ops.iter().map(|op| op.time.0).collect();
    assert_eq!(times, [0, 0, 0, 100]);
    assert_eq!(counts.time_steps_back, 2);
}

#[test]
fn later_fragments_and_packets_to_oneself_are_skipped() {
    let fragment = |protocol, port| Packet {
        fragment: true,
        ..packet(1, tuple(protocol, port), Transport::Other)
    };
    let bare = |protocol| {
        let tuple = Tuple::v4(protocol, [10, 0, 0, 1].into(), 0, [10, 0, 0, 2].into(), 0);
        Packet {
            fragment: true,
            ..packet(1, tuple, Transport::Other)
        }
    };
    let same = Tuple::v4(protocol::UDP, [10, 0, 0, 1].into(), 9, [10, 0, 0, 1].into(), 9);
    let first = Packet {
        fragment: true,
        ..datagram(0, true)
    };
    let (trace, counts) = track(&[
        first,
        bare(protocol::UDP),
        bare(protocol::ICMP),
        packet(2, same, Transport::Udp),
        bare(89),
        fragment(132, 5),
    ]);
    assert_eq!(
        kinds(&trace),
        [Open, Open, Open],
        "the first fragment, OSPF's, and one with ports"
    );
    assert_eq!((counts.later_fragments, counts.same_endpoints), (2, 1));
}

#[test]
fn operations_of_synthetic_connections_are_marked() {
    let mut attack = segment(0, true, SYN);
    attack.synthetic = true;
    let (trace, _) = track(&[attack, segment(1, false, SYN_ACK), datagram(2, true)]);
    let marks: Vec<bool> = trace.ops.iter().map(|op| op.attack).collect();
    assert_eq!(marks, [true, true, false]);
}

#[test]
fn the_limit_is_a_quarter_over_the_peak() {
    let flow = |n: u16| packet(0, tuple(protocol::UDP, n), Transport::Udp);
    let (few, _) = track(&[flow(1)]);
    assert_eq!(few.max_connections, 1024);
    let (many, counts) = track(&(0..2001).map(flow).collect::<Vec<_>>());
    assert_eq!((counts.peak_connections, many.max_connections), (2001, 2502));
    let (nothing, _) = track(&[]);
    assert!(nothing.ops.is_empty() && nothing.expected.final_len == 0);
}

fn random_packet() -> impl Strategy<Value = Packet> {
    let transport = prop_oneof![
        6 => any::<u8>().prop_map(|flags| Transport::Tcp(TcpFlags(flags & 0x17))),
        2 => Just(Transport::Udp),
        1 => Just(Transport::IcmpRequest),
        1 => Just(Transport::IcmpReply),
        1 => Just(Transport::IcmpError),
        1 => Just(Transport::Other),
    ];
    // Few hosts and ports, so that packets meet; times up to a minute apart, sometimes days, sometimes back.
    let step = prop_oneof![8 => 0u64..100, 4 => 0u64..60_000, 1 => 0u64..10 * DAY_MS];
    (
        transport,
        0u8..3,
        0u8..3,
        0u16..3,
        0u16..2,
        step,
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(transport, src, dst, sport, dport, step, [synthetic, fragment, tcp])| {
                let protocol = match transport {
                    Transport::Tcp(_) => protocol::TCP,
                    Transport::Udp => protocol::UDP,
                    Transport::IcmpError if tcp => protocol::TCP,
                    Transport::IcmpError => protocol::UDP,
                    Transport::Other => protocol::GRE,
                    _ => protocol::ICMP,
                };
                let dport = match transport {
                    Transport::IcmpRequest => 0x0800,
                    Transport::IcmpReply => 0,
                    _ => dport,
                };
                let tuple = Tuple::v4(
                    protocol,
                    [10, 0, 0, src].into(),
                    sport,
                    [10, 0, 0, dst].into(),
                    dport,
                );
                Packet {
                    // The step; made a time below.
                    time_ns: step,
                    tuple,
                    transport,
                    wire_len: 64,
                    fragment,
                    synthetic,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// T1 on anything.
    #[test]
    fn random_packets_make_a_trace_that_holds(
        packets in prop::collection::vec(random_packet(), 1..200),
        backwards in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        linger in any::<bool>(),
    ) {
        let mut now = 0;
        let mut packets: Vec<Packet> = packets.into_iter().map(|mut p| {
            now += p.time_ns * 1_000_000;
            p.time_ns = now;
            p
        }).collect();
        for at in backwards {
            let at = at.index(packets.len());
            packets[at].time_ns /= 2;
        }
        let (trace, counts) = track_with(TrackOptions { linger, ..TrackOptions::default() }, &packets);
        let skipped = counts.later_fragments + counts.same_endpoints + counts.over_limit;
        // A reopening packet is looked up twice.
        let lookups = trace.expected.hits + trace.expected.misses;
        prop_assert!(lookups + skipped >= counts.packets);
        if !linger {
            prop_assert_eq!(lookups + skipped, counts.packets);
        }
        prop_assert!(counts.peak_connections >= model::check(&trace));
    }
}

/// T1 on every shared capture, lingering or not; and the same trace each time.
#[test]
fn shared_captures_make_traces_that_hold() {
    let Some(folder) = shared_captures() else { return };
    let (mut tracked, mut refused) = (0, 0);
    for path in all_captures(&folder) {
        let replay = match Replay::load(&path, &ReplayOptions::default()) {
            Ok(replay) => replay,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        tracked += 1;
        let (trace, counts) = replay.trace("shared");
        let peak = model::check(&trace);
        assert_eq!(counts.peak_connections, peak, "{}", path.display());
        assert_eq!(
            trace.digest(),
            replay.trace("again").0.digest(),
            "{}",
            path.display()
        );
        track_with(lingering(), &replay.packets);
    }
    assert!(
        tracked > 45 && refused > 0,
        "{tracked} tracked, {refused} refused"
    );
}

/// What a firewall would say about known captures.
#[test]
fn known_captures_have_the_connections_they_should() {
    let Some(folder) = shared_captures() else { return };
    let load = |file: &str| Replay::load(&folder.join(file), &ReplayOptions::default()).unwrap();
    // 500 TCP connections, each with a handshake: each is one connection, closed or not.
    let echo = load("zeek-echo-connections.pcap").trace("echo").0;
    assert_eq!(echo.expected.inserts, 500);
    assert!(echo.expected.hits > 80_000, "{:?}", echo.expected);
    // A spoofed SYN flood: every SYN its own connection, none ever answered.
    let flood = load("stopddos-tcp-synflood-spoofed.pcap").trace("flood").0;
    assert_eq!(flood.expected.inserts, 37_669);
    assert_eq!(flood.expected.removes, 0);
    assert!(
        flood
            .ops
            .iter()
            .all(|op| !op.set_status.contains(Status::ASSURED))
    );
    // SYN-ACKs reflected off thousands of servers: nothing opens for them.
    let reflected = load("stopddos-tcp-reflection-synack.pcap").trace("reflected").0;
    assert!(reflected.expected.inserts < 200, "{:?}", reflected.expected);
}

/// Replayed into Linux in a few seconds, so that nothing expires, these captures left as many connections as are opened here:
/// floods, backscatter, reflections and plain connections alike.
#[test]
fn linux_opens_as_many_connections() {
    let Some(folder) = shared_captures() else { return };
    let summary = std::fs::read_to_string(folder.join("kernel/summary.tsv")).unwrap();
    let mut compared = 0;
    for line in summary.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (file, entries): (_, u64) = (fields[0], fields[1].parse().unwrap());
        let same = [
            "lucid-syn2020-synflood-chunk.pcap",
            "ncsa-backscatter-24h.pcap",
            "stopddos-tcp-reflection-synack.pcap",
            "stopddos-tcp-synflood-spoofed.pcap",
            "stopddos-udp-amp-bacnet-iot.pcap",
            "zeek-echo-connections.pcap",
        ];
        if same.contains(&file) {
            let trace = Replay::load(&folder.join(file), &ReplayOptions::default())
                .unwrap()
                .trace("kernel")
                .0;
            assert_eq!(trace.expected.inserts, entries, "{file}");
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
}

#[test]
fn strict_refuses_what_is_otherwise_used_up_to_the_break() {
    let Some(folder) = shared_captures() else { return };
    let path = folder.join("edge/badlen-smtp.pcap");
    let replay = Replay::load(&path, &ReplayOptions::default()).unwrap();
    assert_eq!(replay.packets.len(), 18);
    let broken = replay.facts.broken.expect("it is broken");
    assert!(
        broken.contains("packet 19") && broken.contains("offset 3695"),
        "{broken}"
    );
    let strict = ReplayOptions {
        strict: true,
        ..ReplayOptions::default()
    };
    let error = Replay::load(&path, &strict).unwrap_err();
    assert!(matches!(error, ReplayError::Capture { .. }), "{error}");
    assert!(error.to_string().contains("packet 19"), "{error}");
    let limited = ReplayOptions {
        max_packets: 5,
        ..strict
    };
    let replay = Replay::load(&path, &limited).unwrap();
    assert!(replay.facts.limited && replay.packets.len() == 5);
    assert_eq!(replay.facts.flows.packets, 5);
}

#[test]
fn link_types_that_are_not_decoded_are_named() {
    let Some(folder) = shared_captures() else { return };
    let error = Replay::load(
        &folder.join("edge/be-linktype253.pcap"),
        &ReplayOptions::default(),
    )
    .unwrap_err();
    assert!(matches!(error, ReplayError::LinkType { .. }), "{error}");
    assert!(error.to_string().contains("253 (NETLINK)"), "{error}");
}
