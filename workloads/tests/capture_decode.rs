//! Frames built by etherparse come back as the tuples and flags they were built from (D2).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FragmentHeader,
    Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions, PacketBuilder, TcpHeader,
};
use proptest::prelude::*;
use structures::Tuple;
use structures::tuple::protocol;
use workloads::capture::{Frame, LinkType};
use workloads::decode::{Decoded, SkipReason, decode, reply_of};
use workloads::packet::{TcpFlags, Transport};

/// What a packet is built from.
#[derive(Debug, Clone)]
struct Spec {
    src: IpAddr,
    dst: IpAddr,
    carries: Carries,
    /// IPv4: words of options. IPv6: which extension headers, and their length.
    extra: u8,
    fragment: bool,
    payload: usize,
}

#[derive(Debug, Clone, Copy)]
enum Carries {
    Tcp {
        ports: (u16, u16),
        flags: u8,
        options: u8,
    },
    Udp {
        ports: (u16, u16),
    },
    EchoRequest {
        identifier: u16,
    },
    EchoReply {
        identifier: u16,
    },
    Other {
        protocol: u8,
    },
}

impl Spec {
    fn is_v4(&self) -> bool {
        self.src.is_ipv4()
    }

    /// The IP packet.
    fn bytes(&self) -> Vec<u8> {
        let builder = PacketBuilder::ip(self.ip_header());
        let payload = vec![0xa5; self.payload];
        let mut bytes = Vec::new();
        match (self.carries, self.is_v4()) {
            (
                Carries::Tcp {
                    ports,
                    flags,
                    options,
                },
                _,
            ) => {
                let mut tcp = TcpHeader::new(ports.0, ports.1, 1, 1000);
                tcp.fin = flags & 0x01 != 0;
                tcp.syn = flags & 0x02 != 0;
                tcp.rst = flags & 0x04 != 0;
                tcp.psh = flags & 0x08 != 0;
                tcp.ack = flags & 0x10 != 0;
                tcp.urg = flags & 0x20 != 0;
                tcp.ece = flags & 0x40 != 0;
                tcp.cwr = flags & 0x80 != 0;
                tcp.set_options_raw(&vec![1; usize::from(options % 11) * 4])
                    .unwrap();
                builder.tcp_header(tcp).write(&mut bytes, &payload).unwrap();
            }
            (Carries::Udp { ports }, _) => builder.udp(ports.0, ports.1).write(&mut bytes, &payload).unwrap(),
            (Carries::EchoRequest { identifier }, true) => {
                builder
                    .icmpv4_echo_request(identifier, 3)
                    .write(&mut bytes, &payload)
                    .unwrap();
            }
            (Carries::EchoRequest { identifier }, false) => {
                builder
                    .icmpv6_echo_request(identifier, 3)
                    .write(&mut bytes, &payload)
                    .unwrap();
            }
            (Carries::EchoReply { identifier }, true) => {
                builder
                    .icmpv4_echo_reply(identifier, 3)
                    .write(&mut bytes, &payload)
                    .unwrap();
            }
            (Carries::EchoReply { identifier }, false) => {
                builder
                    .icmpv6_echo_reply(identifier, 3)
                    .write(&mut bytes, &payload)
                    .unwrap();
            }
            (Carries::Other { protocol }, _) => {
                builder.write(&mut bytes, IpNumber(protocol), &payload).unwrap();
            }
        }
        bytes
    }

