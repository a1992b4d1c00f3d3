//! Facts about a capture: packets and bidirectional flows.
//!
//! The definition reproduces the catalogue of captures that the project is tested against, column by column:
//!
//! * A **flow** is all packets between two unordered endpoints of one IP protocol, whatever the time between them. An
//!   endpoint is an address with: the port for TCP, UDP, UDP-Lite, SCTP and DCCP; the identifier for ICMP and `ICMPv6`
//!   requests and replies; nothing for all else. An ICMP error belongs to the hosts that exchange it, not to the packet
//!   it quotes. A packet whose transport header is malformed counts with port zero.
//! * A later **fragment** has no ports and belongs to no flow; all fragments are counted as packets and fragments.
//! * **Non-IP** is every frame that decoding left before it reached an IP header.
//! * **Peak flows** is the largest number of different flows with a packet in the last 60 seconds, in the order of the file.
//!
//! A flow here is not a connection of the tracker: a connection ends, by timeout or close, and the same endpoints may then
//! have another; ICMP errors and stray packets open none.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use structures::Tuple;
use structures::tuple::{Family, protocol};

use crate::capture::Frame;
use crate::decode::{Decoded, IpFacts, Layer, endpoints};
use crate::packet::{TcpFlags, Transport};

/// How long a flow counts as present after a packet, for [`FlowFacts::peak_flows_60s`].
const PRESENT_NS: u64 = 60_000_000_000;

/// What a capture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowFacts {
    /// Frames of any kind.
    pub packets: u64,
    /// Flows of any kind.
    pub flows: u64,
    /// TCP flows.
    pub tcp_flows: u64,
    /// UDP flows.
    pub udp_flows: u64,
    /// ICMP and `ICMPv6` flows.
    pub icmp_flows: u64,
    /// Flows of other protocols.
    pub other_flows: u64,
    /// Flows over IPv6.
    pub ipv6_flows: u64,
    /// Frames with an IPv6 header.
    pub ipv6_packets: u64,
    /// Fragments, first ones included.
    pub fragments: u64,
    /// Frames with a VLAN tag.
    pub vlan_packets: u64,
    /// Frames with an MPLS label.
    pub mpls_packets: u64,
    /// Frames without an IP header.
    pub non_ip_packets: u64,
    /// Frames captured shorter than they were.
    pub cut_packets: u64,
    /// Frames of which nothing was captured.
    pub empty_packets: u64,
    /// Most flows with a packet in the last 60 seconds.
    pub peak_flows_60s: u64,
    /// Flows of one packet.
    pub one_packet_flows: u64,
    /// Packets of the longest flow.
    pub max_packets_flow: u64,
    /// TCP flows with a SYN and a SYN-ACK.
    pub handshake_flows: u64,
    /// TCP flows with a SYN and no SYN-ACK.
    pub syn_only_flows: u64,
    /// Frames whose time is before that of the frame before them.
    pub time_steps_back: u64,
    /// Nanoseconds from the earliest to the latest frame.
    pub duration_ns: u64,
}

#[derive(Debug, Default)]
struct Flow {
    packets: u64,
    last_ns: u64,
    syn: bool,
    syn_ack: bool,
}

/// Counts [`FlowFacts`] frame by frame. Memory: one entry per flow and one per packet of the last 60 seconds.
#[derive(Debug, Default)]
pub struct FlowCounter {
    facts: FlowFacts,
    flows: HashMap<Tuple, Flow>,
    /// Packets of the last 60 seconds; those that are not their flow's last are passed over when they leave.
    recent: VecDeque<(u64, Tuple)>,
    present: u64,
    earliest_ns: Option<u64>,
    latest_ns: u64,
    previous_ns: u64,
}

impl FlowCounter {
    /// Counts a frame.
    pub fn add(&mut self, frame: &Frame<'_>, decoded: &Decoded) {
        self.clock(frame.time_ns);
        let captured = frame.data.len() as u64;
        let facts = &mut self.facts;
        facts.packets += 1;
        facts.empty_packets += u64::from(captured == 0);
        facts.cut_packets += u64::from(captured < u64::from(frame.original_len));
        facts.vlan_packets += u64::from(decoded.seen.vlan_tags > 0);
        facts.mpls_packets += u64::from(decoded.seen.mpls_labels > 0);
        facts.non_ip_packets += u64::from(matches!(
            decoded.packet,
            Err(e) if matches!(e.layer, Layer::Link | Layer::Vlan | Layer::Mpls | Layer::Pppoe)
        ));
        let Some(ip) = decoded.seen.ip else {
            return;
        };
        facts.fragments += u64::from(ip.fragment);
        facts.ipv6_packets += u64::from(ip.src.is_ipv6());
        if !ip.later_fragment {
            let (key, flags) = flow_of(decoded, &ip);
            self.count(key, flags);
        }
    }

