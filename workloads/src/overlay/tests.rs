//! The overlay on made-up captures, adversarial ones among them, and the flood's trace through the tracker and the oracle.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::*;
use crate::oracle;
use crate::trace::OpKind;

const SECOND: u64 = 1_000_000_000;
const SYN_ACK: TcpFlags = TcpFlags::SYN.with(TcpFlags::ACK);

fn packet(time_ns: u64, tuple: Tuple, flags: TcpFlags) -> Packet {
    Packet {
        time_ns,
        tuple,
        transport: Transport::Tcp(flags),
        wire_len: 60,
        fragment: false,
        synthetic: false,
    }
}

fn server(n: u8) -> SocketAddr {
    SocketAddr::new([192, 0, 2, n].into(), 443)
}

fn tcp(source: (Ipv4Addr, u16), to: SocketAddr) -> Tuple {
    Tuple::from_endpoints(protocol::TCP, (source.0, source.1).into(), to).unwrap()
}

/// 100 s of handshakes and data, ten connections a second, each ten seconds long: server 1 has most, then 2, 3, ...
fn capture() -> Vec<Packet> {
    let mut packets = Vec::new();
    for n in 0..900u16 {
        let to = server([1, 1, 1, 2, 2, 3, 4, 5][usize::from(n % 8)]);
        let tuple = tcp((Ipv4Addr::new(10, 0, (n % 50) as u8, 1), 40_000 + n), to);
        let start = 1_700_000_000 * SECOND + u64::from(n) * SECOND / 10;
        let fin = TcpFlags::FIN.with(TcpFlags::ACK);
        let steps = [
            (0, false, TcpFlags::SYN),
            (20, true, SYN_ACK),
            (40, false, TcpFlags::ACK),
            (3000, true, TcpFlags::ACK),
            (6000, false, TcpFlags::ACK),
            (9000, false, fin),
            (9500, true, fin),
            (10_000, false, TcpFlags::ACK),
        ];
        for (ms, reply, flags) in steps {
            let tuple = if reply { tuple.mirrored() } else { tuple };
            packets.push(packet(start + ms * 1_000_000, tuple, flags));
        }
    }
    packets.sort_by_key(|p| p.time_ns);
    packets
}

fn per_second(rate: f64) -> FloodOptions {
    FloodOptions::new(7, FloodRate::PacketsPerSecond(rate))
}

/// O1, without the overlay's own set: every synthetic tuple against all captured ones and all others, sorted.
fn assert_disjoint(overlay: &Overlay) {
    let mut owners: BTreeMap<Tuple, usize> = BTreeMap::new();
    for packet in overlay.packets.iter().filter(|p| !p.synthetic) {
        owners.insert(packet.tuple, usize::MAX);
        owners.insert(packet.tuple.mirrored(), usize::MAX);
    }
    for (number, packet) in overlay.packets.iter().enumerate().filter(|(_, p)| p.synthetic) {
        for tuple in [packet.tuple, packet.tuple.mirrored()] {
            let other = owners.insert(tuple, number);
            assert_eq!(other, None, "{tuple} is somebody else's");
        }
    }
}

#[test]
fn asked_and_achieved_rates_agree() {
    let captured = capture();
    for rate in [5.0, 40.0, 3000.0] {
        let overlay = syn_flood(&captured, &per_second(rate)).unwrap();
        let report = &overlay.report;
        let syns: Vec<&Packet> = overlay.packets.iter().filter(|p| p.synthetic).collect();
        assert_eq!(syns.len() as u64, report.packets);
        // Counted by the packets' own times, over the window.
        let inside = (report.start_ns..report.end_ns).contains(&syns[0].time_ns)
            && (report.start_ns..report.end_ns).contains(&syns[syns.len() - 1].time_ns);
        assert!(inside);
        let counted = syns.len() as f64 / report.seconds();
        assert!((counted / rate - 1.0).abs() < 0.01, "{counted} for {rate}");
        assert!(
            (report.achieved_pps / rate - 1.0).abs() < 0.01,
            "{} for {rate}",
            report.achieved_pps
        );
        assert!((report.asked_pps / rate - 1.0).abs() < 1e-9);
        assert_disjoint(&overlay);
    }
}

#[test]
fn a_share_is_met_while_the_flood_lasts() {
    let captured = capture();
    for share in [0.1, 0.5, 0.95] {
        let options = FloodOptions::new(1, FloodRate::ShareOfPackets(share));
        let overlay = syn_flood(&captured, &options).unwrap();
        let (start, end) = (overlay.report.start_ns, overlay.report.end_ns);
        let meanwhile: Vec<&Packet> = overlay
            .packets
            .iter()
            .filter(|p| (start..end).contains(&p.time_ns))
            .collect();
        let counted = meanwhile.iter().filter(|p| p.synthetic).count() as f64 / meanwhile.len() as f64;
        assert!((counted / share - 1.0).abs() < 0.01, "{counted} for {share}");
        assert!((overlay.report.share - counted).abs() < 1e-9);
    }
}

