//! How long a connection lives, and when it is beyond doubt, by protocol.

use structures::tuple::protocol;

use crate::packet::Transport;

const SECOND: u32 = 1000;

/// Linux: `udp_timeouts[UDP_CT_UNREPLIED]`.
pub const UDP_MS: u32 = 30 * SECOND;
/// Linux: `udp_timeouts[UDP_CT_REPLIED]`.
pub const UDP_STREAM_MS: u32 = 120 * SECOND;
/// Linux: `nf_ct_icmp_timeout`, `nf_ct_icmpv6_timeout`.
pub const ICMP_MS: u32 = 30 * SECOND;
/// Linux: `gre_timeouts[GRE_CT_UNREPLIED]`.
pub const GRE_MS: u32 = 30 * SECOND;
/// Linux: `gre_timeouts[GRE_CT_REPLIED]`.
pub const GRE_STREAM_MS: u32 = 180 * SECOND;
/// Linux: `nf_ct_generic_timeout`. SCTP and DCCP, which have machines of their own there, live by it here.
pub const GENERIC_MS: u32 = 600 * SECOND;
/// Linux: `tcp_timeouts[TCP_CONNTRACK_UNACK]`, the limit for an established connection of which only one direction was
/// seen (picked up midstream).
pub const TCP_ONE_SIDED_MS: u32 = 300 * SECOND;
/// A UDP connection that has been answered and is seen again this long after its first packet is a stream
/// (`nf_conntrack_udp_packet`, Linux 5.16).
pub const UDP_STREAM_AFTER_MS: u64 = 2000;

/// How long a connection without states of its own lives after a packet, and whether it is ASSURED from then on.
///
/// `replied`: a reply was seen before this packet. `age_ms`: since the first packet.
#[must_use]
pub const fn stateless(transport: Transport, protocol: u8, replied: bool, age_ms: u64) -> (u32, bool) {
    match transport {
        Transport::Udp if replied && age_ms > UDP_STREAM_AFTER_MS => (UDP_STREAM_MS, true),
        Transport::Udp => (UDP_MS, false),
        Transport::IcmpRequest | Transport::IcmpReply | Transport::IcmpError | Transport::IcmpOther => {
            (ICMP_MS, false)
        }
        Transport::Other if protocol == protocol::GRE && replied => (GRE_STREAM_MS, true),
        Transport::Other if protocol == protocol::GRE => (GRE_MS, false),
        Transport::Other | Transport::Tcp(_) => (GENERIC_MS, false),
    }
}
