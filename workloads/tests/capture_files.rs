//! Files built byte by byte: byte orders, resolutions, sections, compression, and where they break (K1).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod capture_common;

use std::io::{Cursor, Write};

use capture_common::{Order, block, enhanced_packet, interface, option, pcap_header, pcap_record, section};
use workloads::capture::{Capture, CaptureError, Compression, Format, LinkType, MAX_PACKET_BYTES, Problem};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const ORDERS: [Order; 2] = [Order::Big, Order::Little];

fn open(bytes: &[u8]) -> Result<Capture, CaptureError> {
    Capture::from_reader(Cursor::new(bytes.to_vec()))
}

/// Time, link type, length on the wire, captured bytes.
type Seen = (u64, u32, u32, Vec<u8>);

/// All frames, and the error that ended them.
fn read(bytes: &[u8]) -> (Vec<Seen>, Option<CaptureError>) {
    let mut capture = open(bytes).unwrap();
    let mut frames = Vec::new();
    while let Some(next) = capture.next_frame() {
        match next {
            Ok(frame) => {
                assert_eq!(frame.number, frames.len() as u64 + 1);
                frames.push((
                    frame.time_ns,
                    frame.link.0,
                    frame.original_len,
                    frame.data.to_vec(),
                ));
            }
            Err(error) => {
                assert!(capture.next_frame().is_none(), "K1: nothing after an error");
                return (frames, Some(error));
            }
        }
    }
    (frames, None)
}

fn place(error: Option<CaptureError>) -> (u64, u64, Problem) {
    match error {
        Some(CaptureError::Broken {
            packet,
            offset,
            problem,
        }) => (packet, offset, problem),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pcap_is_read_in_both_orders_and_resolutions() {
    for order in ORDERS {
        for (magic, nanoseconds) in [(MICROSECONDS, 7000), (NANOSECONDS, 7)] {
            let mut file = pcap_header(order, magic, 1);
            file.extend(pcap_record(order, 5, 7, 90, &[1, 2, 3]));
            file.extend(pcap_record(order, 6, 0, 4, &[]));
            let (frames, error) = read(&file);
            assert!(error.is_none(), "{error:?}");
            let expected = vec![
                (5_000_000_000 + nanoseconds, 1, 90, vec![1, 2, 3]),
                (6_000_000_000, 1, 4, vec![]),
            ];
            assert_eq!(frames, expected, "{order:?} {magic:x}");
        }
    }
}

#[test]
fn the_frame_check_sequence_bits_are_no_link_type() {
    let mut file = pcap_header(Order::Little, MICROSECONDS, 0x2400_0001);
    file.extend(pcap_record(Order::Little, 0, 0, 1, &[9]));
    assert_eq!(read(&file).0[0].1, 1);
}

#[test]
fn pcapng_interfaces_keep_their_own_clocks_and_link_types() {
    for order in ORDERS {
        let offset = match order {
            Order::Big => 100i64.to_be_bytes(),
            Order::Little => 100i64.to_le_bytes(),
        };
        let mut file = section(order);
        file.extend(interface(order, 1, 0, &[]));
        file.extend(interface(order, 101, 0, &option(order, 9, &[9])));
        // 2^-10 seconds, and 100 seconds later than it says.
        let binary = [option(order, 9, &[0x8a]), option(order, 14, &offset)].concat();
        file.extend(interface(order, 113, 0, &binary));
        file.extend(enhanced_packet(order, 0, 3_000_001, 60, &[1; 5]));
        file.extend(enhanced_packet(order, 1, (1 << 32) + 5, 60, &[2; 4]));
        file.extend(enhanced_packet(order, 2, 1024 + 512, 60, &[3; 1]));
        let (frames, error) = read(&file);
        assert!(error.is_none(), "{error:?}");
        let expected = vec![
            (3_000_001_000, 1, 60, vec![1; 5]),
            ((1 << 32) + 5, 101, 60, vec![2; 4]),
            (101_500_000_000, 113, 60, vec![3; 1]),
        ];
        assert_eq!(frames, expected, "{order:?}");
    }
}

#[test]
fn sections_of_both_orders_follow_each_other_and_forget_interfaces() {
    let mut file = Vec::new();
    for order in [Order::Little, Order::Big, Order::Little] {
        file.extend(section(order));
        file.extend(interface(order, 1, 0, &[]));
        file.extend(enhanced_packet(order, 0, 1, 60, &[7; 6]));
    }
    assert_eq!(read(&file).0.len(), 3);
    file.extend(section(Order::Big));
    let break_at = file.len() as u64;
    file.extend(enhanced_packet(Order::Big, 0, 1, 60, &[7; 6]));
    let (frames, error) = read(&file);
    assert_eq!(frames.len(), 3);
    let (packet, offset, problem) = place(error);
    assert_eq!((packet, offset), (4, break_at));
    assert!(
        matches!(
            problem,
            Problem::Interface {
                interface: 0,
                known: 0
            }
        ),
        "{problem}"
    );
}

#[test]
fn simple_and_obsolete_packets_are_read_and_unknown_blocks_passed_over() {
    let order = Order::Big;
    let mut file = section(order);
    file.extend(interface(order, 1, 3, &[]));
    file.extend(enhanced_packet(order, 0, 42, 60, &[1; 3]));
    // Longer than any block that is looked at.
    file.extend(block(order, 0x0bad_cafe, &vec![0xee; 2_000_000]));
    // Simple: five bytes on the wire, snap length three, the time of the frame before.
    file.extend(block(order, 3, &[0, 0, 0, 5, 1, 2, 3]));
    // Obsolete: interface, drops, time, captured, original.
    let obsolete = [
        [0, 0, 0, 9].as_slice(),
        &[0; 7],
        &[50],
        &[0, 0, 0, 2],
        &[0, 0, 0, 8],
        &[4, 5],
    ]
    .concat();
    file.extend(block(order, 2, &obsolete));
    let (frames, error) = read(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames[1], (42_000, 1, 5, vec![1, 2, 3]));
    assert_eq!(frames[2], (50_000, 1, 8, vec![4, 5]));
}

/// A capture program wrote an interface name in its own code page: pcap-file alone refuses the whole section.
#[test]
fn bad_options_on_interfaces_and_sections_do_no_harm() {
    let order = Order::Little;
    let bad = [
        option(order, 2, &[0xff, 0xfe]),
        option(order, 6, &[1]),
        option(order, 9, &[9]),
        vec![8, 0, 200, 0],
    ]
    .concat();
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &bad));
    file.extend(enhanced_packet(order, 0, 77, 60, &[1; 3]));
    let (frames, error) = read(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        frames[0].0, 77,
        "the resolution among the bad options is still read"
    );
}

