//! Captures by other people: packets and flows must be what the catalogue says, counted by another program.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod capture_common;

use std::collections::HashMap;
use std::path::Path;

use capture_common::shared_captures;
use workloads::capture::{Capture, CaptureError};
use workloads::decode::{SkipCounts, decode};
use workloads::flows::{FlowCounter, FlowFacts};

/// Facts by the catalogue's column names, with its parse status.
fn columns(facts: &FlowFacts) -> Vec<(&'static str, u64)> {
    vec![
        ("packets", facts.packets),
        ("flows", facts.flows),
        ("truncated_pkts", facts.cut_packets),
        ("peak_flows_60s", facts.peak_flows_60s),
        ("max_pkts_flow", facts.max_packets_flow),
        ("one_pkt_flows", facts.one_packet_flows),
        ("tcp_flows", facts.tcp_flows),
        ("udp_flows", facts.udp_flows),
        ("icmp_flows", facts.icmp_flows),
        ("other_flows", facts.other_flows),
        ("ipv6_flows", facts.ipv6_flows),
        ("ipv6_pkts", facts.ipv6_packets),
        ("syn_only_flows", facts.syn_only_flows),
        ("handshake_flows", facts.handshake_flows),
        ("fragments", facts.fragments),
        ("vlan_pkts", facts.vlan_packets),
        ("mpls_pkts", facts.mpls_packets),
        ("zero_len_pkts", facts.empty_packets),
        ("ts_backwards", facts.time_steps_back),
        ("non_ip_pkts", facts.non_ip_packets),
    ]
}

/// Where this decoder deliberately counts otherwise: file, columns, reason. Applies to edge cases only.
const EXCEPTIONS: [(&str, &[&str], &str); 4] = [
    (
        "edge/frag-ip-garbage.pcap",
        &[
            "flows",
            "tcp_flows",
            "one_pkt_flows",
            "max_pkts_flow",
            "syn_only_flows",
            "peak_flows_60s",
        ],
        "text where TCP headers should be: those with a data offset below 20 are malformed here and count without ports; \
         the catalogue reads ports and flags all the same",
    ),
    (
        "edge/fuzz-2020-02-16-11740.pcapng",
        &["flows", "one_pkt_flows", "other_flows", "ipv6_flows", "ipv6_pkts"],
        "one fuzzed frame has EtherType IPv4 and version 6: malformed here as in Linux, IPv6 in the catalogue",
    ),
    (
        "edge/time-babel-oobr.pcap",
        &["peak_flows_60s"],
        "fuzzed times span 68 years back and forth: what 'the last 60 seconds' are depends on how steps back are taken",
    ),
    (
        "edge/invalid-or-unsupported.pcap",
        &["peak_flows_60s"],
        "times jump by years back and forth, as above",
    ),
];

type Row = HashMap<String, String>;

fn manifest(folder: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned));
    let header: Vec<String> = lines.next().unwrap().collect();
    lines
        .map(|fields| header.iter().cloned().zip(fields).collect())
        .collect()
}

struct Counted {
    facts: FlowFacts,
    skipped: SkipCounts,
    decoded: u64,
    interfaces: u64,
    broken: Option<CaptureError>,
}

fn count(path: &Path) -> Result<Counted, CaptureError> {
    let mut capture = Capture::open(path)?;
    let mut counter = FlowCounter::default();
    let mut counted = Counted {
        facts: FlowFacts::default(),
        skipped: SkipCounts::default(),
        decoded: 0,
        interfaces: 0,
        broken: None,
    };
    while let Some(frame) = capture.next_frame() {
        match frame {
            Ok(frame) => {
                let decoded = decode(&frame);
                counter.add(&frame, &decoded);
                match decoded.packet {
                    Ok(_) => counted.decoded += 1,
                    Err(error) => counted.skipped.add(error.reason),
                }
            }
            Err(error) => counted.broken = Some(error),
        }
    }
    assert!(capture.next_frame().is_none(), "frames after the end");
    counted.interfaces = capture.interfaces();
    counted.facts = counter.finish();
    Ok(counted)
}

/// Every column of every capture agrees, but for the exceptions above, and those still differ.
#[test]
fn packets_and_flows_are_those_of_the_catalogue() {
    let Some(folder) = shared_captures() else { return };
    let mut wrong = Vec::new();
    let mut files = 0;
    for row in manifest(&folder) {
        let (file, status) = (row["file"].as_str(), row["parse_status"].as_str());
        if file == "edge/modified-kuznetzov-magic.pcap" {
            continue; // Refused: see `the_modified_format_is_named`.
        }
        let counted = count(&folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        files += 1;
        assert_eq!(
            counted.broken.is_some(),
            status != "ok",
            "{file}: {:?}",
            counted.broken
        );
        assert_eq!(
            counted.decoded + counted.skipped.total(),
            counted.facts.packets,
            "{file}: D3, every frame is a packet or skipped for one reason"
        );
        let excepted = EXCEPTIONS.iter().find(|e| e.0 == file).map_or(&[][..], |e| e.1);
        for (column, found) in columns(&counted.facts) {
            let agrees = row[column] == found.to_string();
            if agrees == excepted.contains(&column) {
                wrong.push(format!(
                    "{file} {column}: catalogue {}, found {found}",
                    row[column]
                ));
            }
        }
        if status == "ok" && row["format"].starts_with("pcapng") {
            assert_eq!(
                counted.interfaces.to_string(),
                row["interfaces"],
                "{file}: interfaces"
            );
        }
        let seconds = counted.facts.duration_ns as f64 / 1e9;
        if row["ts_backwards"] == "0" {
            assert_eq!(format!("{seconds:.1}"), row["duration_s"], "{file}: duration");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(files > 45, "only {files} files");
}

#[test]
fn the_two_captures_of_the_show_have_their_packets_and_flows() {
    let Some(folder) = shared_captures() else { return };
    for (file, packets, flows) in [
        ("westermo-extended-right.pcap", 35_124, 15_638),
        ("dnsstats-nsd-live.pcapng", 21_804, 9_222),
    ] {
        let facts = count(&folder.join(file)).unwrap().facts;
        assert_eq!((facts.packets, facts.flows), (packets, flows), "{file}");
    }
}

#[test]
fn the_modified_format_is_named() {
    let Some(folder) = shared_captures() else { return };
    let error = count(&folder.join("edge/modified-kuznetzov-magic.pcap"))
        .err()
        .unwrap();
    assert!(matches!(error, CaptureError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("a1b2cd34"), "{error}");
}
