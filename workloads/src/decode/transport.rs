//! Transport headers: what makes two packets of one pair of hosts different connections.

use std::net::IpAddr;

use structures::Tuple;
use structures::tuple::protocol;

use super::IpFacts;
use super::cursor::{Cursor, be16};
use super::ip;
use super::skip::{DecodeError, Layer, SkipReason};
use crate::packet::{TcpFlags, Transport};

/// Bytes of a TCP header up to and including its flags.
const TCP_TO_FLAGS: usize = 14;
const TCP_MIN_HEADER: usize = 20;

/// ICMP types that ask, with the type that answers (RFC 792; 17 and 18: RFC 950).
const ICMP_PAIRS: [(u8, u8); 4] = [(8, 0), (13, 14), (15, 16), (17, 18)];
/// `ICMPv6` types that ask, with the type that answers (RFC 4443; node information: RFC 4620).
const ICMPV6_PAIRS: [(u8, u8); 2] = [(128, 129), (139, 140)];
/// ICMP types that quote a packet and are errors: unreachable, source quench, time exceeded, parameter problem. A redirect
/// quotes too, but tells about routes.
const ICMP_ERRORS: [u8; 4] = [3, 4, 11, 12];
/// `ICMPv6` errors have types below this (RFC 4443 section 2.1).
const ICMPV6_FIRST_INFORMATIONAL: u8 = 128;
/// Type, code, checksum, and four bytes that differ by type: identifier and sequence number, or unused.
const ICMP_HEADER: usize = 8;

/// Flag in the first GRE byte: a checksum word (RFC 2784), a routing word (RFC 1701), a key word (RFC 2890) is present.
const GRE_CHECKSUM: u8 = 0x80;
const GRE_ROUTING: u8 = 0x40;
const GRE_KEY: u8 = 0x20;

const fn pairs_of(protocol: u8) -> &'static [(u8, u8)] {
    match protocol {
        protocol::ICMP => &ICMP_PAIRS,
        _ => &ICMPV6_PAIRS,
    }
}

/// Reads the transport header at `cursor`.
pub(super) fn of(ip: &IpFacts, cursor: &mut Cursor<'_>) -> Result<(Tuple, Transport), DecodeError> {
    if ip.later_fragment {
        return Ok((tuple(ip, 0, 0), Transport::Other));
    }
    match (ip.protocol, ip.src) {
        (protocol::TCP, _) => tcp(ip, cursor),
        (protocol::UDP | protocol::UDPLITE, _) => {
            let header = cursor.take::<8>(Layer::Udp, SkipReason::UdpTruncated)?;
            Ok((tuple(ip, be16(header, 0), be16(header, 2)), Transport::Udp))
        }
        // The other family's ICMP is just another protocol.
        (protocol::ICMP, IpAddr::V4(_)) | (protocol::ICMPV6, IpAddr::V6(_)) => icmp(ip, cursor),
        (protocol::SCTP | protocol::DCCP, _) => {
            let ports = cursor.take::<4>(Layer::Ports, SkipReason::PortsTruncated)?;
            Ok((tuple(ip, be16(ports, 0), be16(ports, 2)), Transport::Other))
        }
        (protocol::GRE, _) => gre(ip, cursor),
        _ => Ok((tuple(ip, 0, 0), Transport::Other)),
    }
}

fn tcp(ip: &IpFacts, cursor: &mut Cursor<'_>) -> Result<(Tuple, Transport), DecodeError> {
    let (layer, truncated) = (Layer::Tcp, SkipReason::TcpTruncated);
    // The wire must have had the whole header (but a tiny first fragment, RFC 1858, may leave the rest to the next); the
    // capture need only hold it up to the flags.
    if cursor.on_wire() < TCP_MIN_HEADER && !ip.fragment {
        return Err(cursor.missing(layer, truncated, TCP_MIN_HEADER));
    }
    let header = cursor.peek::<TCP_TO_FLAGS>(layer, truncated)?;
    let data_offset = usize::from(header[12] >> 4) * 4;
    if data_offset < TCP_MIN_HEADER {
        return Err(cursor.bad_value(layer, SkipReason::TcpBadDataOffset, TCP_MIN_HEADER, data_offset));
    }
    Ok((
        tuple(ip, be16(header, 0), be16(header, 2)),
        Transport::Tcp(TcpFlags(header[13])),
    ))
}

fn icmp(ip: &IpFacts, cursor: &mut Cursor<'_>) -> Result<(Tuple, Transport), DecodeError> {
    let header = cursor.take::<ICMP_HEADER>(Layer::Icmp, SkipReason::IcmpTruncated)?;
    let kind = header[0];
    let is_error = match ip.protocol {
        protocol::ICMP => ICMP_ERRORS.contains(&kind),
        _ => kind < ICMPV6_FIRST_INFORMATIONAL,
    };
    if is_error {
        return quoted(ip, cursor).map(|tuple| (tuple, Transport::IcmpError));
    }
    Ok(icmp_query(ip, header))
}

