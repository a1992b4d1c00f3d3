//! The tuple: what a connection is found by.
//!
//! One fixed layout serves IPv4 and IPv6, every protocol and every zone, as `struct nf_conntrack_tuple`
//! does: 40 bytes, five words, compared and hashed as words.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IANA protocol numbers the harness names.
pub mod protocol {
    #![allow(missing_docs, reason = "the names are the IANA keywords")]
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const DCCP: u8 = 33;
    pub const GRE: u8 = 47;
    pub const ICMPV6: u8 = 58;
    pub const SCTP: u8 = 132;
    pub const UDPLITE: u8 = 136;
}

/// Address family of a tuple. Both addresses of a tuple are of the same family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// IPv4: the address fills the first four bytes, the rest are zero.
    V4 = 4,
    /// IPv6.
    V6 = 6,
}

/// Which side's packets a tuple describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// The direction of the connection's first packet.
    Original = 0,
    /// The direction of the answers.
    Reply = 1,
}

impl Direction {
    /// The other direction.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }
}

/// 5-tuple plus zone, 40 bytes.
///
/// ```text
///  0         8         16        24        32    34    36    38    39   40
///  | src address       | dst address       | sport dport zone  proto fam |
/// ```
/// Addresses and ports are in network byte order in memory, so that a prefix of the address is a prefix of
/// the bytes. For ICMP, `src_port` is the identifier and `dst_port` is `type << 8 | code`, as the kernel's
/// tuple has it; for GRE the ports carry the call key; for protocols without ports both are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(8))]
pub struct Tuple {
    src: [u8; 16],
    dst: [u8; 16],
    src_port: [u8; 2],
    dst_port: [u8; 2],
    zone: [u8; 2],
    protocol: u8,
    family: u8,
}

const _: () = assert!(size_of::<Tuple>() == 40 && align_of::<Tuple>() == 8);

impl Tuple {
    /// A tuple of two IPv4 endpoints in zone 0.
    #[must_use]
    pub const fn v4(protocol: u8, src: Ipv4Addr, src_port: u16, dst: Ipv4Addr, dst_port: u16) -> Self {
        Self {
            src: widen(src.octets()),
            dst: widen(dst.octets()),
            src_port: src_port.to_be_bytes(),
            dst_port: dst_port.to_be_bytes(),
            zone: [0; 2],
            protocol,
            family: Family::V4 as u8,
        }
    }

    /// A tuple of two IPv6 endpoints in zone 0.
    #[must_use]
    pub const fn v6(protocol: u8, src: Ipv6Addr, src_port: u16, dst: Ipv6Addr, dst_port: u16) -> Self {
        Self {
            src: src.octets(),
            dst: dst.octets(),
            src_port: src_port.to_be_bytes(),
            dst_port: dst_port.to_be_bytes(),
            zone: [0; 2],
            protocol,
            family: Family::V6 as u8,
        }
    }

    /// A tuple of two socket addresses, or `None` where their families differ.
    #[must_use]
    pub fn from_endpoints(protocol: u8, src: SocketAddr, dst: SocketAddr) -> Option<Self> {
        match (src.ip(), dst.ip()) {
            (IpAddr::V4(s), IpAddr::V4(d)) => Some(Self::v4(protocol, s, src.port(), d, dst.port())),
            (IpAddr::V6(s), IpAddr::V6(d)) => Some(Self::v6(protocol, s, src.port(), d, dst.port())),
            _ => None,
        }
    }

    /// The same tuple in another zone.
    #[must_use]
    pub const fn in_zone(mut self, zone: u16) -> Self {
        self.zone = zone.to_be_bytes();
        self
    }

    /// Source and destination swapped: the reply tuple of a connection without NAT whose protocol has ports
    /// or no ports at all. ICMP also changes its type: that is the tracker's business.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            ..self
        }
    }

    /// Five words in native order; for hashing and comparing only.
    #[inline]
    #[must_use]
    pub fn words(&self) -> [u64; 5] {
        let (s, d) = (&self.src, &self.dst);
        let word = |b: &[u8; 16], at: usize| {
            u64::from_ne_bytes([
                b[at],
                b[at + 1],
                b[at + 2],
                b[at + 3],
                b[at + 4],
                b[at + 5],
                b[at + 6],
                b[at + 7],
            ])
        };
        let tail = [
            self.src_port[0],
            self.src_port[1],
            self.dst_port[0],
            self.dst_port[1],
            self.zone[0],
            self.zone[1],
            self.protocol,
            self.family,
        ];
        [
            word(s, 0),
            word(s, 8),
            word(d, 0),
            word(d, 8),
            u64::from_ne_bytes(tail),
        ]
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        if self.family == Family::V4 as u8 {
            Family::V4
        } else {
            Family::V6
        }
    }

    /// IANA protocol number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Source port, ICMP identifier, GRE key, or zero.
    #[must_use]
    pub const fn src_port(&self) -> u16 {
        u16::from_be_bytes(self.src_port)
    }

    /// Destination port, ICMP type and code, GRE key, or zero.
    #[must_use]
    pub const fn dst_port(&self) -> u16 {
        u16::from_be_bytes(self.dst_port)
    }

    /// Conntrack zone.
    #[must_use]
    pub const fn zone(&self) -> u16 {
        u16::from_be_bytes(self.zone)
    }

    /// Source address.
    #[must_use]
    pub const fn src(&self) -> IpAddr {
        self.address(self.src)
    }

    /// Destination address.
    #[must_use]
    pub const fn dst(&self) -> IpAddr {
        self.address(self.dst)
    }

    /// Source address as 16 bytes, most significant first; IPv4 fills the first four.
    #[must_use]
    pub const fn src_bits(&self) -> u128 {
        u128::from_be_bytes(self.src)
    }

    /// Destination address as 16 bytes, most significant first; IPv4 fills the first four.
    #[must_use]
    pub const fn dst_bits(&self) -> u128 {
        u128::from_be_bytes(self.dst)
    }

    const fn address(&self, bytes: [u8; 16]) -> IpAddr {
        match self.family() {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_octets(bytes)),
        }
    }
}

