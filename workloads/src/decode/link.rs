//! Link layers, and what may lie between them and IP.

use super::Seen;
use super::cursor::{Cursor, be16};
use super::skip::{DecodeError, Layer, SkipReason};
use crate::capture::LinkType;

/// What the link layer says comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
    /// Whatever the version field says.
    AsItSays,
}

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
/// Raw IP as OpenBSD, others and the registry number it.
const RAW: [u32; 3] = [12, 14, 101];
const LOOP: u32 = 108;
const LINUX_SLL: u32 = 113;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
const LINUX_SLL2: u32 = 276;

mod ether_type {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    /// 802.1Q, 802.1ad, and the number stacked tags had before it.
    pub(super) const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
    pub(super) const MPLS: [u16; 2] = [0x8847, 0x8848];
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
}

/// PPP protocol numbers (RFC 1332, RFC 5072).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// `AF_INET`, the same everywhere.
const AF_INET: u32 = 2;
/// `AF_INET6` of NetBSD and OpenBSD, FreeBSD, Darwin; and Linux, which no real loopback header has, but converters write.
const AF_INET6: [u32; 4] = [24, 28, 30, 10];

pub(super) const fn is_known(link: LinkType) -> bool {
    matches!(
        link.0,
        NULL | ETHERNET | 12 | 14 | 101 | LOOP | LINUX_SLL | IPV4 | IPV6 | LINUX_SLL2
    )
}

/// Moves `cursor` to the IP header.
pub(super) fn enter(
    link: LinkType,
    cursor: &mut Cursor<'_>,
    seen: &mut Seen,
) -> Result<Version, DecodeError> {
    let truncated = SkipReason::LinkTruncated;
    match link.0 {
        ETHERNET => {
            let header = cursor.take::<14>(Layer::Link, truncated)?;
            tags(be16(header, 12), cursor, seen)
        }
        LINUX_SLL => {
            let header = cursor.take::<16>(Layer::Link, truncated)?;
            tags(be16(header, 14), cursor, seen)
        }
        LINUX_SLL2 => {
            let header = cursor.take::<20>(Layer::Link, truncated)?;
            tags(be16(header, 0), cursor, seen)
        }
        NULL | LOOP => loopback(cursor),
        IPV4 => Ok(Version::V4),
        IPV6 => Ok(Version::V6),
        n if RAW.contains(&n) => Ok(Version::AsItSays),
        _ => Err(cursor.bad_value(Layer::Link, SkipReason::LinkType, 0, 0)),
    }
}

/// The address family in four bytes, in the capturing machine's order (`NULL`) or big-endian (`LOOP`): both are tried,
/// since no family's number is another's in the other order.
fn loopback(cursor: &mut Cursor<'_>) -> Result<Version, DecodeError> {
    let at = *cursor;
    let family = *cursor.take::<4>(Layer::Link, SkipReason::LinkTruncated)?;
    let either = [u32::from_be_bytes(family), u32::from_le_bytes(family)];
    if either.contains(&AF_INET) {
        Ok(Version::V4)
    } else if AF_INET6.iter().any(|f| either.contains(f)) {
        Ok(Version::V6)
    } else {
        Err(non_ip(&at))
    }
}

/// Passes over tags, labels and `PPPoE` to the IP header.
fn tags(first: u16, cursor: &mut Cursor<'_>, seen: &mut Seen) -> Result<Version, DecodeError> {
    let mut kind = first;
    // Each turn consumes bytes: the frame's length bounds it.
    while ether_type::VLAN.contains(&kind) {
        seen.vlan_tags = seen.vlan_tags.saturating_add(1);
        let tag = cursor.take::<4>(Layer::Vlan, SkipReason::VlanTruncated)?;
        kind = be16(tag, 2);
    }
    match kind {
        ether_type::IPV4 => Ok(Version::V4),
        ether_type::IPV6 => Ok(Version::V6),
        ether_type::PPPOE_SESSION => pppoe(cursor),
        _ if ether_type::MPLS.contains(&kind) => mpls(cursor, seen),
        _ => Err(non_ip(cursor)),
    }
}

/// Labels up to the bottom of the stack; what follows is IP where its version field says so (RFC 4928).
fn mpls(cursor: &mut Cursor<'_>, seen: &mut Seen) -> Result<Version, DecodeError> {
    const BOTTOM_OF_STACK: u8 = 1;
    loop {
        let label = cursor.take::<4>(Layer::Mpls, SkipReason::MplsTruncated)?;
        seen.mpls_labels = seen.mpls_labels.saturating_add(1);
        if label[2] & BOTTOM_OF_STACK != 0 {
            return match cursor.peek::<1>(Layer::Mpls, SkipReason::MplsTruncated)?[0] >> 4 {
                4 => Ok(Version::V4),
                6 => Ok(Version::V6),
                _ => Err(non_ip(cursor)),
            };
        }
    }
}

/// `PPPoE` session header and PPP protocol (RFC 2516).
fn pppoe(cursor: &mut Cursor<'_>) -> Result<Version, DecodeError> {
    let header = cursor.take::<8>(Layer::Pppoe, SkipReason::PppoeTruncated)?;
    match be16(header, 6) {
        PPP_IPV4 => Ok(Version::V4),
        PPP_IPV6 => Ok(Version::V6),
        _ => Err(non_ip(cursor)),
    }
}

fn non_ip(cursor: &Cursor<'_>) -> DecodeError {
    cursor.bad_value(Layer::Link, SkipReason::NonIp, 0, 0)
}
