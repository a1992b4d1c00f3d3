//! What the capture tests share: finding the shared captures, building files in memory.
#![allow(dead_code, unreachable_pub, reason = "each test crate uses a part")]

use std::path::{Path, PathBuf};

/// Folder of shared captures: `$CTBENCH_SHARED/pcaps`, else `../shared/pcaps` beside the workspace; `None` (with a message)
/// where there is none.
pub fn shared_captures() -> Option<PathBuf> {
    let shared = std::env::var_os("CTBENCH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let captures = shared.join("pcaps");
    if captures.join("MANIFEST.tsv").is_file() {
        return Some(captures);
    }
    eprintln!(
        "skipped: no captures in {} (set CTBENCH_SHARED)",
        captures.display()
    );
    None
}

/// All shared captures, edge cases included.
pub fn all_captures(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = [folder.to_owned(), folder.join("edge")]
        .iter()
        .flat_map(|f| std::fs::read_dir(f).expect("the folder was found"))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|e| e != "tsv"))
        .collect();
    files.sort();
    assert!(files.len() > 40, "only {} captures", files.len());
    files
}

/// Byte order of a file under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Big,
    Little,
}

impl Order {
    pub fn u16(self, n: u16) -> [u8; 2] {
        match self {
            Self::Big => n.to_be_bytes(),
            Self::Little => n.to_le_bytes(),
        }
    }

    pub fn u32(self, n: u32) -> [u8; 4] {
        match self {
            Self::Big => n.to_be_bytes(),
            Self::Little => n.to_le_bytes(),
        }
    }
}

/// Header of a pcap file.
pub fn pcap_header(order: Order, magic: u32, link: u32) -> Vec<u8> {
    [
        order.u32(magic).as_slice(),
        &order.u16(2),
        &order.u16(4),
        &[0; 8],
        &order.u32(65535),
        &order.u32(link),
    ]
    .concat()
}

/// A pcap record.
pub fn pcap_record(order: Order, seconds: u32, fraction: u32, original: u32, data: &[u8]) -> Vec<u8> {
    [
        order.u32(seconds).as_slice(),
        &order.u32(fraction),
        &order.u32(u32::try_from(data.len()).expect("it is small")),
        &order.u32(original),
        data,
    ]
    .concat()
}

/// A pcapng block.
pub fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = order.u32(u32::try_from(body.len() + 12).expect("it is small"));
    [order.u32(kind).as_slice(), &length, &body, &length].concat()
}

/// A pcapng section header block.
pub fn section(order: Order) -> Vec<u8> {
    let body = [
        order.u32(0x1a2b_3c4d).as_slice(),
        &order.u16(1),
        &order.u16(0),
        &[0xff; 8],
    ]
    .concat();
    block(order, 0x0a0d_0d0a, &body)
}

/// A pcapng option.
pub fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut padded = value.to_vec();
    padded.resize(value.len().next_multiple_of(4), 0);
    [
        order.u16(code).as_slice(),
        &order.u16(u16::try_from(value.len()).expect("it is small")),
        &padded,
    ]
    .concat()
}

/// A pcapng interface description block.
pub fn interface(order: Order, link: u16, snap_length: u32, options: &[u8]) -> Vec<u8> {
    let body = [
        order.u16(link).as_slice(),
        &[0, 0],
        &order.u32(snap_length),
        options,
    ]
    .concat();
    block(order, 1, &body)
}

/// A pcapng enhanced packet block.
pub fn enhanced_packet(order: Order, interface: u32, ticks: u64, original: u32, data: &[u8]) -> Vec<u8> {
    let mut padded = data.to_vec();
    padded.resize(data.len().next_multiple_of(4), 0);
    let [high, low] = [ticks >> 32, ticks & 0xffff_ffff].map(|n| u32::try_from(n).expect("it is small"));
    let body = [
        order.u32(interface).as_slice(),
        &order.u32(high),
        &order.u32(low),
        &order.u32(u32::try_from(data.len()).expect("it is small")),
        &order.u32(original),
        &padded,
    ]
    .concat();
    block(order, 6, &body)
}
