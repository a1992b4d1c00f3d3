//! Hostile input: no bytes make reading, decoding, counting or tracking panic or allocate without bound (K2, D1).

mod capture_common;

use std::io::Cursor;
use std::sync::OnceLock;

use capture_common::{
    Order, all_captures, enhanced_packet, interface, option, pcap_header, pcap_record, section,
};
use proptest::prelude::*;
use workloads::capture::{Capture, Frame, LinkType};
use workloads::decode::{decode, decodes};
use workloads::flows::FlowCounter;
use workloads::track::{TrackOptions, Tracker};

/// Reads, decodes, counts and tracks; returns how many frames there were.
fn digest(bytes: &[u8]) -> u64 {
    let Ok(mut capture) = Capture::from_reader(Cursor::new(bytes.to_vec())) else {
        return 0;
    };
    let mut tracker = Tracker::new(TrackOptions::default());
    let mut counter = FlowCounter::default();
    let mut frames = 0;
    while let Some(next) = capture.next_frame() {
        match next {
            Ok(frame) => {
                frames += 1;
                let decoded = decode(&frame);
                counter.add(&frame, &decoded);
                match decoded.packet {
                    Ok(packet) => tracker.packet(&packet),
                    Err(error) => assert!(error.offset <= frame.data.len(), "{error}"),
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert_eq!(counter.finish().packets, frames);
    let trace = tracker.finish();
    assert!(trace.ops.len() as u64 <= 4 * frames);
    frames
}

/// Small real captures of every kind, or made-up ones where the shared ones are absent.
fn seeds() -> &'static Vec<Vec<u8>> {
    const LARGEST_BYTES: u64 = 40_000;
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let mut seeds = vec![made_up(Order::Big), made_up(Order::Little), made_up_pcap()];
        if let Some(folder) = capture_common::shared_captures() {
            for path in all_captures(&folder) {
                if path.metadata().expect("it was listed").len() < LARGEST_BYTES {
                    seeds.push(std::fs::read(path).expect("it was listed"));
                }
            }
        }
        seeds
    })
}

fn some_frame() -> Vec<u8> {
    let mut frame = vec![0xee; 12];
    frame.extend([0x81, 0, 0, 5, 0x08, 0, 0x45, 0, 0, 48, 0, 1, 0, 0, 64, 6, 0, 0]);
    frame.extend([
        10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2,
    ]);
    frame.extend([0; 14]);
    frame
}

fn made_up(order: Order) -> Vec<u8> {
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &option(order, 9, &[9])));
    for n in 0..5 {
        file.extend(enhanced_packet(order, 0, n * 1000, 64, &some_frame()));
    }
    file
}

fn made_up_pcap() -> Vec<u8> {
    let mut file = pcap_header(Order::Little, 0xa1b2_c3d4, 1);
    for n in 0..5 {
        file.extend(pcap_record(Order::Little, n, 0, 64, &some_frame()));
    }
    file
}

fn frames() -> &'static Vec<(u32, Vec<u8>)> {
    static FRAMES: OnceLock<Vec<(u32, Vec<u8>)>> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let mut frames = Vec::new();
        for seed in seeds() {
            let Ok(mut capture) = Capture::from_reader(Cursor::new(seed.clone())) else {
                continue;
            };
            let mut taken = 0;
            while let Some(Ok(frame)) = capture.next_frame() {
                if decodes(frame.link) && taken < 50 {
                    frames.push((frame.link.0, frame.data.to_vec()));
                    taken += 1;
                }
            }
        }
        frames
    })
}

/// A change to bytes: where (as a fraction of the length), and what.
type Change = (prop::sample::Index, u8);

fn change(bytes: &mut [u8], changes: &[Change]) {
    for (at, value) in changes {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
    }
}

fn look(link: u32, data: &[u8], original_len: u32) {
    let frame = Frame {
        number: 1,
        time_ns: 0,
        link: LinkType(link),
        original_len,
        data,
    };
    let decoded = decode(&frame);
    FlowCounter::default().add(&frame, &decoded);
    if let Err(error) = decoded.packet {
        assert!(error.offset <= data.len(), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn random_bytes_are_no_trouble(
        link in prop::sample::select(vec![0u32, 1, 12, 14, 101, 108, 113, 228, 229, 276, 999]),
        data in prop::collection::vec(any::<u8>(), 0..200),
        original_len in any::<u32>(),
    ) {
        look(link, &data, original_len);
    }

    #[test]
    fn changed_and_cut_frames_are_no_trouble(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(any::<Change>(), 0..6),
        cut in any::<prop::sample::Index>(),
        longer in 0u32..3000,
    ) {
        let (link, mut data) = which.get(frames()).clone();
        change(&mut data, &changes);
        data.truncate(cut.index(data.len() + 1));
        look(link, &data, u32::try_from(data.len()).unwrap() + longer);
    }

    /// Every way of ending and every field of a length is reached: changes favour the first bytes of the file.
    #[test]
    fn changed_and_cut_files_are_no_trouble(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(any::<Change>(), 0..8),
        early in prop::collection::vec((0usize..200, any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = which.get(seeds()).clone();
        change(&mut file, &changes);
        for (at, value) in early {
            if let Some(byte) = file.get_mut(at) {
                *byte = value;
            }
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len() + 1));
        }
        digest(&file);
    }

    #[test]
    fn files_of_random_bytes_behind_a_magic_number_are_no_trouble(
        magic in prop::sample::select(vec![
            0xa1b2_c3d4u32, 0xd4c3_b2a1, 0xa1b2_3c4d, 0x0a0d_0d0a, 0x1f8b_0800, 0x28b5_2ffd, 0x502a_4d18,
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        digest(&[magic.to_be_bytes().as_slice(), &rest].concat());
    }
}

/// Every shared capture goes through the whole path.
#[test]
fn every_shared_capture_gives_an_answer() {
    let Some(folder) = capture_common::shared_captures() else {
        return;
    };
    let frames: u64 = all_captures(&folder)
        .iter()
        .map(|path| digest(&std::fs::read(path).expect("it was listed")))
        .sum();
    assert!(frames > 250_000, "only {frames} frames in all");
}

/// An archive of a few kilobytes that unpacks to one block of a hundred megabytes is passed over, never held.
#[test]
fn an_archive_of_nothing_ends() {
    let order = Order::Little;
    let mut file = section(order);
    file.extend(order.u32(0x0bad_cafe));
    file.extend(order.u32(100_000_000));
    file.resize(100_000_000, 0);
    let bomb = zstd::encode_all(file.as_slice(), 1).unwrap();
    assert!(bomb.len() < 100_000);
    assert_eq!(digest(&bomb), 0);
}
