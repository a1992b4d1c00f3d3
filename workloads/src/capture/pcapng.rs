//! pcapng blocks.
//!
//! ```text
//!  0      4        8                     length-4   length
//!  | type | length | body ...            | length |
//! ```
//! Section headers and interface descriptions go through pcap-file, which keeps byte order, link types and timestamp
//! rules of the current section, after everything else they say has been left out: it refuses a whole section for an
//! interface name that is not UTF-8 or a hardware address of the wrong length, and it would keep all of it in memory.
//! Packet blocks are read from its raw blocks; all others are passed over unread, however long they are.

use std::error::Error;

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};
use pcap_file::pcapng::{PcapNgParseError, PcapNgParser, PcapNgState};

use super::window::Window;
use super::{LinkType, MAX_BLOCK_BYTES, MAX_INTERFACES, MAX_PACKET_BYTES, Problem, Record};

/// Type and length.
const BLOCK_HEADER_BYTES: usize = 8;
/// Header and the repeated length.
const BLOCK_FRAMING_BYTES: usize = 12;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Block with byte-order magic, version and section length, and no options.
const SECTION_HEADER_BYTES: usize = 28;
/// Options of an interface that say how its timestamps are read: code and length.
const IF_TSRESOL: (u16, usize) = (9, 1);
const IF_TSOFFSET: (u16, usize) = (14, 8);

/// Reader of pcapng packet blocks.
#[derive(Debug)]
pub(super) struct PcapNgRecords {
    parser: PcapNgParser,
    last_time_ns: u64,
    pub(super) interfaces_seen: u64,
    /// Where the block being read begins; a block that is passed over may be consumed in part when it turns out cut.
    pub(super) block_offset: u64,
}

/// What the header of the next block says.
struct BlockHeader {
    kind: u32,
    length: usize,
    order: Endianness,
}

impl PcapNgRecords {
    pub(super) fn open(window: &mut Window) -> Result<Self, Problem> {
        let available = window.require(BLOCK_FRAMING_BYTES)?;
        let header = block_header(window.bytes(), Endianness::Little)?
            .ok_or_else(|| truncated(BLOCK_FRAMING_BYTES, available))?;
        whole_block(window, &header)?;
        let (_, parser) =
            PcapNgParser::new(&bare_section_header(window, &header)?).map_err(|e| problem(&e))?;
        window.take(header.length);
        Ok(Self {
            parser,
            last_time_ns: 0,
            interfaces_seen: 0,
            block_offset: 0,
        })
    }

    /// The next packet's record, which is buffered whole but not consumed; `None` at the end.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Option<Record>, Problem> {
        loop {
            self.block_offset = window.offset();
            let available = window.require(BLOCK_FRAMING_BYTES)?;
            if available == 0 {
                return Ok(None);
            }
            let header = block_header(window.bytes(), self.parser.state().endianness())?
                .ok_or_else(|| truncated(BLOCK_FRAMING_BYTES, available))?;
            match header.kind {
                SECTION_HEADER_BLOCK | INTERFACE_DESCRIPTION_BLOCK => self.describe(window, &header)?,
                ENHANCED_PACKET_BLOCK | PACKET_BLOCK | SIMPLE_PACKET_BLOCK => {
                    return self.packet(window, &header).map(Some);
                }
                _ => pass_over(window, &header)?,
            }
        }
    }

    /// Takes in a section header or an interface description.
    fn describe(&mut self, window: &mut Window, header: &BlockHeader) -> Result<(), Problem> {
        whole_block(window, header)?;
        let bare = if header.kind == SECTION_HEADER_BLOCK {
            bare_section_header(window, header)?
        } else {
            check_limit(
                "the section's list of interfaces",
                self.parser.interfaces().len() + 1,
                MAX_INTERFACES,
            )?;
            self.interfaces_seen += 1;
            bare_interface(window, header)?
        };
        self.parser.next_raw_block(&bare).map_err(|e| problem(&e))?;
        window.take(header.length);
        Ok(())
    }

    fn packet(&mut self, window: &mut Window, header: &BlockHeader) -> Result<Record, Problem> {
        whole_block(window, header)?;
        let (_, block) = self
            .parser
            .next_raw_block(window.bytes())
            .map_err(|e| problem(&e))?;
        let mut fields = Fields {
            body: &block.body,
            order: self.parser.state().endianness(),
            at: 0,
        };
        let state = self.parser.state();
        let mut record = match header.kind {
            ENHANCED_PACKET_BLOCK => {
                let interface = fields.u32()?;
                timed_packet(state, interface, &mut fields)?
            }
            PACKET_BLOCK => {
                let interface = u32::from(fields.u16()?);
                let _drops = fields.u16()?;
                timed_packet(state, interface, &mut fields)?
            }
            _ => simple_packet(state, &mut fields, self.last_time_ns)?,
        };
        self.last_time_ns = record.time_ns;
        record.total = header.length;
        Ok(record)
    }
}

