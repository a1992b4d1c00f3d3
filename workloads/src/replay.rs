//! Replay: a capture file becomes packets, facts about it, and a trace.
//!
//! One file is one workload; several are several.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use crate::capture::{Capture, CaptureError, Compression, Format, LinkType};
use crate::decode::{SkipCounts, SkipReason, decode};
use crate::flows::{FlowCounter, FlowFacts};
use crate::packet::Packet;
use crate::trace::Trace;
use crate::track::{TrackCounts, TrackOptions, Tracker};

/// Packets a replay keeps at most unless told otherwise: 2 GiB of them, with the trace about as much again.
pub const DEFAULT_MAX_PACKETS: u64 = 30_000_000;

/// How to load a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Refuse a broken file instead of using what comes before the break.
    pub strict: bool,
    /// Stop after this many packets; the facts then say so.
    pub max_packets: u64,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            strict: false,
            max_packets: DEFAULT_MAX_PACKETS,
        }
    }
}

/// Why a capture cannot be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// It cannot be read, or it is broken and `strict` was asked for.
    #[error("{path}: {source}")]
    Capture {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: CaptureError,
    },
    /// The file could not be read for its digest.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No frame has a link type that is decoded.
    #[error(
        "{path}: link type {link} is not decoded; Ethernet, Linux cooked, loopback and raw IP are. Capture on another interface, or convert"
    )]
    LinkType {
        /// Which file.
        path: PathBuf,
        /// Its link type.
        link: LinkType,
    },
    /// The file holds no packet that can be tracked.
    #[error("{path}: no IP packet in {frames} frames{}", broken_too(.broken.as_ref()))]
    NoPackets {
        /// Which file.
        path: PathBuf,
        /// Frames in it.
        frames: u64,
        /// Where it breaks, if it does.
        broken: Option<String>,
    },
}

fn broken_too(broken: Option<&String>) -> String {
    broken.map(|b| format!("; the file is {b}")).unwrap_or_default()
}

/// Facts about a replayed capture, for records and reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayFacts {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Its compression.
    pub compression: Compression,
    /// Interfaces it describes.
    pub interfaces: u64,
    /// XXH3-128 of the file as it lies on disk, hexadecimal.
    pub file_digest: String,
    /// Packets and flows.
    pub flows: FlowFacts,
    /// Frames that gave no packet, by reason.
    pub skipped: SkipCounts,
    /// A link type that is not decoded, where frames of one were skipped.
    pub unknown_link: Option<LinkType>,
    /// Where the file breaks, if it does: packet number, byte offset and problem.
    pub broken: Option<String>,
    /// Whether [`ReplayOptions::max_packets`] ended it.
    pub limited: bool,
}

/// A loaded capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Decoded packets in the file's order.
    pub packets: Vec<Packet>,
    /// Facts.
    pub facts: ReplayFacts,
}

impl Replay {
    /// Loads the capture at `path`.
    ///
    /// # Errors
    /// [`ReplayError`]; a file that breaks after some packets is none unless `strict`.
    pub fn load(path: &Path, options: &ReplayOptions) -> Result<Self, ReplayError> {
        let capture_error = |source| ReplayError::Capture {
            path: path.to_owned(),
            source,
        };
        let file_digest = file_digest(path).map_err(|source| ReplayError::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut capture = Capture::open(path).map_err(capture_error)?;
        let mut loading = Loading::default();
        let broken = loading.read(&mut capture, options.max_packets).err();
        let broken = match broken {
            Some(error) if options.strict => return Err(capture_error(error)),
            other => other.map(|error| error.to_string()),
        };
        let facts = ReplayFacts {
            path: path.to_owned(),
            format: capture.format(),
            compression: capture.compression(),
            interfaces: capture.interfaces(),
            file_digest,
            flows: loading.flows.finish(),
            skipped: loading.skipped,
            unknown_link: loading.unknown_link,
            broken,
            limited: loading.limited,
        };
        if loading.packets.is_empty() {
            return Err(nothing_to_track(facts));
        }
        Ok(Self {
            packets: loading.packets,
            facts,
        })
    }

    /// The trace of this capture alone, named `name`, and what the tracker counted.
    #[must_use]
    pub fn trace(&self, name: &str) -> (Trace, TrackCounts) {
        let mut tracker = Tracker::new(TrackOptions {
            name: name.to_owned(),
            ..TrackOptions::default()
        });
        for packet in &self.packets {
            tracker.packet(packet);
        }
        let counts = *tracker.counts();
        (tracker.finish(), counts)
    }
}

/// What one pass over the file collects.
#[derive(Debug, Default)]
struct Loading {
    packets: Vec<Packet>,
    flows: FlowCounter,
    skipped: SkipCounts,
    unknown_link: Option<LinkType>,
    limited: bool,
}

impl Loading {
    fn read(&mut self, capture: &mut Capture, max_packets: u64) -> Result<(), CaptureError> {
        while let Some(frame) = capture.next_frame() {
            let frame = frame?;
            if self.packets.len() as u64 >= max_packets {
                self.limited = true;
                return Ok(());
            }
            let decoded = decode(&frame);
            self.flows.add(&frame, &decoded);
            match decoded.packet {
                Ok(packet) => self.packets.push(packet),
                Err(error) => {
                    self.skipped.add(error.reason);
                    if error.reason == SkipReason::LinkType {
                        self.unknown_link.get_or_insert(frame.link);
                    }
                }
            }
        }
        Ok(())
    }
}

fn nothing_to_track(facts: ReplayFacts) -> ReplayError {
    let frames = facts.flows.packets;
    match facts.unknown_link {
        Some(link) if facts.skipped.get(SkipReason::LinkType) == frames => ReplayError::LinkType {
            path: facts.path,
            link,
        },
        _ => ReplayError::NoPackets {
            path: facts.path,
            frames,
            broken: facts.broken,
        },
    }
}

/// XXH3-128 of the file's bytes.
fn file_digest(path: &Path) -> io::Result<String> {
    const CHUNK_BYTES: usize = 1 << 16;
    let mut file = File::open(path)?;
    let mut hasher = Xxh3::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(format!("{:032x}", hasher.digest128())),
            Ok(n) => hasher.update(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