#[test]
fn compression_is_recognised_by_its_first_bytes() {
    let mut file = pcap_header(Order::Little, MICROSECONDS, 1);
    for n in 0..1000 {
        file.extend(pcap_record(Order::Little, n, 0, 60, &[7; 60]));
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&file).unwrap();
    let zstd = zstd::encode_all(file.as_slice(), 3).unwrap();
    // Two zstd frames after a skippable one, two gzip members: concatenated archives are one stream.
    let (first, second) = file.split_at(5000);
    let frames = [
        vec![0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2],
        zstd::encode_all(first, 1).unwrap(),
        zstd::encode_all(second, 1).unwrap(),
    ]
    .concat();
    for (bytes, compression) in [
        (file.clone(), Compression::None),
        (gzip.finish().unwrap(), Compression::Gzip),
        (zstd, Compression::Zstd),
        (frames, Compression::Zstd),
    ] {
        let capture = open(&bytes).unwrap();
        assert_eq!(
            (capture.compression(), capture.format()),
            (compression, Format::Pcap)
        );
        let (frames, error) = read(&bytes);
        assert!(error.is_none(), "{compression:?}: {error:?}");
        assert_eq!(frames.len(), 1000, "{compression:?}");
    }
}

/// Cut anywhere, a file yields the packets before the cut, then says where the cut record began.
#[test]
fn a_cut_file_breaks_at_the_cut_record() {
    let order = Order::Little;
    let mut pcap = pcap_header(order, MICROSECONDS, 1);
    let mut pcapng = section(order);
    pcapng.extend(interface(order, 1, 0, &[]));
    let mut starts = [vec![pcap.len()], vec![pcapng.len()]];
    for n in 0..3 {
        pcap.extend(pcap_record(order, n, 0, 60, &[7; 20]));
        starts[0].push(pcap.len());
        pcapng.extend(enhanced_packet(order, 0, n.into(), 60, &[7; 20]));
        starts[1].push(pcapng.len());
    }
    for (file, starts) in [pcap, pcapng].iter().zip(&starts) {
        for cut in starts[0]..file.len() {
            let whole = starts.iter().filter(|&&s| s <= cut).count() - 1;
            let (frames, error) = read(&file[..cut]);
            assert_eq!(frames.len(), whole, "cut at {cut}");
            if starts.contains(&cut) {
                assert!(error.is_none(), "cut between records at {cut}: {error:?}");
                continue;
            }
            let (packet, offset, problem) = place(error);
            assert_eq!(
                (packet, offset),
                (whole as u64 + 1, starts[whole] as u64),
                "cut at {cut}"
            );
            assert!(
                matches!(problem, Problem::Truncated { .. }),
                "cut at {cut}: {problem}"
            );
        }
    }
}