const fn widen(octets: [u8; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = octets[0];
    bytes[1] = octets[1];
    bytes[2] = octets[2];
    bytes[3] = octets[3];
    bytes
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (src, dst) = (self.src(), self.dst());
        write!(
            f,
            "proto={} src={src} dst={dst} sport={} dport={}",
            self.protocol,
            self.src_port(),
            self.dst_port()
        )?;
        if self.zone() != 0 {
            write!(f, " zone={}", self.zone())?;
        }
        Ok(())
    }
}

/// An address prefix in a zone, matched against a tuple's destination address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    family: Family,
    zone: u16,
    length: u8,
    bits: u128,
}

impl Prefix {
    /// The prefix of `length` bits of `address`; bits past the length are cleared.
    ///
    /// `None` where the length is over 32 (IPv4) or 128 (IPv6).
    #[must_use]
    pub fn new(zone: u16, address: IpAddr, length: u8) -> Option<Self> {
        let (family, bits) = match address {
            IpAddr::V4(a) => (Family::V4, u128::from_be_bytes(widen(a.octets()))),
            IpAddr::V6(a) => (Family::V6, u128::from(a)),
        };
        (length <= family.max_prefix_length()).then(|| Self {
            family,
            zone,
            length,
            bits: bits & mask(length),
        })
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The zone the prefix belongs to.
    #[must_use]
    pub const fn zone(&self) -> u16 {
        self.zone
    }

    /// Prefix length in bits.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// The prefix bits, left aligned in 128 bits (IPv4 too).
    #[must_use]
    pub const fn bits(&self) -> u128 {
        self.bits
    }

    /// Whether the destination of `tuple` lies inside this prefix.
    #[must_use]
    pub fn covers(&self, tuple: &Tuple) -> bool {
        self.family == tuple.family()
            && self.zone == tuple.zone()
            && (tuple.dst_bits() & mask(self.length)) == self.bits
    }
}

impl Family {
    /// 32 for IPv4, 128 for IPv6.
    #[must_use]
    pub const fn max_prefix_length(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// `length` leading one bits.
const fn mask(length: u8) -> u128 {
    if length == 0 {
        0
    } else {
        u128::MAX << (128 - length as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tuple {
        Tuple::v4(
            protocol::TCP,
            Ipv4Addr::new(192, 0, 2, 1),
            4242,
            Ipv4Addr::new(198, 51, 100, 7),
            443,
        )
    }

    #[test]
    fn mirrored_twice_is_the_same_tuple() {
        assert_ne!(sample().mirrored(), sample());
        assert_eq!(sample().mirrored().mirrored(), sample());
    }

    #[test]
    fn words_differ_in_each_field() {
        let base = sample();
        let others = [
            base.in_zone(1),
            base.mirrored(),
            Tuple {
                protocol: protocol::UDP,
                ..base
            },
            Tuple {
                family: Family::V6 as u8,
                ..base
            },
        ];
        for other in others {
            assert_ne!(base.words(), other.words(), "{other}");
        }
    }

    #[test]
    fn fields_come_back_as_given() {
        let t = sample().in_zone(9);
        assert_eq!(
            (t.src_port(), t.dst_port(), t.zone(), t.protocol()),
            (4242, 443, 9, protocol::TCP)
        );
        assert_eq!(
            t.to_string(),
            "proto=6 src=192.0.2.1 dst=198.51.100.7 sport=4242 dport=443 zone=9"
        );
    }

    #[test]
    fn prefix_covers_by_family_zone_and_bits() {
        let p = |zone, a: &str, len| Prefix::new(zone, a.parse().unwrap(), len).unwrap();
        let t = sample();
        assert!(p(0, "198.51.100.0", 24).covers(&t));
        assert!(p(0, "0.0.0.0", 0).covers(&t));
        assert!(!p(0, "198.51.101.0", 24).covers(&t));
        assert!(!p(1, "198.51.100.0", 24).covers(&t));
        assert!(!p(0, "::", 0).covers(&t));
        assert!(Prefix::new(0, "10.0.0.0".parse().unwrap(), 33).is_none());
    }
}