    fn ip_header(&self) -> IpHeaders {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let mut header = Ipv4Header::new(0, 64, IpNumber::TCP, src.octets(), dst.octets()).unwrap();
                header.options = vec![1; usize::from(self.extra % 11) * 4]
                    .as_slice()
                    .try_into()
                    .unwrap();
                header.more_fragments = self.fragment;
                IpHeaders::Ipv4(header, Ipv4Extensions::default())
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let raw = || {
                    let body = vec![0; 6 + 8 * usize::from(self.extra >> 4)];
                    Ipv6RawExtHeader::new_raw(IpNumber::TCP, &body).unwrap()
                };
                let extensions = Ipv6Extensions {
                    hop_by_hop_options: (self.extra & 1 != 0).then(raw),
                    destination_options: (self.extra & 2 != 0).then(raw),
                    routing: (self.extra & 4 != 0).then(|| Ipv6RoutingExtensions {
                        routing: raw(),
                        final_destination_options: None,
                    }),
                    fragment: self
                        .fragment
                        .then(|| Ipv6FragmentHeader::new(IpNumber::TCP, IpFragOffset::ZERO, true, 7)),
                    auth: None,
                };
                let header = Ipv6Header {
                    source: src.octets(),
                    destination: dst.octets(),
                    ..Ipv6Header::default()
                };
                IpHeaders::Ipv6(header, extensions)
            }
            _ => unreachable!("both of one family"),
        }
    }

    fn expected(&self) -> (Tuple, Transport) {
        let icmp = if self.is_v4() {
            protocol::ICMP
        } else {
            protocol::ICMPV6
        };
        let (request, reply) = if self.is_v4() { (8, 0) } else { (128, 129) };
        let (protocol, ports, transport) = match self.carries {
            Carries::Tcp { ports, flags, .. } => (protocol::TCP, ports, Transport::Tcp(TcpFlags(flags))),
            Carries::Udp { ports } => (protocol::UDP, ports, Transport::Udp),
            Carries::EchoRequest { identifier } => (icmp, (identifier, request << 8), Transport::IcmpRequest),
            Carries::EchoReply { identifier } => (icmp, (identifier, reply << 8), Transport::IcmpReply),
            Carries::Other { protocol } => (protocol, (0, 0), Transport::Other),
        };
        let at = |address, port| std::net::SocketAddr::new(address, port);
        let tuple = Tuple::from_endpoints(protocol, at(self.src, ports.0), at(self.dst, ports.1)).unwrap();
        (tuple, transport)
    }

    /// Length of the IP header with all that belongs to it.
    fn header_length(&self) -> usize {
        self.ip_header().header_len()
    }
}