#[test]
fn the_flood_leaves_a_quarter_at_each_end_and_spreads_between() {
    let captured = capture();
    let overlay = syn_flood(&captured, &per_second(100.0)).unwrap();
    let (first, last) = (captured[0].time_ns, captured[captured.len() - 1].time_ns);
    let quarters = [0, 1, 2, 3].map(|q| {
        let (from, to) = (
            first + (last - first) * q / 4,
            first + (last - first) * (q + 1) / 4,
        );
        overlay
            .packets
            .iter()
            .filter(|p| p.synthetic && (from..to).contains(&p.time_ns))
            .count()
    });
    assert_eq!((quarters[0], quarters[3]), (0, 0));
    assert!(quarters[1].abs_diff(quarters[2]) <= 2, "{quarters:?}");
    assert!(overlay.packets.is_sorted_by_key(|p| p.time_ns));
}

/// O2, on a capture whose clock steps back.
#[test]
fn captured_packets_keep_their_order() {
    let mut captured = capture();
    captured.swap(100, 3000);
    captured.swap(2000, 5000);
    let overlay = syn_flood(&captured, &per_second(200.0)).unwrap();
    let kept: Vec<Packet> = overlay.packets.iter().filter(|p| !p.synthetic).copied().collect();
    assert_eq!(kept, captured);
    let syns: Vec<u64> = overlay
        .packets
        .iter()
        .filter(|p| p.synthetic)
        .map(|p| p.time_ns)
        .collect();
    assert!(syns.is_sorted() && syns.len() as u64 == overlay.report.packets);
}

/// O3.
#[test]
fn the_seed_makes_the_overlay() {
    let captured = capture();
    let options = per_second(50.0);
    let overlay = syn_flood(&captured, &options).unwrap();
    assert_eq!(overlay, syn_flood(&captured, &options).unwrap());
    let other = syn_flood(&captured, &FloodOptions { seed: 8, ..options }).unwrap();
    assert_ne!(overlay.packets, other.packets);
}

/// O1 against a capture that holds most of the tuples that the flood could draw: half of them as they would be sent,
/// half the other way round, some of them quoted by ICMP errors.
#[test]
fn no_synthetic_tuple_is_anyone_elses() {
    let target = server(1);
    let mut captured = capture();
    let origin = captured[0].time_ns;
    let hosts: Vec<Ipv4Addr> = (0..4).map(|n| Ipv4Addr::new(203, 0, 113, n)).collect();
    for &host in &hosts {
        for port in FIRST_SOURCE_PORT..=u16::MAX {
            if port % 8 == 0 {
                continue;
            }
            let tuple = tcp((host, port), target);
            let (tuple, flags) = if port % 2 == 0 {
                (tuple, TcpFlags::SYN)
            } else {
                (tuple.mirrored(), TcpFlags::ACK)
            };
            let mut packet = packet(origin, tuple, flags);
            if port % 3 == 0 {
                packet.transport = Transport::IcmpError;
            }
            captured.push(packet);
        }
    }
    captured.sort_by_key(|p| p.time_ns);
    let free = u64::from((u16::MAX - FIRST_SOURCE_PORT) / 8 + 1) * hosts.len() as u64;
    let options = FloodOptions {
        targets: 1,
        sources: vec![Prefix::new(0, "203.0.113.0".parse().unwrap(), 30).unwrap()],
        ..per_second(600.0)
    };
    let overlay = syn_flood(&captured, &options).unwrap();
    assert_eq!(overlay.report.targets, [target]);
    assert!(
        overlay.report.packets < free,
        "the test needs {} free tuples",
        overlay.report.packets
    );
    assert!(
        overlay.report.redrawn > 4 * overlay.report.packets,
        "{}",
        overlay.report
    );
    let drawn = overlay.report.packets + overlay.report.redrawn;
    assert_eq!(overlay.report.checks, 2 * drawn);
    assert_eq!(overlay.report.sources, 4);
    assert_disjoint(&overlay);

    // More than there are: refused, not repeated.
    let too_many = FloodOptions {
        rate: FloodRate::PacketsPerSecond(1000.0),
        ..options
    };
    let error = syn_flood(&captured, &too_many).unwrap_err();
    assert!(
        matches!(error, OverlayError::SourcesUsedUp { made, .. } if made <= free),
        "{error}"
    );
}

