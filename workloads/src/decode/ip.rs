//! IPv4 and IPv6 headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cursor::{Cursor, be16};
use super::link::Version;
use super::skip::{DecodeError, Layer, SkipReason};
use super::{IpFacts, Seen};

const IPV4_MIN_HEADER: usize = 20;
/// Mask of the fragment offset; the bit above it says that more follow (RFC 791 section 3.1).
const IPV4_OFFSET: u16 = 0x1fff;
const IPV4_MORE: u16 = 0x2000;
/// The same in the IPv6 fragment header (RFC 8200 section 4.5).
const IPV6_OFFSET: u16 = 0xfff8;

/// IPv6 extension headers (IANA): hop-by-hop, routing, fragment, authentication, destination, mobility, HIP, shim6.
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Reads the IP header and leaves `cursor` at the transport header.
pub(super) fn header(
    version: Version,
    cursor: &mut Cursor<'_>,
    seen: &mut Seen,
) -> Result<IpFacts, DecodeError> {
    let version = match version {
        Version::AsItSays => match cursor.peek::<1>(Layer::Link, SkipReason::LinkTruncated)?[0] >> 4 {
            4 => Version::V4,
            6 => Version::V6,
            other => {
                return Err(cursor.bad_value(Layer::Link, SkipReason::NonIp, 4, usize::from(other)));
            }
        },
        told => told,
    };
    let facts = match version {
        Version::V6 => v6(cursor)?,
        _ => v4(cursor)?,
    };
    seen.ip = Some(facts);
    Ok(facts)
}

/// IPv4 (RFC 791): options are passed over.
pub(super) fn v4(cursor: &mut Cursor<'_>) -> Result<IpFacts, DecodeError> {
    let (layer, truncated) = (Layer::Ipv4, SkipReason::Ipv4Truncated);
    let first = cursor.peek::<1>(layer, truncated)?[0];
    if first >> 4 != 4 {
        return Err(cursor.bad_value(layer, SkipReason::Ipv4BadVersion, 4, usize::from(first >> 4)));
    }
    let header_length = usize::from(first & 0x0f) * 4;
    if header_length < IPV4_MIN_HEADER {
        return Err(cursor.bad_value(
            layer,
            SkipReason::Ipv4BadHeaderLength,
            IPV4_MIN_HEADER,
            header_length,
        ));
    }
    let header = cursor.peek::<IPV4_MIN_HEADER>(layer, truncated)?;
    // Zero where the sender's network card was to cut the packet up later (TCP segmentation offload): length unknown.
    let total = usize::from(be16(header, 2));
    if total != 0 {
        if total < header_length {
            return Err(cursor.bad_value(layer, SkipReason::Ipv4BadTotalLength, header_length, total));
        }
        cursor.limit(total);
    }
    cursor.skip(header_length, layer, truncated)?;
    let fragmentation = be16(header, 6);
    Ok(IpFacts {
        src: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
        dst: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
        protocol: header[9],
        fragment: fragmentation & (IPV4_OFFSET | IPV4_MORE) != 0,
        later_fragment: fragmentation & IPV4_OFFSET != 0,
    })
}

/// IPv6 (RFC 8200) with its extension headers. Each turn consumes at least eight bytes: the packet's length bounds it.
pub(super) fn v6(cursor: &mut Cursor<'_>) -> Result<IpFacts, DecodeError> {
    let (layer, truncated) = (Layer::Ipv6, SkipReason::Ipv6Truncated);
    let first = cursor.peek::<1>(layer, truncated)?[0];
    if first >> 4 != 6 {
        return Err(cursor.bad_value(layer, SkipReason::Ipv6BadVersion, 6, usize::from(first >> 4)));
    }
    let header = cursor.take::<40>(layer, truncated)?;
    // Zero for jumbograms (RFC 2675) and for segmentation offload: length unknown.
    let payload = usize::from(be16(header, 4));
    if payload != 0 {
        cursor.limit(payload);
    }
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let mut facts = IpFacts {
        src: address(8),
        dst: address(24),
        protocol: header[6],
        fragment: false,
        later_fragment: false,
    };
    while let Some(length_of) = extension_length(facts.protocol) {
        let (layer, truncated) = (Layer::Ipv6Extension, SkipReason::Ipv6ExtensionTruncated);
        let head = cursor.peek::<8>(layer, truncated)?;
        if facts.protocol == extension::FRAGMENT {
            facts.fragment = true;
            facts.later_fragment = be16(head, 2) & IPV6_OFFSET != 0;
        }
        cursor.skip(length_of(head[1]), layer, truncated)?;
        facts.protocol = head[0];
        if facts.later_fragment {
            // What follows is the middle of something.
            break;
        }
    }
    Ok(facts)
}

/// How long an extension header is, given its length field; `None` for what is none.
fn extension_length(protocol: u8) -> Option<fn(u8) -> usize> {
    match protocol {
        extension::HOP_BY_HOP
        | extension::ROUTING
        | extension::DESTINATION
        | extension::MOBILITY
        | extension::HIP
        | extension::SHIM6 => Some(|n| (usize::from(n) + 1) * 8),
        extension::FRAGMENT => Some(|_| 8),
        // In four-byte units (RFC 4302 section 2.2).
        extension::AUTHENTICATION => Some(|n| (usize::from(n) + 2) * 4),
        _ => None,
    }
}