    /// The facts over all frames so far.
    #[must_use]
    pub fn finish(self) -> FlowFacts {
        let mut facts = self.facts;
        facts.flows = self.flows.len() as u64;
        facts.duration_ns = self.latest_ns - self.earliest_ns.unwrap_or(self.latest_ns);
        for (key, flow) in &self.flows {
            match key.protocol() {
                protocol::TCP => facts.tcp_flows += 1,
                protocol::UDP => facts.udp_flows += 1,
                protocol::ICMP | protocol::ICMPV6 => facts.icmp_flows += 1,
                _ => facts.other_flows += 1,
            }
            facts.ipv6_flows += u64::from(key.family() == Family::V6);
            facts.one_packet_flows += u64::from(flow.packets == 1);
            facts.max_packets_flow = facts.max_packets_flow.max(flow.packets);
            facts.handshake_flows += u64::from(flow.syn && flow.syn_ack);
            facts.syn_only_flows += u64::from(flow.syn && !flow.syn_ack);
        }
        facts
    }

    fn clock(&mut self, time_ns: u64) {
        self.facts.time_steps_back += u64::from(time_ns < self.previous_ns);
        self.previous_ns = time_ns;
        self.earliest_ns = Some(self.earliest_ns.map_or(time_ns, |earliest| earliest.min(time_ns)));
        self.latest_ns = self.latest_ns.max(time_ns);
        // Frames leave by the latest time seen: a step back removes nothing.
        while let Some(&(then, key)) = self.recent.front()
            && self.latest_ns - then >= PRESENT_NS
        {
            self.recent.pop_front();
            self.present -= u64::from(self.flows.get(&key).is_some_and(|flow| flow.last_ns == then));
        }
    }

    fn count(&mut self, key: Tuple, flags: TcpFlags) {
        let now = self.latest_ns;
        let flow = match self.flows.entry(key) {
            Entry::Occupied(entry) => {
                let flow = entry.into_mut();
                self.present += u64::from(now - flow.last_ns >= PRESENT_NS);
                flow
            }
            Entry::Vacant(entry) => {
                self.present += 1;
                entry.insert(Flow::default())
            }
        };
        // Of several packets of a flow at one time, one entry is enough, and counts once when it leaves.
        if flow.packets == 0 || flow.last_ns != now {
            self.recent.push_back((now, key));
        }
        flow.packets += 1;
        flow.last_ns = now;
        if flags.contains(TcpFlags::SYN) {
            let acknowledges = flags.contains(TcpFlags::ACK);
            flow.syn_ack |= acknowledges;
            flow.syn |= !acknowledges;
        }
        self.facts.peak_flows_60s = self.facts.peak_flows_60s.max(self.present);
    }
}

/// The flow's key, the same for both directions, and the packet's TCP flags.
fn flow_of(decoded: &Decoded, ip: &IpFacts) -> (Tuple, TcpFlags) {
    let none = TcpFlags::default();
    let (tuple, flags) = match decoded.packet {
        Ok(packet) => match packet.transport {
            Transport::Tcp(flags) => (packet.tuple, flags),
            Transport::Udp => (packet.tuple, none),
            Transport::Other if packet.tuple.protocol() != protocol::GRE => (packet.tuple, none),
            Transport::IcmpRequest | Transport::IcmpReply => {
                // The identifier on both sides, so that request and answer mirror each other.
                let identifier = packet.tuple.src_port();
                (endpoints(ip, identifier, identifier), none)
            }
            _ => (endpoints(ip, 0, 0), none),
        },
        Err(_) => (endpoints(ip, 0, 0), none),
    };
    (tuple.min(tuple.mirrored()), flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;
    use crate::decode::decode;

    fn udp(time_ns: u64, src_port: u8) -> (u64, Vec<u8>) {
        let mut bytes = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend([0, src_port, 0, 80, 0, 8, 0, 0]);
        (time_ns, bytes)
    }

    fn facts(frames: &[(u64, Vec<u8>)]) -> FlowFacts {
        let mut counter = FlowCounter::default();
        for (time_ns, data) in frames {
            let frame = Frame {
                number: 1,
                time_ns: *time_ns,
                link: LinkType(101),
                original_len: 28,
                data,
            };
            counter.add(&frame, &decode(&frame));
        }
        counter.finish()
    }

    #[test]
    fn a_flow_is_present_for_sixty_seconds_after_its_last_packet() {
        let peak = |second_ns| facts(&[udp(0, 1), udp(second_ns, 2)]).peak_flows_60s;
        assert_eq!(peak(PRESENT_NS - 1), 2);
        assert_eq!(peak(PRESENT_NS), 1);
        // Seen again, it is present again, once.
        let again = facts(&[
            udp(0, 1),
            udp(1, 1),
            udp(PRESENT_NS, 1),
            udp(PRESENT_NS + 1, 2),
            udp(2 * PRESENT_NS, 3),
        ]);
        assert_eq!(
            (again.peak_flows_60s, again.flows, again.max_packets_flow),
            (2, 3, 3)
        );
    }

    #[test]
    fn time_and_duration_follow_the_frames() {
        let facts = facts(&[udp(500, 1), udp(100, 1), udp(300, 1)]);
        assert_eq!(
            (facts.time_steps_back, facts.duration_ns, facts.flows),
            (1, 400, 1)
        );
        assert_eq!(super::FlowCounter::default().finish(), FlowFacts::default());
    }
}
