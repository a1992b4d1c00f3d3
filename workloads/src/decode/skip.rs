//! Why a frame gives no packet: named reasons, counted.

use std::fmt;

use thiserror::Error;

/// The layer at which decoding stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Ethernet, Linux cooked, loopback.
    Link,
    /// 802.1Q or 802.1ad tag.
    Vlan,
    /// MPLS label stack.
    Mpls,
    /// `PPPoE` session header.
    Pppoe,
    /// IPv4 header.
    Ipv4,
    /// IPv6 header.
    Ipv6,
    /// IPv6 extension header.
    Ipv6Extension,
    /// TCP header.
    Tcp,
    /// UDP or UDP-Lite header.
    Udp,
    /// ICMP or `ICMPv6` header.
    Icmp,
    /// The packet an ICMP error quotes.
    IcmpQuote,
    /// Ports of SCTP or DCCP.
    Ports,
    /// GRE header.
    Gre,
}

/// Why a frame was skipped. The names ([`SkipReason::name`]) are stable: they go into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// Not IP: ARP, LLDP, spanning tree, ...; nothing is wrong with it.
    NonIp,
    /// A link type that is not decoded.
    LinkType,
    /// The capture's snap length cut the frame before the fields that are needed.
    CutBySnapLength,
    /// The frame ends inside the link-layer header.
    LinkTruncated,
    /// The frame ends inside a VLAN tag.
    VlanTruncated,
    /// The frame ends inside an MPLS label stack.
    MplsTruncated,
    /// The frame ends inside a `PPPoE` header.
    PppoeTruncated,
    /// The frame ends inside the IPv4 header.
    Ipv4Truncated,
    /// Announced as IPv4, but the version field says otherwise.
    Ipv4BadVersion,
    /// IPv4 header length below 20 bytes.
    Ipv4BadHeaderLength,
    /// IPv4 total length below its header length.
    Ipv4BadTotalLength,
    /// The frame ends inside the IPv6 header.
    Ipv6Truncated,
    /// Announced as IPv6, but the version field says otherwise.
    Ipv6BadVersion,
    /// The packet ends inside an IPv6 extension header.
    Ipv6ExtensionTruncated,
    /// The datagram ends inside the TCP header.
    TcpTruncated,
    /// TCP data offset below 20 bytes.
    TcpBadDataOffset,
    /// The datagram ends inside the UDP header.
    UdpTruncated,
    /// The datagram ends inside the ICMP header.
    IcmpTruncated,
    /// An ICMP error that quotes too little to tell whose packet it is.
    IcmpQuoteTruncated,
    /// An ICMP error that quotes something that is no packet of its own family.
    IcmpQuoteMalformed,
    /// The datagram ends before the ports (SCTP, DCCP).
    PortsTruncated,
    /// The datagram ends inside the GRE header.
    GreTruncated,
}

impl SkipReason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Self; 22] = [
        Self::NonIp,
        Self::LinkType,
        Self::CutBySnapLength,
        Self::LinkTruncated,
        Self::VlanTruncated,
        Self::MplsTruncated,
        Self::PppoeTruncated,
        Self::Ipv4Truncated,
        Self::Ipv4BadVersion,
        Self::Ipv4BadHeaderLength,
        Self::Ipv4BadTotalLength,
        Self::Ipv6Truncated,
        Self::Ipv6BadVersion,
        Self::Ipv6ExtensionTruncated,
        Self::TcpTruncated,
        Self::TcpBadDataOffset,
        Self::UdpTruncated,
        Self::IcmpTruncated,
        Self::IcmpQuoteTruncated,
        Self::IcmpQuoteMalformed,
        Self::PortsTruncated,
        Self::GreTruncated,
    ];

    /// The reason's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonIp => "non_ip",
            Self::LinkType => "link_type",
            Self::CutBySnapLength => "cut_by_snap_length",
            Self::LinkTruncated => "link_truncated",
            Self::VlanTruncated => "vlan_truncated",
            Self::MplsTruncated => "mpls_truncated",
            Self::PppoeTruncated => "pppoe_truncated",
            Self::Ipv4Truncated => "ipv4_truncated",
            Self::Ipv4BadVersion => "ipv4_bad_version",
            Self::Ipv4BadHeaderLength => "ipv4_bad_header_length",
            Self::Ipv4BadTotalLength => "ipv4_bad_total_length",
            Self::Ipv6Truncated => "ipv6_truncated",
            Self::Ipv6BadVersion => "ipv6_bad_version",
            Self::Ipv6ExtensionTruncated => "ipv6_extension_truncated",
            Self::TcpTruncated => "tcp_truncated",
            Self::TcpBadDataOffset => "tcp_bad_data_offset",
            Self::UdpTruncated => "udp_truncated",
            Self::IcmpTruncated => "icmp_truncated",
            Self::IcmpQuoteTruncated => "icmp_quote_truncated",
            Self::IcmpQuoteMalformed => "icmp_quote_malformed",
            Self::PortsTruncated => "ports_truncated",
            Self::GreTruncated => "gre_truncated",
        }
    }

    /// Whether the frame itself is at fault: neither another protocol, nor a link type unknown here, nor cut by the capture.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        !matches!(self, Self::NonIp | Self::LinkType | Self::CutBySnapLength)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why and where a frame could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason} in {layer:?} at offset {offset}: {needed} bytes needed, {available} available")]
pub struct DecodeError {
    /// The layer.
    pub layer: Layer,
    /// The reason.
    pub reason: SkipReason,
    /// Where in the frame the layer begins.
    pub offset: usize,
    /// Bytes the layer needs (where a field's value is at fault: the least value it may have).
    pub needed: usize,
    /// Bytes there are (where a field's value is at fault: its value).
    pub available: usize,
}

/// How many frames were skipped for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SkipCounts([u64; SkipReason::ALL.len()]);

impl SkipCounts {
    /// Counts one frame.
    pub const fn add(&mut self, reason: SkipReason) {
        self.0[reason as usize] += 1;
    }

    /// Frames skipped for `reason`.
    #[must_use]
    pub const fn get(&self, reason: SkipReason) -> u64 {
        self.0[reason as usize]
    }

    /// Reasons that occurred, with their counts, in the order of [`SkipReason::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (SkipReason, u64)> + '_ {
        SkipReason::ALL
            .into_iter()
            .map(|reason| (reason, self.get(reason)))
            .filter(|&(_, count)| count > 0)
    }

    /// Frames skipped for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Frames skipped because they are malformed.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.iter()
            .filter(|(reason, _)| reason.is_malformed())
            .map(|(_, count)| count)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        let mut counts = SkipCounts::default();
        let mut names = HashSet::new();
        for (n, reason) in SkipReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, n, "{reason} is out of order in ALL");
            assert!(names.insert(reason.name()), "{reason} twice");
            counts.add(reason);
        }
        assert_eq!(counts.total(), 22);
        assert_eq!(counts.malformed(), 19);
        assert!(counts.iter().all(|(_, count)| count == 1));
    }
}