fn carries() -> impl Strategy<Value = Carries> {
    prop_oneof![
        (any::<(u16, u16)>(), any::<u8>(), any::<u8>()).prop_map(|(ports, flags, options)| Carries::Tcp {
            ports,
            flags,
            options
        }),
        any::<(u16, u16)>().prop_map(|ports| Carries::Udp { ports }),
        any::<u16>().prop_map(|identifier| Carries::EchoRequest { identifier }),
        any::<u16>().prop_map(|identifier| Carries::EchoReply { identifier }),
        // IGMP, IP in IP, ESP, OSPF, PIM, VRRP, no next header.
        prop::sample::select(vec![2, 4, 50, 89, 103, 112, 59])
            .prop_map(|protocol| Carries::Other { protocol }),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let addresses = prop_oneof![
        any::<(u32, u32)>().prop_map(|(s, d)| (Ipv4Addr::from(s).into(), Ipv4Addr::from(d).into())),
        any::<(u128, u128)>().prop_map(|(s, d)| (Ipv6Addr::from(s).into(), Ipv6Addr::from(d).into())),
    ];
    (addresses, carries(), any::<u8>(), any::<bool>(), 0usize..40).prop_map(
        |((src, dst), carries, extra, fragment, payload): ((IpAddr, IpAddr), _, _, _, _)| Spec {
            src,
            dst,
            carries,
            extra,
            fragment,
            payload,
        },
    )
}

/// How a packet is wrapped.
#[derive(Debug, Clone)]
enum Wrap {
    Ethernet { tags: Vec<u16>, padding: usize },
    Mpls(usize),
    Pppoe,
    Raw(u32),
    Family,
    Loopback { link: u32, big: bool },
    Cooked,
    Cooked2,
}

fn wrap() -> impl Strategy<Value = Wrap> {
    let tag = prop::sample::select(vec![0x8100u16, 0x88a8, 0x9100]);
    prop_oneof![
        4 => (prop::collection::vec(tag, 0..5), 0usize..30).prop_map(|(tags, padding)| Wrap::Ethernet { tags, padding }),
        1 => (1usize..5).prop_map(Wrap::Mpls),
        1 => Just(Wrap::Pppoe),
        1 => prop::sample::select(vec![12u32, 14, 101]).prop_map(Wrap::Raw),
        1 => Just(Wrap::Family),
        1 => (prop::sample::select(vec![0u32, 108]), any::<bool>()).prop_map(|(link, big)| Wrap::Loopback { link, big }),
        1 => Just(Wrap::Cooked),
        1 => Just(Wrap::Cooked2),
    ]
}

/// Link type, frame and the number of bytes before the IP header.
fn wrapped(wrap: &Wrap, v4: bool, ip: &[u8]) -> (LinkType, Vec<u8>, usize) {
    let ether_type: u16 = if v4 { 0x0800 } else { 0x86dd };
    let mut frame = Vec::new();
    let link = match wrap {
        Wrap::Ethernet { tags, .. } => {
            frame.extend([0xee; 12]);
            for tag in tags {
                frame.extend(tag.to_be_bytes());
                frame.extend([0x20, 7]);
            }
            frame.extend(ether_type.to_be_bytes());
            1
        }
        Wrap::Mpls(labels) => {
            frame.extend([0xee; 12]);
            frame.extend([0x88, 0x47]);
            for n in (0..*labels).rev() {
                frame.extend([0, 1, u8::from(n == 0), 64]);
            }
            1
        }
        Wrap::Pppoe => {
            frame.extend([0xee; 12]);
            frame.extend([0x88, 0x64, 0x11, 0, 0, 1]);
            frame.extend(u16::try_from(ip.len() + 2).unwrap().to_be_bytes());
            frame.extend([0, if v4 { 0x21 } else { 0x57 }]);
            1
        }
        Wrap::Raw(link) => *link,
        Wrap::Family => {
            if v4 {
                228
            } else {
                229
            }
        }
        Wrap::Loopback { link, big } => {
            let family: u32 = if v4 { 2 } else { 30 };
            frame.extend(if *big {
                family.to_be_bytes()
            } else {
                family.to_le_bytes()
            });
            *link
        }
        Wrap::Cooked => {
            frame.extend([0; 14]);
            frame.extend(ether_type.to_be_bytes());
            113
        }
        Wrap::Cooked2 => {
            frame.extend(ether_type.to_be_bytes());
            frame.extend([0; 18]);
            276
        }
    };
    let before = frame.len();
    frame.extend(ip);
    if let Wrap::Ethernet { padding, .. } = wrap {
        // Trailing bytes that belong to no layer.
        frame.extend(vec![0x55; *padding]);
    }
    (LinkType(link), frame, before)
}

fn decode_cut(link: LinkType, frame: &[u8], captured: usize) -> Decoded {
    decode(&Frame {
        number: 1,
        time_ns: 17,
        link,
        original_len: u32::try_from(frame.len()).unwrap(),
        data: &frame[..captured.min(frame.len())],
    })
}

/// Bytes of the transport header that are looked at.
fn looked_at(carries: Carries) -> usize {
    match carries {
        Carries::Tcp { .. } => 14,
        Carries::Udp { .. } | Carries::EchoRequest { .. } | Carries::EchoReply { .. } => 8,
        Carries::Other { .. } => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn built_frames_come_back(spec in spec(), wrap in wrap()) {
        let ip = spec.bytes();
        let (link, frame, _) = wrapped(&wrap, spec.is_v4(), &ip);
        let decoded = decode_cut(link, &frame, frame.len());
        let packet = decoded.packet.map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!((packet.tuple, packet.transport), spec.expected());
        prop_assert_eq!(packet.fragment, spec.fragment);
        prop_assert_eq!(packet.time_ns, 17);
        prop_assert_eq!(packet.wire_len as usize, frame.len());
        prop_assert!(!packet.synthetic);
        let tags = if let Wrap::Ethernet { tags, .. } = &wrap { tags.len() } else { 0 };
        prop_assert_eq!(usize::from(decoded.seen.vlan_tags), tags);
    }

    /// Cut behind what is looked at: the same packet. Cut before: the capture's fault, and no other reason.
    #[test]
    fn cut_frames_give_the_same_or_say_that_they_are_cut(spec in spec(), wrap in wrap(), cut in 0usize..200) {
        let ip = spec.bytes();
        let (link, frame, before) = wrapped(&wrap, spec.is_v4(), &ip);
        let needed = before + spec.header_length() + looked_at(spec.carries);
        let decoded = decode_cut(link, &frame, cut);
        if cut >= needed {
            let packet = decoded.packet.map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!((packet.tuple, packet.transport), spec.expected());
        } else if let Err(error) = decoded.packet {
            prop_assert_eq!(error.reason, SkipReason::CutBySnapLength, "{}", error);
            prop_assert!(error.available < error.needed);
        } else {
            prop_assert!(false, "a packet from {} of {} bytes", cut, needed);
        }
    }

    /// The same frames, ended on the wire: malformed, with a reason of the layer that is missing bytes.
    #[test]
    fn ended_frames_are_malformed(spec in spec(), end in any::<prop::sample::Index>()) {
        let ip = spec.bytes();
        let needed = spec.header_length() + looked_at(spec.carries);
        let end = end.index(needed);
        let decoded = decode_cut(LinkType(101), &ip[..end], end);
        let error = decoded.packet.expect_err("not enough bytes");
        prop_assert!(error.reason.is_malformed(), "{}", error);
        prop_assert!(error.offset <= end && error.available < error.needed, "{}", error);
    }

    /// An error quotes a packet; the tuple is the quoted one, and the answer's answer is the packet itself.
    #[test]
    fn errors_carry_the_quoted_tuple(spec in spec(), kind in 0usize..4) {
        let quote = spec.bytes();
        let quoted_bytes = spec.header_length() + 8;
        let quote = &quote[..quoted_bytes.min(quote.len())];
        let (kind, src, dst): (u8, IpAddr, IpAddr) = if spec.is_v4() {
            ([3, 4, 11, 12][kind], Ipv4Addr::new(9, 9, 9, 9).into(), spec.src)
        } else {
            ([1, 2, 3, 4][kind], Ipv6Addr::LOCALHOST.into(), spec.src)
        };
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        message.extend(quote);
        let mut outer = Vec::new();
        let protocol = if spec.is_v4() { protocol::ICMP } else { protocol::ICMPV6 };
        let header = Spec { src, dst, carries: Carries::Other { protocol }, extra: 0, fragment: false, payload: 0 };
        PacketBuilder::ip(header.ip_header()).write(&mut outer, IpNumber(protocol), &message).unwrap();
        let decoded = decode_cut(LinkType(101), &outer, outer.len());
        let packet = decoded.packet.map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!((packet.tuple, packet.transport), (spec.expected().0, Transport::IcmpError));
        prop_assert_eq!(reply_of(&reply_of(&packet.tuple)), packet.tuple);
        // A quote that ends before the ports tells nothing.
        if looked_at(spec.carries) > 0 {
            let short = outer.len() - quote.len() + spec.header_length() + 3;
            // The outer length field must agree, or the capture would be taken to be cut.
            let mut outer = outer[..short].to_vec();
            if spec.is_v4() {
                let total = u16::try_from(short).unwrap().to_be_bytes();
                outer[2..4].copy_from_slice(&total);
            } else {
                let payload = u16::try_from(short - 40).unwrap().to_be_bytes();
                outer[4..6].copy_from_slice(&payload);
            }
            let error = decode_cut(LinkType(101), &outer, short).packet.expect_err("a short quote");
            prop_assert_eq!(error.reason, SkipReason::IcmpQuoteTruncated, "{}", error);
        }
    }
}

fn ipv4(protocol: u8, fragment_field: u16, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let [f0, f1] = fragment_field.to_be_bytes();
    let mut bytes = vec![0x45, 0, total[0], total[1], 0, 1, f0, f1, 64, protocol, 0, 0];
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

fn reason(link: u32, bytes: &[u8]) -> SkipReason {
    decode_cut(LinkType(link), bytes, bytes.len())
        .packet
        .expect_err("malformed")
        .reason
}

fn tuple_of(bytes: &[u8]) -> (Tuple, Transport) {
    let packet = decode_cut(LinkType(101), bytes, bytes.len())
        .packet
        .expect("well-formed");
    (packet.tuple, packet.transport)
}

#[test]
fn every_layer_names_what_is_wrong() {
    let tcp = |offset: u8| {
        [
            &[0, 80, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, offset << 4, 2][..],
            &[0; 6],
        ]
        .concat()
    };
    let with = |at: usize, value: u8| {
        let mut bytes = ipv4(6, 0, &tcp(5));
        bytes[at] = value;
        bytes
    };
    assert_eq!(reason(228, &with(0, 0x65)), SkipReason::Ipv4BadVersion);
    assert_eq!(reason(228, &with(0, 0x44)), SkipReason::Ipv4BadHeaderLength);
    assert_eq!(reason(228, &with(3, 19)), SkipReason::Ipv4BadTotalLength);
    assert_eq!(reason(229, &with(0, 0x45)), SkipReason::Ipv6BadVersion);
    assert_eq!(reason(101, &with(0, 0x35)), SkipReason::NonIp);
    assert_eq!(reason(101, &ipv4(6, 0, &tcp(4))), SkipReason::TcpBadDataOffset);
    assert_eq!(reason(101, &ipv4(6, 0, &tcp(5)[..19])), SkipReason::TcpTruncated);
    assert_eq!(reason(101, &ipv4(17, 0, &[0; 7])), SkipReason::UdpTruncated);
    assert_eq!(reason(101, &ipv4(1, 0, &[8; 7])), SkipReason::IcmpTruncated);
    assert_eq!(reason(101, &ipv4(132, 0, &[0; 3])), SkipReason::PortsTruncated);
    assert_eq!(
        reason(101, &ipv4(47, 0, &[0x20, 0, 0, 0, 1])),
        SkipReason::GreTruncated
    );
    assert_eq!(
        reason(101, &ipv4(1, 0, &[[3; 8], [0x60; 8]].concat())),
        SkipReason::IcmpQuoteMalformed
    );
    assert_eq!(reason(1, &[0; 13]), SkipReason::LinkTruncated);
    assert_eq!(
        reason(1, &[[0; 12].as_slice(), &[0x81, 0, 0]].concat()),
        SkipReason::VlanTruncated
    );
    assert_eq!(
        reason(1, &[[0; 12].as_slice(), &[0x88, 0x47, 0, 0, 0, 0]].concat()),
        SkipReason::MplsTruncated
    );
    assert_eq!(
        reason(1, &[[0; 12].as_slice(), &[0x88, 0x64, 0]].concat()),
        SkipReason::PppoeTruncated
    );
    assert_eq!(
        reason(1, &[[0; 12].as_slice(), &[0x08, 0x06, 0]].concat()),
        SkipReason::NonIp
    );
    assert_eq!(reason(0, &[7, 7, 7, 7, 0x45]), SkipReason::NonIp);
    assert_eq!(reason(253, &[0; 60]), SkipReason::LinkType);
    let v6 = [&[0x60, 0, 0, 0, 0, 4, 0, 64][..], &[0; 36]].concat();
    assert_eq!(reason(101, &v6), SkipReason::Ipv6ExtensionTruncated);
    assert_eq!(reason(101, &v6[..39]), SkipReason::Ipv6Truncated);
    assert_eq!(reason(101, &ipv4(6, 0, &[])[..19]), SkipReason::Ipv4Truncated);
}

/// Bytes after the datagram's own end are padding, whatever they look like.
#[test]
fn padding_is_not_read() {
    let mut v4 = ipv4(17, 0, &[0; 4]);
    v4.extend([0; 40]);
    assert_eq!(reason(101, &v4), SkipReason::UdpTruncated);
    let v6 = [&[0x60, 0, 0, 0, 0, 4, 17, 64][..], &[0; 32], &[0; 4], &[0; 40]].concat();
    assert_eq!(reason(101, &v6), SkipReason::UdpTruncated);
}

/// Segmentation offload leaves the length field zero: the whole frame counts.
#[test]
fn a_length_of_zero_is_no_length() {
    let mut v4 = ipv4(17, 0, &[0, 5, 0, 6, 0, 8, 0, 0]);
    v4[2..4].copy_from_slice(&[0, 0]);
    assert_eq!(tuple_of(&v4).0.dst_port(), 6);
    let v6 = [
        &[0x60, 0, 0, 0, 0, 0, 17, 64][..],
        &[0; 32],
        &[0, 5, 0, 6, 0, 8, 0, 0],
    ]
    .concat();
    assert_eq!(tuple_of(&v6).0.dst_port(), 6);
}

/// An authentication header counts its length in words, and two less than they are (RFC 4302 section 2.2).
#[test]
fn an_authentication_header_is_passed_over() {
    let authentication = [&[17, 4, 0, 0][..], &[0xaa; 20]].concat();
    let udp = [0, 5, 0, 6, 0, 8, 0, 0];
    let v6 = [
        &[0x60, 0, 0, 0, 0, 32, 51, 64][..],
        &[0; 32],
        &authentication,
        &udp,
    ]
    .concat();
    let (tuple, transport) = tuple_of(&v6);
    assert_eq!(
        (tuple.src_port(), tuple.dst_port(), transport),
        (5, 6, Transport::Udp)
    );
}

#[test]
fn later_fragments_have_no_ports() {
    let later = ipv4(17, 0x2001, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let decoded = decode_cut(LinkType(101), &later, later.len());
    let packet = decoded.packet.unwrap();
    assert!(packet.fragment && decoded.seen.ip.unwrap().later_fragment);
    assert_eq!((packet.tuple.src_port(), packet.tuple.dst_port()), (0, 0));
    assert_eq!(packet.transport, Transport::Other);
}

#[test]
fn other_protocols_are_told_apart_by_what_they_have() {
    let sctp = tuple_of(&ipv4(132, 0, &[0x12, 0x34, 0x56, 0x78, 0, 0]));
    assert_eq!(
        (sctp.0.src_port(), sctp.0.dst_port(), sctp.1),
        (0x1234, 0x5678, Transport::Other)
    );
    // GRE with checksum and key, without a key, and PPTP's, whose key word is no key.
    let key = tuple_of(&ipv4(47, 0, &[0xa0, 0, 8, 0, 9, 9, 9, 9, 0, 1, 0, 2])).0;
    assert_eq!((key.src_port(), key.dst_port()), (1, 2));
    assert_eq!(reply_of(&key).src_port(), 1, "both ends use one key");
    assert_eq!(tuple_of(&ipv4(47, 0, &[0, 0, 8, 0])).0.dst_port(), 0);
    assert_eq!(
        tuple_of(&ipv4(47, 0, &[0x20, 1, 0x88, 0x0b, 0, 60, 0, 7]))
            .0
            .dst_port(),
        0
    );
    // A neighbour solicitation and a redirect open nothing.
    assert_eq!(
        tuple_of(&ipv4(1, 0, &[5, 1, 0, 0, 9, 9, 9, 9])).1,
        Transport::IcmpOther
    );
}

#[test]
fn requests_and_answers_of_icmp_are_each_others_answers() {
    for (request, answer) in [(8u8, 0u8), (13, 14), (15, 16), (17, 18)] {
        let asked = tuple_of(&ipv4(1, 0, &[request, 0, 0, 0, 0xbe, 0xef, 0, 1]));
        let answered = tuple_of(&ipv4(1, 0, &[answer, 0, 0, 0, 0xbe, 0xef, 0, 1]));
        assert_eq!(
            (asked.1, answered.1),
            (Transport::IcmpRequest, Transport::IcmpReply)
        );
        let reply = reply_of(&asked.0);
        assert_eq!(reply.src_port(), 0xbeef);
        assert_eq!(reply.dst_port(), u16::from(answer) << 8);
        assert_eq!((reply.src(), reply.dst()), (answered.0.dst(), answered.0.src()));
        assert_eq!(reply_of(&reply), asked.0);
    }
}