/// A message that is no error: with its identifier where it asks or answers.
fn icmp_query<const N: usize>(ip: &IpFacts, header: &[u8; N]) -> (Tuple, Transport) {
    let kind = header[0];
    let type_and_code = be16(header, 0);
    let pairs = pairs_of(ip.protocol);
    let transport = if pairs.iter().any(|p| p.0 == kind) {
        Transport::IcmpRequest
    } else if pairs.iter().any(|p| p.1 == kind) {
        Transport::IcmpReply
    } else {
        return (tuple(ip, 0, type_and_code), Transport::IcmpOther);
    };
    (tuple(ip, be16(header, 4), type_and_code), transport)
}

/// The tuple of the packet that an error quotes, as its sender sent it. RFC 792 promises eight bytes after the quoted IP
/// header, which hold what is needed of every protocol but GRE with a key.
fn quoted(outer: &IpFacts, cursor: &mut Cursor<'_>) -> Result<Tuple, DecodeError> {
    let layer = Layer::IcmpQuote;
    // What the quote's own headers miss is a short quote, whatever header it was.
    let retold = |e: DecodeError| DecodeError {
        layer,
        reason: match e.reason {
            SkipReason::CutBySnapLength => e.reason,
            SkipReason::Ipv4Truncated | SkipReason::Ipv6Truncated | SkipReason::Ipv6ExtensionTruncated => {
                SkipReason::IcmpQuoteTruncated
            }
            _ => SkipReason::IcmpQuoteMalformed,
        },
        ..e
    };
    // The quoted length fields are those of the whole packet: they end past the quote, and limit nothing.
    let ip = match outer.src {
        IpAddr::V4(_) => ip::v4(cursor),
        IpAddr::V6(_) => ip::v6(cursor),
    }
    .map_err(retold)?;
    let truncated = SkipReason::IcmpQuoteTruncated;
    if ip.later_fragment {
        return Ok(tuple(&ip, 0, 0));
    }
    match (ip.protocol, ip.src) {
        (protocol::TCP | protocol::UDP | protocol::UDPLITE | protocol::SCTP | protocol::DCCP, _) => {
            let ports = cursor.take::<4>(layer, truncated)?;
            Ok(tuple(&ip, be16(ports, 0), be16(ports, 2)))
        }
        (protocol::ICMP, IpAddr::V4(_)) | (protocol::ICMPV6, IpAddr::V6(_)) => {
            let header = cursor.take::<6>(layer, truncated)?;
            Ok(icmp_query(&ip, header).0)
        }
        (protocol::GRE, _) => gre(&ip, cursor).map(|(tuple, _)| tuple).map_err(|e| DecodeError {
            layer,
            reason: if e.reason == SkipReason::CutBySnapLength {
                e.reason
            } else {
                truncated
            },
            ..e
        }),
        _ => Ok(tuple(&ip, 0, 0)),
    }
}

/// GRE: the two halves of the key where there is one (RFC 2890); without, all between two hosts is one connection. So it is
/// for version 1 (PPTP, RFC 2637) too: its key word holds the payload length, and a call number that differs by direction.
fn gre(ip: &IpFacts, cursor: &mut Cursor<'_>) -> Result<(Tuple, Transport), DecodeError> {
    let (layer, truncated) = (Layer::Gre, SkipReason::GreTruncated);
    let head = cursor.take::<4>(layer, truncated)?;
    let (flags, version) = (head[0], head[1] & 7);
    if flags & GRE_KEY == 0 || version != 0 {
        return Ok((tuple(ip, 0, 0), Transport::Other));
    }
    if flags & (GRE_CHECKSUM | GRE_ROUTING) != 0 {
        cursor.skip(4, layer, truncated)?;
    }
    let key = cursor.take::<4>(layer, truncated)?;
    Ok((tuple(ip, be16(key, 0), be16(key, 2)), Transport::Other))
}

pub(super) fn tuple(ip: &IpFacts, src_port: u16, dst_port: u16) -> Tuple {
    match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Tuple::v4(ip.protocol, src, src_port, dst, dst_port),
        (src, dst) => Tuple::v6(ip.protocol, widened(src), src_port, widened(dst), dst_port),
    }
}

/// Both addresses of a header are of one family; an IPv4 one here would be a fault above, and is kept apart as mapped.
const fn widened(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(a) => a.to_ipv6_mapped(),
        IpAddr::V6(a) => a,
    }
}

/// The answer's tuple of an ICMP tuple: addresses swapped, identifier kept, type replaced by its counterpart. Types without
/// one keep theirs.
pub(super) const fn icmp_reply(tuple: &Tuple) -> Tuple {
    let [kind, code] = tuple.dst_port().to_be_bytes();
    let pairs = pairs_of(tuple.protocol());
    let mut answer = kind;
    let mut i = 0;
    while i < pairs.len() {
        if pairs[i].0 == kind {
            answer = pairs[i].1;
        } else if pairs[i].1 == kind {
            answer = pairs[i].0;
        }
        i += 1;
    }
    swapped(tuple, tuple.src_port(), u16::from_be_bytes([answer, code]))
}

/// Addresses swapped, with these ports.
pub(super) const fn swapped(tuple: &Tuple, src_port: u16, dst_port: u16) -> Tuple {
    match (tuple.src(), tuple.dst()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Tuple::v4(tuple.protocol(), dst, src_port, src, dst_port),
        (src, dst) => Tuple::v6(tuple.protocol(), widened(dst), src_port, widened(src), dst_port),
    }
    .in_zone(tuple.zone())
}