/// Enhanced Packet Block, and the obsolete Packet Block from its timestamp on: high, low, captured, original, bytes.
fn timed_packet(state: &PcapNgState, interface: u32, fields: &mut Fields<'_>) -> Result<Record, Problem> {
    let link = link_of(state, interface)?;
    let (high, low) = (fields.u32()?, fields.u32()?);
    let time = state
        .decode_timestamp(interface, high, low)
        .map_err(|e| Problem::Format(e.to_string()))?;
    let captured = usize::try_from(fields.u32()?).unwrap_or(usize::MAX);
    let original_len = fields.u32()?;
    check_limit("a packet", captured, MAX_PACKET_BYTES)?;
    fields.must_hold(captured)?;
    Ok(Record {
        // Later than the year 2554 is as good as never.
        time_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        link,
        original_len,
        lead: BLOCK_HEADER_BYTES + fields.at,
        captured,
        total: 0,
    })
}

/// Simple Packet Block: the original length only; what was captured is the least of it, the snap length and the block.
fn simple_packet(state: &PcapNgState, fields: &mut Fields<'_>, time_ns: u64) -> Result<Record, Problem> {
    let link = link_of(state, 0)?;
    let snap_length = state.interfaces().first().map_or(0, |i| i.snaplen);
    let original_len = fields.u32()?;
    let limit = if snap_length == 0 { u32::MAX } else { snap_length };
    let captured = usize::try_from(original_len.min(limit)).unwrap_or(usize::MAX);
    check_limit("a packet", captured, MAX_PACKET_BYTES)?;
    fields.must_hold(captured)?;
    Ok(Record {
        time_ns,
        link,
        original_len,
        lead: BLOCK_HEADER_BYTES + fields.at,
        captured,
        total: 0,
    })
}

fn link_of(state: &PcapNgState, interface: u32) -> Result<LinkType, Problem> {
    let known = state.interfaces();
    usize::try_from(interface)
        .ok()
        .and_then(|i| known.get(i))
        .map(|described| LinkType(described.linktype.into()))
        .ok_or(Problem::Interface {
            interface,
            known: known.len(),
        })
}

/// Buffers the whole block; an error where it is over the limit or cut.
fn whole_block(window: &mut Window, header: &BlockHeader) -> Result<(), Problem> {
    check_limit("a block", header.length, MAX_BLOCK_BYTES)?;
    let available = window.require(header.length)?;
    if available < header.length {
        return Err(truncated(header.length, available));
    }
    Ok(())
}

/// The buffered section header block without its options.
fn bare_section_header(window: &Window, header: &BlockHeader) -> Result<Vec<u8>, Problem> {
    let block = body_of(window, header)?;
    let fields = block.get(..16).ok_or(Problem::Inconsistent {
        what: "a section header",
        needed: SECTION_HEADER_BYTES as u64,
        available: header.length as u64,
    })?;
    Ok(bare_block(header, fields))
}

/// The buffered interface description block with nothing but link type, snap length and the rules of its timestamps.
fn bare_interface(window: &Window, header: &BlockHeader) -> Result<Vec<u8>, Problem> {
    let block = body_of(window, header)?;
    let (fixed, mut options) = block.split_at_checked(8).ok_or(Problem::Inconsistent {
        what: "an interface description",
        needed: 20,
        available: header.length as u64,
    })?;
    // The reserved field is left out too: it is to be ignored by readers.
    let mut bare = vec![fixed[0], fixed[1], 0, 0, fixed[4], fixed[5], fixed[6], fixed[7]];
    while let Some((head, rest)) = options.split_first_chunk::<4>() {
        let code = in_order_16(header.order, [head[0], head[1]]);
        let length = usize::from(in_order_16(header.order, [head[2], head[3]]));
        let padded = length.next_multiple_of(4);
        let (Some(option), true) = (rest.get(..padded), code != 0) else {
            // The end of the options, or an option that is cut: what came before it holds.
            break;
        };
        if [IF_TSRESOL, IF_TSOFFSET].contains(&(code, length)) {
            bare.extend_from_slice(head);
            bare.extend_from_slice(option);
        }
        options = &rest[padded..];
        if bare.len() > MAX_BARE_INTERFACE_BYTES {
            // Options of these codes may come once; a thousand of them are no file to keep in memory.
            break;
        }
    }
    Ok(bare_block(header, &bare))
}

/// Fixed fields and each of the two options once, with room for the one that is too many.
const MAX_BARE_INTERFACE_BYTES: usize = 8 + 8 + 12;

