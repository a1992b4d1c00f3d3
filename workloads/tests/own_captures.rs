//! Our own captures are what their catalogue says, and what a benchmark may expect of them.
//!
//! `pcaps/describe.py` wrote the catalogue with a decoder of its own. Flows are counted alike for TCP and UDP; ICMP errors are flows
//! to [`workloads::flows`] (as capture manifests count them) and none to the catalogue, so that ICMP flows differ.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use workloads::oracle;
use workloads::replay::{Replay, ReplayOptions};

fn pcaps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcaps")
}

/// The catalogue: file -> column -> value.
fn catalogue() -> Vec<HashMap<String, String>> {
    let text = std::fs::read_to_string(pcaps().join("catalogue.tsv"))
        .expect("the catalogue and its captures are there");
    let mut lines = text.lines();
    let columns: Vec<&str> = lines
        .next()
        .expect("the catalogue and its captures are there")
        .split('\t')
        .collect();
    let row = |line: &str| {
        columns
            .iter()
            .zip(line.split('\t'))
            .map(|(c, v)| ((*c).to_owned(), v.to_owned()))
            .collect()
    };
    lines.map(row).collect()
}

fn load(row: &HashMap<String, String>) -> Replay {
    Replay::load(
        &pcaps().join(&row["file"]),
        &ReplayOptions {
            strict: true,
            ..ReplayOptions::default()
        },
    )
    .expect("the catalogue and its captures are there")
}

#[test]
fn two_decoders_count_the_same() {
    let rows = catalogue();
    assert!(rows.len() >= 2);
    for row in rows {
        let flows = load(&row).facts.flows;
        let found = [
            ("packets", flows.packets),
            ("tcp_flows", flows.tcp_flows),
            ("udp_flows", flows.udp_flows),
            ("fragments", flows.fragments),
            ("vlan_packets", flows.vlan_packets),
        ];
        for (column, found) in found {
            assert_eq!(
                row[column].parse::<u64>().unwrap(),
                found,
                "{}: {column}",
                row["file"]
            );
        }
    }
}

#[test]
fn the_everyday_capture_is_as_large_and_mixed_as_promised() {
    let row = catalogue()
        .into_iter()
        .find(|row| row["file"].starts_with("everyday"))
        .unwrap();
    let replay = load(&row);
    let flows = replay.facts.flows;
    assert!(flows.flows >= 20_000 && flows.handshake_flows >= 5_000);
    assert!(
        flows.ipv6_flows * 10 > flows.flows,
        "a tenth of the flows at least is IPv6"
    );
    assert!(flows.fragments > 0 && flows.vlan_packets > 0 && flows.icmp_flows > 0 && flows.other_flows > 0);
    assert!(replay.facts.skipped.total() < 100, "headers were kept whole");
}

#[test]
fn their_traces_pass_the_reference() {
    for row in catalogue() {
        let (trace, counts) = load(&row).trace("own");
        oracle::check(&trace).unwrap();
        assert_eq!(counts.time_steps_back, 0, "{} is in time order", row["file"]);
        assert!(trace.expected.hits > 0 && trace.expected.removes > 0 && trace.expected.expired > 0);
    }
}