/// A block that is passed over is consumed as it comes; the break is still where it began.
#[test]
fn a_cut_unknown_block_breaks_where_it_began() {
    let order = Order::Little;
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[]));
    let break_at = file.len() as u64;
    file.extend(block(order, 0x0bad_cafe, &vec![0; 3_000_000]));
    file.truncate(2_500_000);
    let (packet, offset, problem) = place(read(&file).1);
    assert_eq!((packet, offset), (1, break_at));
    assert!(matches!(problem, Problem::Truncated { .. }), "{problem}");
}

/// The offset counts uncompressed bytes, and a damaged archive breaks like a damaged file.
#[test]
fn a_cut_archive_breaks_at_the_cut_record() {
    let mut file = pcap_header(Order::Little, MICROSECONDS, 1);
    let mut noise = 1u32;
    for n in 0..5000 {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        file.extend(pcap_record(
            Order::Little,
            n,
            0,
            60,
            &noise.to_be_bytes().repeat(10),
        ));
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&file).unwrap();
    let zstd = zstd::encode_all(file.as_slice(), 3).unwrap();
    for archive in [gzip.finish().unwrap(), zstd] {
        let (frames, error) = read(&archive[..archive.len() / 2]);
        let (packet, offset, problem) = place(error);
        assert!(frames.len() < 5000);
        assert_eq!(packet, frames.len() as u64 + 1);
        assert_eq!(offset, 24 + 56 * frames.len() as u64);
        assert!(matches!(problem, Problem::Io(_)), "{problem}");
    }
}

#[test]
fn lengths_over_the_limit_are_errors_and_not_allocations() {
    let order = Order::Little;
    let limit = u32::try_from(MAX_PACKET_BYTES).unwrap();
    let mut at_limit = pcap_header(order, MICROSECONDS, 1);
    at_limit.extend(pcap_record(order, 0, 0, limit, &vec![1; MAX_PACKET_BYTES]));
    assert_eq!(read(&at_limit).0[0].3.len(), MAX_PACKET_BYTES);
    for length in [limit + 1, 1 << 31, u32::MAX] {
        let mut pcap = pcap_header(order, MICROSECONDS, 1);
        pcap.extend(pcap_record(order, 0, 0, 60, &[1; 10]));
        let break_at = pcap.len() as u64;
        pcap.extend([[0; 8], [0; 8]].concat());
        let field = pcap.len() - 8;
        pcap[field..field + 4].copy_from_slice(&order.u32(length));
        let (frames, error) = read(&pcap);
        let (packet, offset, problem) = place(error);
        assert_eq!((frames.len(), packet, offset), (1, 2, break_at));
        assert!(
            matches!(problem, Problem::TooLong { length: l, .. } if l == u64::from(length)),
            "{problem}"
        );

        let mut pcapng = section(order);
        pcapng.extend(interface(order, 1, 0, &[]));
        let break_at = pcapng.len() as u64;
        let mut packet_block = enhanced_packet(order, 0, 0, 60, &[1; 8]);
        packet_block[20..24].copy_from_slice(&order.u32(length));
        pcapng.extend(packet_block);
        let (packet, offset, problem) = place(read(&pcapng).1);
        assert_eq!((packet, offset), (1, break_at));
        assert!(matches!(problem, Problem::TooLong { .. }), "{problem}");
    }
}

#[test]
fn a_section_with_too_many_interfaces_is_refused() {
    let order = Order::Little;
    let mut file = section(order);
    let one = interface(order, 1, 0, &[]);
    for _ in 0..65_537 {
        file.extend(&one);
    }
    let (packet, _, problem) = place(read(&file).1);
    assert_eq!(packet, 1);
    assert!(matches!(problem, Problem::TooLong { .. }), "{problem}");
}

#[test]
fn a_block_whose_lengths_disagree_is_a_break() {
    let order = Order::Big;
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[]));
    file.extend(enhanced_packet(order, 0, 0, 60, &[1; 8]));
    let last = file.len() - 1;
    file[last] ^= 4;
    let (_, _, problem) = place(read(&file).1);
    assert!(matches!(problem, Problem::Format(_)), "{problem}");
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    for bytes in [b"".as_slice(), b"GET", b"\x7fELF\x02\x01\x01", b"# text\n"] {
        let error = open(bytes).err().unwrap();
        assert!(matches!(error, CaptureError::Unrecognised { .. }), "{error}");
    }
    assert!(open(b"").err().unwrap().to_string().contains("empty"));
    let inside = zstd::encode_all(b"no capture either".as_slice(), 1).unwrap();
    assert!(matches!(
        open(&inside).err(),
        Some(CaptureError::Unrecognised { .. })
    ));
    // A magic number and nothing else.
    let error = open(&NANOSECONDS.to_le_bytes()).err();
    assert_eq!(place(error).0, 1);
}

#[test]
fn link_types_are_named() {
    assert_eq!(LinkType(1).to_string(), "1 (ETHERNET)");
    assert_eq!(LinkType(253).to_string(), "253 (NETLINK)");
    assert_eq!(LinkType(60_000).to_string(), "60000");
}