/// The body of the buffered block, after a look at the length behind it.
fn body_of<'w>(window: &'w Window, header: &BlockHeader) -> Result<&'w [u8], Problem> {
    let block = &window.bytes()[..header.length];
    let (body, trailer) = block
        .split_last_chunk::<4>()
        .ok_or_else(|| truncated(header.length, block.len()))?;
    let trailing = in_order_32(header.order, *trailer);
    if usize::try_from(trailing) != Ok(header.length) {
        return Err(Problem::Format(format!(
            "a block says it is {} bytes long at its start and {trailing} at its end",
            header.length
        )));
    }
    Ok(&body[BLOCK_HEADER_BYTES..])
}

/// A block of this kind and byte order around `body`, whose length is a multiple of four.
fn bare_block(header: &BlockHeader, body: &[u8]) -> Vec<u8> {
    // A body is a few dozen bytes.
    let length = u32::try_from(body.len() + BLOCK_FRAMING_BYTES).unwrap_or(u32::MAX);
    let word = |n: u32| match header.order {
        Endianness::Big => n.to_be_bytes(),
        Endianness::Little => n.to_le_bytes(),
    };
    [&word(header.kind), &word(length), body, &word(length)].concat()
}

fn in_order_16(order: Endianness, bytes: [u8; 2]) -> u16 {
    match order {
        Endianness::Big => u16::from_be_bytes(bytes),
        Endianness::Little => u16::from_le_bytes(bytes),
    }
}

fn in_order_32(order: Endianness, bytes: [u8; 4]) -> u32 {
    match order {
        Endianness::Big => u32::from_be_bytes(bytes),
        Endianness::Little => u32::from_le_bytes(bytes),
    }
}

fn pass_over(window: &mut Window, header: &BlockHeader) -> Result<(), Problem> {
    let length = header.length as u64;
    let available = window.skip(length)?;
    if available < length {
        return Err(Problem::Truncated {
            what: "a block",
            needed: length,
            available,
        });
    }
    Ok(())
}

/// Type and length of the block at the start of `bytes`; `None` where it is cut before that is known.
fn block_header(bytes: &[u8], section: Endianness) -> Result<Option<BlockHeader>, Problem> {
    let word = |at: usize| bytes.get(at..at + 4)?.first_chunk::<4>().copied();
    let (Some(kind), Some(length), Some(third)) = (word(0), word(4), word(8)) else {
        return Ok(None);
    };
    // The type of a section header reads the same in both orders; its third word says which one the section has.
    let order = if u32::from_be_bytes(kind) != SECTION_HEADER_BLOCK {
        section
    } else if u32::from_be_bytes(third) == BYTE_ORDER_MAGIC {
        Endianness::Big
    } else if u32::from_le_bytes(third) == BYTE_ORDER_MAGIC {
        Endianness::Little
    } else {
        let found = u32::from_be_bytes(third);
        return Err(Problem::Format(format!(
            "a section header has the byte-order magic {found:08x}, not {BYTE_ORDER_MAGIC:08x} in either order"
        )));
    };
    let length = usize::try_from(in_order_32(order, length)).unwrap_or(usize::MAX);
    if length < BLOCK_FRAMING_BYTES || !length.is_multiple_of(4) {
        return Err(Problem::Format(format!(
            "a block says it is {length} bytes long: less than 12 or no multiple of 4"
        )));
    }
    Ok(Some(BlockHeader {
        kind: in_order_32(order, kind),
        length,
        order,
    }))
}

/// Checked reading of a block's body.
struct Fields<'a> {
    body: &'a [u8],
    order: Endianness,
    at: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let bytes = self.body.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = *bytes.ok_or(Problem::Inconsistent {
            what: "a packet block",
            needed: (self.at + N) as u64,
            available: self.body.len() as u64,
        })?;
        self.at += N;
        Ok(bytes)
    }

    fn u16(&mut self) -> Result<u16, Problem> {
        Ok(in_order_16(self.order, self.take()?))
    }

    fn u32(&mut self) -> Result<u32, Problem> {
        Ok(in_order_32(self.order, self.take()?))
    }

    /// That `length` bytes follow.
    fn must_hold(&self, length: usize) -> Result<(), Problem> {
        if self.body.len() - self.at < length {
            return Err(Problem::Inconsistent {
                what: "a packet block",
                needed: (self.at + length) as u64,
                available: self.body.len() as u64,
            });
        }
        Ok(())
    }
}

fn check_limit(what: &'static str, length: usize, limit: usize) -> Result<(), Problem> {
    if length > limit {
        return Err(Problem::TooLong {
            what,
            length: length as u64,
            limit: limit as u64,
        });
    }
    Ok(())
}

fn truncated(needed: usize, available: usize) -> Problem {
    Problem::Truncated {
        what: "a block",
        needed: needed as u64,
        available: available as u64,
    }
}

fn problem(error: &PcapNgParseError) -> Problem {
    // pcap-file nests its reasons: the outermost names the block, the innermost the field.
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    Problem::Format(text)
}
