//! Capture files: pcap and pcapng, compressed or not, as a stream of frames.
//!
//! ```text
//! file -> [gzip | zstd] -> Window (bounded, counts bytes) -> pcap-file's slice parsers -> Frame
//! ```
//! Formats are recognised by their first bytes, never by name. Memory is one [`MAX_BLOCK_BYTES`] window, the
//! decompressor's own (zstd: at most 128 MiB, the format's usual limit; gzip: 32 KiB), and link type and
//! timestamp rules of at most [`MAX_INTERFACES`] interfaces.
//!
//! The parsers are `pcap-file` 3.0.0-rc.3's, called on slices: 2.0.0 takes pcapng timestamps as nanoseconds whatever
//! `if_tsresol` says, and its readers check snap lengths and original lengths that real files get wrong. Its reader
//! types are not used: they neither say where they stand nor tell a record that is too long from a file that ends.
//! Packet blocks are taken apart here, from pcap-file's raw blocks: a bad option on a packet is no reason to lose it.
//!
//! # Guarantees
//! * **K1** Every frame before a break is yielded, then the break as an error with packet number and byte offset in the
//!   uncompressed stream, then nothing more. (`tests/capture_files.rs`)
//! * **K2** No bytes make it panic, and no length field makes it allocate. (`tests/capture_hostile.rs`)
//!
//! # Limits
//! Not read: the modified pcap of 1999 (magic `a1b2cd34`; the error says so), pcapng name tables and secrets (passed over).

mod pcap;
mod pcapng;
mod window;

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use pcap_file::DataLink;
use thiserror::Error;

use pcap::PcapRecords;
use pcapng::PcapNgRecords;
use window::Window;

/// Longest captured packet accepted: libpcap's `MAXIMUM_SNAPLEN` for all but USB and D-Bus captures.
pub const MAX_PACKET_BYTES: usize = 262_144;

/// Longest pcapng block that carries a packet or describes an interface or section: a packet and as much again for options.
pub const MAX_BLOCK_BYTES: usize = 2 * MAX_PACKET_BYTES;

/// Most interfaces kept per pcapng section: what the interface number of the obsolete Packet Block can name.
pub const MAX_INTERFACES: usize = 65_536;

/// Largest window a zstd stream may ask for, as a power of two: 128 MiB, what `zstd -d` accepts without options.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const MODIFIED_PCAP_MAGIC: u32 = 0xa1b2_cd34;

/// Link-layer type of a frame, from the registry at tcpdump.org/linktypes.html.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DataLink::from(self.0) {
            DataLink::Unknown(n) => write!(f, "{n}"),
            known => write!(f, "{} ({known:?})", self.0),
        }
    }
}

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number in the file, from 1, as Wireshark counts.
    pub number: u64,
    /// Nanoseconds since the Unix epoch. A pcapng Simple Packet Block has no time: it gets the previous frame's.
    pub time_ns: u64,
    /// What the bytes begin with.
    pub link: LinkType,
    /// Length on the wire.
    pub original_len: u32,
    /// What was captured of it.
    pub data: &'a [u8],
}

/// File format inside any compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Classic pcap, microseconds or nanoseconds, either byte order.
    Pcap,
    /// pcapng.
    PcapNg,
}

/// How the file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, one member or several.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// Why a capture could not be read, or not further.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file could not be opened.
    #[error("cannot open {path}: {source}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Reading failed before the format was known.
    #[error("cannot read the first bytes: {0}")]
    Start(io::Error),
    /// The file is no capture.
    #[error(
        "not a capture: it begins with {}; pcap and pcapng are read, plain or compressed with gzip or zstd",
        hexadecimal(.begins_with)
    )]
    Unrecognised {
        /// Up to four first bytes, after decompression.
        begins_with: Vec<u8>,
    },
    /// A capture format that is known but not read.
    #[error("{what} is not read; convert it with `editcap -F pcap IN OUT`")]
    Unsupported {
        /// Which.
        what: &'static str,
    },
    /// The file is broken at one place; frames before it were yielded.
    #[error("broken at packet {packet}, byte offset {offset}: {problem}")]
    Broken {
        /// Number of the packet that could not be read, from 1.
        packet: u64,
        /// Where its record begins in the uncompressed stream.
        offset: u64,
        /// What is wrong there.
        problem: Problem,
    },
}

