//! Classic pcap records.
//!
//! ```text
//!  0     4      6      8      12        16       20        24
//!  | magic | major | minor | zone | accuracy | snaplen | link type |   file header
//!  | seconds | fraction | captured | original | bytes ...              record
//! ```

use pcap_file::Endianness;
use pcap_file::pcap::{PcapParseError, PcapParser, PcapTsResolution};

use super::window::Window;
use super::{LinkType, MAX_PACKET_BYTES, Problem, Record};

const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;

/// The upper half of the link-type field says how long the frame check sequence is
/// (draft-ietf-opsawg-pcap section 4); the type is the lower half.
const LINK_TYPE_MASK: u32 = 0xffff;

/// Reader of pcap records.
#[derive(Debug)]
pub(super) struct PcapRecords {
    parser: PcapParser,
    link: LinkType,
    fraction_ns: u64,
}

impl PcapRecords {
    pub(super) fn is_magic(magic: [u8; 4]) -> bool {
        const MICROSECONDS: u32 = 0xa1b2_c3d4;
        const NANOSECONDS: u32 = 0xa1b2_3c4d;
        [u32::from_be_bytes(magic), u32::from_le_bytes(magic)]
            .iter()
            .any(|m| [MICROSECONDS, NANOSECONDS].contains(m))
    }

    pub(super) fn open(window: &mut Window) -> Result<Self, Problem> {
        let available = window.require(FILE_HEADER_BYTES)?;
        let (_, parser) = PcapParser::new(window.bytes())
            .map_err(|e| problem(&e, "the file header", FILE_HEADER_BYTES, available))?;
        window.take(FILE_HEADER_BYTES);
        let header = parser.header();
        Ok(Self {
            link: LinkType(u32::from(header.datalink) & LINK_TYPE_MASK),
            fraction_ns: match header.ts_resolution {
                PcapTsResolution::MicroSecond => 1000,
                PcapTsResolution::NanoSecond => 1,
            },
            parser,
        })
    }

    /// The next record, which is buffered whole but not consumed; `None` at the end.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Option<Record>, Problem> {
        let available = window.require(RECORD_HEADER_BYTES)?;
        if available == 0 {
            return Ok(None);
        }
        let captured = self.captured_length(window.bytes()).unwrap_or(0);
        if captured > MAX_PACKET_BYTES {
            return Err(Problem::TooLong {
                what: "a packet record",
                length: captured as u64,
                limit: MAX_PACKET_BYTES as u64,
            });
        }
        let total = RECORD_HEADER_BYTES + captured;
        let available = window.require(total)?;
        // The raw form: a fraction over a second, a packet longer than the snap length or than it was on the wire all occur
        // in real files, and no table cares.
        let (_, raw) = self
            .parser
            .next_raw_packet(window.bytes())
            .map_err(|e| problem(&e, "a packet record", total, available))?;
        Ok(Some(Record {
            time_ns: u64::from(raw.ts_sec) * 1_000_000_000 + u64::from(raw.ts_frac) * self.fraction_ns,
            link: self.link,
            original_len: raw.orig_len,
            lead: RECORD_HEADER_BYTES,
            captured: raw.data.len(),
            total,
        }))
    }

    /// The length field of the record header at the start of `bytes`, read ahead of the parser so that it can be bounded.
    fn captured_length(&self, bytes: &[u8]) -> Option<usize> {
        let field = bytes.get(8..12)?.first_chunk::<4>().copied()?;
        let length = match self.parser.header().endianness {
            Endianness::Big => u32::from_be_bytes(field),
            Endianness::Little => u32::from_le_bytes(field),
        };
        usize::try_from(length).ok()
    }
}

fn problem(error: &PcapParseError, what: &'static str, needed: usize, available: usize) -> Problem {
    match error {
        PcapParseError::IncompleteBuffer(..) => Problem::Truncated {
            what,
            needed: needed as u64,
            available: available as u64,
        },
        PcapParseError::Validation(e) => Problem::Format(e.to_string()),
    }
}
