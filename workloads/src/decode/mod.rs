//! From a frame to a [`Packet`]: only the headers a tracker looks at, read in place.
//!
//! ```text
//! link (Ethernet, cooked, loopback, raw) -> 802.1Q / 802.1ad / MPLS / PPPoE -> IPv4 | IPv6 + extensions -> TCP | UDP | ICMP | ...
//! ```
//! Own checked slices instead of `etherparse`: it wants whole headers (a TCP header with all its options), while captures
//! made for tables are cut at 68 to 128 bytes; and the offsets and reasons of errors are part of the result here. The tests
//! encode with etherparse and decode with this, so that each checks the other.
//!
//! A packet takes from its bytes: addresses, protocol, ports (ICMP: identifier, type and code; GRE: the key), TCP flags,
//! whether it is a fragment. Lengths are believed only as far as bytes are there: what lies past the datagram's own end
//! (Ethernet padding) is not read; what is missing because the capture was cut is [`SkipReason::CutBySnapLength`], and
//! what is missing though nothing was cut is malformed.
//!
//! # Guarantees
//! * **D1** No bytes make it panic; it allocates nothing. (`tests/capture_hostile.rs`)
//! * **D2** A frame gives the tuple and flags it was built from, whatever tags, options and extension headers it has.
//!   (`tests/capture_decode.rs`)
//! * **D3** Every frame is either a packet or counted under exactly one reason. (`tests/capture_manifest.rs`)
//!
//! # Limits
//! Tunnels are not entered (GRE, VXLAN, IP in IP are traffic between the tunnel's ends, as for a router on the way).
//! Fragments are not put together: the first carries the ports, later ones none.

mod cursor;
mod ip;
mod link;
mod skip;
mod transport;

use std::net::IpAddr;

use structures::Tuple;
use structures::tuple::protocol;

pub use skip::{DecodeError, Layer, SkipCounts, SkipReason};

use crate::capture::{Frame, LinkType};
use crate::packet::Packet;
use cursor::Cursor;

/// What was seen on the way to the packet; valid as far as decoding came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// 802.1Q and 802.1ad tags.
    pub vlan_tags: u8,
    /// MPLS labels.
    pub mpls_labels: u8,
    /// The IP header, where one was decoded.
    pub ip: Option<IpFacts>,
}

/// The IP header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpFacts {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol after all extension headers.
    pub protocol: u8,
    /// Whether it is a fragment (the only one of an IPv6 datagram included: RFC 6946's atomic fragments).
    pub fragment: bool,
    /// Whether it is a fragment other than the first.
    pub later_fragment: bool,
}

/// A decoded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// What was seen on the way, whatever came of it.
    pub seen: Seen,
    /// The packet, or why there is none.
    pub packet: Result<Packet, DecodeError>,
}

/// Decodes a frame.
#[must_use]
pub fn decode(frame: &Frame<'_>) -> Decoded {
    let mut seen = Seen::default();
    let mut cursor = Cursor::new(frame.data, frame.original_len);
    let packet = link::enter(frame.link, &mut cursor, &mut seen)
        .and_then(|version| ip::header(version, &mut cursor, &mut seen))
        .and_then(|ip| transport::of(&ip, &mut cursor).map(|found| (ip, found)))
        .map(|(ip, (tuple, transport))| Packet {
            time_ns: frame.time_ns,
            tuple,
            transport,
            wire_len: frame.original_len,
            fragment: ip.fragment,
            synthetic: false,
        });
    Decoded { seen, packet }
}

/// Whether frames of this link type can be decoded.
#[must_use]
pub const fn decodes(link: LinkType) -> bool {
    link::is_known(link)
}

/// The tuple of the answer to `tuple`: mirrored, and for ICMP requests and replies with the type of the counterpart
/// (RFC 792, RFC 950, RFC 4443, RFC 4620), as the kernel's `icmp_invert_tuple` has it. It is its own inverse.
#[must_use]
pub const fn reply_of(tuple: &Tuple) -> Tuple {
    match tuple.protocol() {
        protocol::ICMP | protocol::ICMPV6 => transport::icmp_reply(tuple),
        // Both ends of a GRE tunnel use one key (RFC 2890 section 2.1).
        protocol::GRE => transport::swapped(tuple, tuple.src_port(), tuple.dst_port()),
        _ => tuple.mirrored(),
    }
}

/// The tuple of a packet's addresses and protocol with these ports.
#[must_use]
pub fn endpoints(ip: &IpFacts, src_port: u16, dst_port: u16) -> Tuple {
    transport::tuple(ip, src_port, dst_port)
}