/// What is wrong at the place where a capture breaks.
#[derive(Debug, Error)]
pub enum Problem {
    /// The file ends inside a record.
    #[error("the file ends inside {what}: {needed} bytes needed, {available} left")]
    Truncated {
        /// Which structure.
        what: &'static str,
        /// Bytes it takes.
        needed: u64,
        /// Bytes left.
        available: u64,
    },
    /// A length field is over the limit.
    #[error(
        "{what} says it is {length} bytes long, over the limit of {limit}; the file is damaged or no packet capture"
    )]
    TooLong {
        /// Which structure.
        what: &'static str,
        /// What its length field says.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// A packet block is shorter than its own captured length.
    #[error("{what} holds {available} bytes, {needed} are needed")]
    Inconsistent {
        /// Which structure.
        what: &'static str,
        /// Bytes its fields ask for.
        needed: u64,
        /// Bytes it has.
        available: u64,
    },
    /// A packet names an interface that the section does not describe.
    #[error("the packet names interface {interface}, the section has {known}")]
    Interface {
        /// The number named.
        interface: u32,
        /// Interfaces described so far.
        known: usize,
    },
    /// The format's own rules are broken.
    #[error("{0}")]
    Format(String),
    /// Reading or decompressing failed.
    #[error("cannot read on: {0}")]
    Io(#[from] io::Error),
}

fn hexadecimal(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing (it is empty)".to_owned();
    }
    bytes
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Fields of a record; its bytes are the next `skip..skip + captured` of the window.
#[derive(Debug, Clone, Copy)]
struct Record {
    time_ns: u64,
    link: LinkType,
    original_len: u32,
    /// Bytes of the record before the packet.
    lead: usize,
    captured: usize,
    /// All bytes of the record.
    total: usize,
}

#[derive(Debug)]
enum Records {
    Pcap(PcapRecords),
    PcapNg(PcapNgRecords),
}

/// An open capture.
#[derive(Debug)]
pub struct Capture {
    window: Window,
    records: Records,
    compression: Compression,
    frames: u64,
    ended: bool,
}

impl Capture {
    /// Opens the capture at `path`.
    ///
    /// # Errors
    /// [`CaptureError`] where the file cannot be opened, is no capture, or breaks before its first packet.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path).map_err(|source| CaptureError::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::from_reader(file)
    }

    /// Reads a capture from any source.
    ///
    /// # Errors
    /// As [`Capture::open`].
    pub fn from_reader(mut source: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let head = read_head(&mut source).map_err(CaptureError::Start)?;
        let stream = Cursor::new(head.clone()).chain(source);
        let (compression, reader): (_, Box<dyn Read + Send>) = if head.starts_with(&GZIP_MAGIC) {
            (Compression::Gzip, Box::new(MultiGzDecoder::new(stream)))
        } else if is_zstd(&head) {
            let mut decoder = zstd::stream::read::Decoder::new(stream).map_err(CaptureError::Start)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(CaptureError::Start)?;
            (Compression::Zstd, Box::new(decoder))
        } else {
            (Compression::None, Box::new(stream))
        };
        let mut window = Window::new(reader);
        let records = recognise(&mut window)?;
        Ok(Self {
            window,
            records,
            compression,
            frames: 0,
            ended: false,
        })
    }

    /// The file's format.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self.records {
            Records::Pcap(_) => Format::Pcap,
            Records::PcapNg(_) => Format::PcapNg,
        }
    }

    /// The file's compression.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// Interfaces described so far, over all sections; 1 for pcap.
    #[must_use]
    pub const fn interfaces(&self) -> u64 {
        match &self.records {
            Records::Pcap(_) => 1,
            Records::PcapNg(records) => records.interfaces_seen,
        }
    }

    /// The next frame; `None` at the end, or after an error.
    ///
    /// # Errors
    /// [`CaptureError::Broken`] where the file cannot be read further.
    pub fn next_frame(&mut self) -> Option<Result<Frame<'_>, CaptureError>> {
        if self.ended {
            return None;
        }
        let found = match &mut self.records {
            Records::Pcap(records) => records.next(&mut self.window),
            Records::PcapNg(records) => records.next(&mut self.window),
        };
        match found {
            Ok(Some(record)) => {
                self.frames += 1;
                let bytes = self.window.take(record.total);
                Some(Ok(Frame {
                    number: self.frames,
                    time_ns: record.time_ns,
                    link: record.link,
                    original_len: record.original_len,
                    data: &bytes[record.lead..record.lead + record.captured],
                }))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(problem) => {
                self.ended = true;
                let offset = match &self.records {
                    Records::Pcap(_) => self.window.offset(),
                    Records::PcapNg(records) => records.block_offset,
                };
                Some(Err(CaptureError::Broken {
                    packet: self.frames + 1,
                    offset,
                    problem,
                }))
            }
        }
    }
}

/// Up to four bytes: enough for every magic number.
fn read_head(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(4);
    source.take(4).read_to_end(&mut head)?;
    Ok(head)
}

/// A Zstandard frame, or a skippable one (RFC 8878 section 3.1.2), which may come first.
fn is_zstd(head: &[u8]) -> bool {
    head == ZSTD_MAGIC || (head.len() == 4 && head[0] & 0xf0 == 0x50 && head[1..] == [0x2a, 0x4d, 0x18])
}

fn recognise(window: &mut Window) -> Result<Records, CaptureError> {
    let before_first = |problem| CaptureError::Broken {
        packet: 1,
        offset: 0,
        problem,
    };
    let available = window.require(4).map_err(|e| before_first(e.into()))?;
    let Some(magic) = window.bytes().first_chunk::<4>().copied() else {
        let begins_with = window.bytes()[..available].to_vec();
        return Err(CaptureError::Unrecognised { begins_with });
    };
    if magic == PCAPNG_MAGIC {
        return PcapNgRecords::open(window)
            .map(Records::PcapNg)
            .map_err(before_first);
    }
    if PcapRecords::is_magic(magic) {
        return PcapRecords::open(window).map(Records::Pcap).map_err(before_first);
    }
    if [u32::from_be_bytes(magic), u32::from_le_bytes(magic)].contains(&MODIFIED_PCAP_MAGIC) {
        return Err(CaptureError::Unsupported {
            what: "the modified pcap format of 1999 (magic a1b2cd34)",
        });
    }
    Err(CaptureError::Unrecognised {
        begins_with: magic.to_vec(),
    })
}
