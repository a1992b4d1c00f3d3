//! The packet: the one type that captures and generators produce and the tracker consumes.

use structures::Tuple;

/// TCP flags the tracker looks at, as in byte 13 of the TCP header (RFC 9293 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(0x10);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What the transport layer of a packet is to the tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A TCP segment.
    Tcp(TcpFlags),
    /// A UDP or UDP-Lite datagram.
    Udp,
    /// An ICMP or ICMPv6 message that asks (echo, timestamp, ...): it may open a connection.
    IcmpRequest,
    /// An ICMP or ICMPv6 message that answers a request. The tuple's type field is that of the answer.
    IcmpReply,
    /// An ICMP or ICMPv6 error; the packet's tuple is the **quoted** packet's, as that packet's sender sent it.
    IcmpError,
    /// An ICMP or ICMPv6 message of another type (neighbour discovery, redirects): opens nothing.
    IcmpOther,
    /// Any other protocol: told apart by addresses (and ports, where it has them).
    Other,
}

/// One packet of a capture or a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Capture time in nanoseconds since the Unix epoch (generators: since 0).
    pub time_ns: u64,
    /// The packet's tuple; see [`Transport::IcmpError`] for errors.
    pub tuple: Tuple,
    /// What the tracker needs of the transport layer.
    pub transport: Transport,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Whether this is a fragment of a larger datagram. A later fragment carries no ports: they are zero then.
    pub fragment: bool,
    /// Whether a synthetic overlay added it.
    pub synthetic: bool,
}