#[test]
fn the_most_popular_servers_are_flooded() {
    let report = syn_flood(&capture(), &per_second(50.0)).unwrap().report;
    assert_eq!(report.targets[..2], [server(1), server(2)]);
    assert_eq!(report.targets.len(), 4);
    // A capture that begins in mid-connection shows no SYN: any TCP destination will do.
    let mut later = capture();
    later.retain(|p| !matches!(p.transport, Transport::Tcp(flags) if flags.contains(TcpFlags::SYN)));
    assert!(
        !syn_flood(&later, &per_second(50.0))
            .unwrap()
            .report
            .targets
            .is_empty()
    );
}

#[test]
fn ipv6_servers_are_flooded_from_ipv6() {
    let mut captured = capture();
    let v6 = |address: &str| IpAddr::V6(address.parse().unwrap());
    for packet in &mut captured {
        let (s, d) = (packet.tuple.src_port(), packet.tuple.dst_port());
        packet.tuple = towards(v6("2001:db8::1"), d, v6("2001:db8:1::2"), s, 0);
    }
    let overlay = syn_flood(&captured, &per_second(50.0)).unwrap();
    assert!(overlay.packets.iter().all(|p| p.tuple.family() == Family::V6));
    assert_disjoint(&overlay);
    let v4_only = FloodOptions {
        sources: vec![Prefix::new(0, "10.0.0.0".parse().unwrap(), 8).unwrap()],
        ..per_second(50.0)
    };
    let error = syn_flood(&captured, &v4_only).unwrap_err();
    assert!(error.to_string().contains("address family"), "{error}");
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let captured = capture();
    let refused = |options: &FloodOptions| match syn_flood(&captured, options).unwrap_err() {
        OverlayError::Option { name, .. } => name,
        other => panic!("{other}"),
    };
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300, 1e-9] {
        assert_eq!(refused(&per_second(rate)), "rate");
    }
    assert_eq!(refused(&FloodOptions::new(1, FloodRate::Filling)), "rate");
    for share in [0.0, 1.0, f64::NAN] {
        assert_eq!(
            refused(&FloodOptions::new(1, FloodRate::ShareOfPackets(share))),
            "share"
        );
    }
    for (start, end) in [(0.5, 0.5), (0.7, 0.2), (-0.1, 0.5), (0.5, 1.1), (f64::NAN, 0.5)] {
        let options = FloodOptions {
            start,
            end,
            ..per_second(1.0)
        };
        assert_eq!(refused(&options), "start, end");
    }
    assert_eq!(
        refused(&FloodOptions {
            targets: 0,
            ..per_second(1.0)
        }),
        "targets"
    );
}

#[test]
fn captures_that_cannot_be_flooded_are_refused() {
    assert!(matches!(
        syn_flood(&[], &per_second(1.0)),
        Err(OverlayError::NoDuration { packets: 0, .. })
    ));
    let mut udp = capture();
    for packet in &mut udp {
        packet.transport = Transport::Udp;
    }
    assert!(matches!(
        syn_flood(&udp, &per_second(1.0)),
        Err(OverlayError::NoTargets { .. })
    ));
}

/// The trace fills its table because of the flood, and only because of it; the oracle accepts it; attack operations are
/// the synthetic packets.
#[test]
fn the_flood_fills_a_table_that_the_capture_fits() {
    let captured = capture();
    let flood = flood_trace("flood:test", &captured, &FloodOptions::new(7, FloodRate::Filling)).unwrap();
    let trace = &flood.trace;
    assert_eq!(oracle::check(trace), Ok(trace.expected));
    assert!(
        (90..130).contains(&flood.legitimate_peak),
        "{}",
        flood.legitimate_peak
    );
    assert_eq!(trace.max_connections as u64, flood.legitimate_peak * 5 / 4);
    assert!(trace.evict_when_full && trace.answers == Answers::GivenEvictions && !trace.is_partitionable());
    assert!(flood.counts.peak_connections > 3 * trace.max_connections as u64 / 2);

    let attack = trace
        .ops
        .iter()
        .filter(|op| op.attack && op.kind == OpKind::Open)
        .count();
    assert_eq!(attack as u64, flood.report.packets);
    assert!(trace.ops.iter().all(|op| !op.attack || op.kind == OpKind::Open));
    // Before and after the flood there is legitimate traffic to compare with.
    let first = trace.ops.iter().position(|op| op.attack).unwrap();
    let last = trace.ops.iter().rposition(|op| op.attack).unwrap();
    assert!(first > 1000 && trace.ops.len() - last > 1000);

    let again = flood_trace("flood:test", &captured, &FloodOptions::new(7, FloodRate::Filling)).unwrap();
    assert_eq!(trace.digest(), again.trace.digest());
}

#[test]
fn a_flood_that_would_not_fill_the_table_is_refused() {
    let rate = FloodRate::PacketsPerSecond(0.1);
    let error = flood_trace("flood:test", &capture(), &FloodOptions::new(7, rate)).unwrap_err();
    assert!(matches!(error, OverlayError::NeverFills { .. }), "{error}");
    assert!(error.to_string().contains("it never fills"));
}
