#!/usr/bin/python3
"""Measures what is in a capture: packets, flows, handshakes, retransmissions, errors, fragments, lifetimes.

usage: describe.py CAPTURE...          a Markdown table of facts for each
       describe.py --tsv CAPTURE...    lines for catalogue.tsv, with the header line
       describe.py --check             measures the files of catalogue.tsv anew; exit code 1 where they differ

Reads classic pcap (Ethernet; micro- or nanoseconds), plain or .zst (by the program zstd). Standard library only.

What counts as what:
  flow      unordered pair of (address, port), plus IP protocol; VLAN tags are ignored. TCP, UDP and SCTP have ports;
            ICMP and ICMPv6 echo use the identifier as both ports; other IP protocols have port 0.
            One tuple used twice is one flow.
  no flow   ICMP errors (they belong to the flow they quote), neighbour discovery, multicast listener reports, ARP.
  fragments only a first fragment can begin a flow; later ones count towards it, in whatever order they come.
  handshake SYN, the answering SYN/ACK, and then an ACK of the one who began.
  peak      the most flows that have had a packet in the last 60 s.
"""

import argparse
import collections
import hashlib
import os
import struct
import subprocess
import sys
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
CATALOGUE = os.path.join(HERE, "catalogue.tsv")
COLUMNS = (
    "file sha256 packets flows tcp_flows udp_flows icmp_flows other_flows ipv6_flows fragments vlan_packets duration_s attack".split()
)
ATTACKS = {"flood.pcap.zst": "syn-flood+port-scan"}
IDLE_NS = 60 * 10**9
FIN, SYN, RST, ACK = 1, 2, 4, 16
TCP, UDP, ICMP, ICMP6, SCTP, GRE = 6, 17, 1, 58, 132, 47
PROTOCOLS = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP", ICMP6: "ICMPv6", SCTP: "SCTP", GRE: "GRE"}
ERRORS4 = {
    (3, 0): "network unreachable", (3, 1): "host unreachable", (3, 2): "protocol unreachable", (3, 3): "port unreachable",
    (3, 4): "fragmentation needed", (3, 9): "network prohibited", (3, 10): "host prohibited", (3, 13): "filtered",
    (11, 0): "time exceeded in transit", (11, 1): "reassembly time exceeded",
}  # fmt: skip
ERRORS6 = {
    (1, 0): "v6 no route", (1, 1): "v6 prohibited", (1, 3): "v6 address unreachable", (1, 4): "v6 port unreachable",
    (2, 0): "v6 packet too big", (3, 0): "v6 hop limit exceeded", (3, 1): "v6 reassembly time exceeded",
    (4, 1): "v6 unknown next header",
}  # fmt: skip


@dataclass
class Flow:
    first_ns: int
    last_ns: int
    opener: tuple  # endpoint of the first packet
    v6: bool
    packets: int = 0
    answered: bool = False
    active: list = field(default_factory=list)  # [begin, end] spans without a gap of IDLE_NS
    # TCP
    syn_from: tuple | None = None
    syn_seqs: collections.Counter = field(default_factory=collections.Counter)
    syn_ack: bool = False
    acked: bool = False
    only_syn: bool = True
    fins: set = field(default_factory=set)
    reset: bool = False
    next_seq: dict = field(default_factory=dict)


class Facts:
    def __init__(self) -> None:
        self.count: collections.Counter = collections.Counter()
        self.errors: collections.Counter = collections.Counter()
        self.others: collections.Counter = collections.Counter()
        self.flows: dict[tuple, Flow] = {}
        self.first_of: dict[tuple, tuple] = {}  # fragment key -> flow key
        self.later: list[tuple] = []  # (fragment key, time)
        self.addresses: set[bytes] = set()
        self.begin_ns = self.end_ns = 0

    # ---- one packet ----

    def frame(self, t: int, data: bytes, length: int) -> None:
        c = self.count
        c["packets"] += 1
        c["bytes"] += length
        self.begin_ns = self.begin_ns or t
        c["time goes back"] += t < self.end_ns
        self.end_ns = max(self.end_ns, t)
        ethertype, at = struct.unpack_from("!H", data, 12)[0], 14
        if ethertype == 0x8100:
            c["vlan"] += 1
            ethertype, at = struct.unpack_from("!H", data, 16)[0], 18
        if ethertype == 0x0800:
            self.ip4(t, data, at)
        elif ethertype == 0x86DD:
            self.ip6(t, data, at)
        else:
            c["not IP"] += 1

    def ip4(self, t: int, d: bytes, at: int) -> None:
        self.count["ipv4"] += 1
        total, ident, fragment = struct.unpack_from("!HHH", d, at + 2)
        head, protocol = (d[at] & 15) * 4, d[at + 9]
        source, target = d[at + 12 : at + 16], d[at + 16 : at + 20]
        key = None
        if fragment & 0x3FFF:
            self.count["fragments4"] += 1
            key = (source, target, ident, protocol)
        self.transport(t, d, at + head, total - head, source, target, protocol, key, fragment & 0x1FFF)

    def ip6(self, t: int, d: bytes, at: int) -> None:
        self.count["ipv6"] += 1
        payload, following = struct.unpack_from("!HB", d, at + 4)
        source, target = d[at + 8 : at + 24], d[at + 24 : at + 40]
        at, key, offset = at + 40, None, 0
        while following in (0, 43, 44, 60):
            if following == 44:
                offset = struct.unpack_from("!H", d, at + 2)[0] >> 3
                self.count["fragments6"] += 1
                key = (source, target, d[at + 4 : at + 8], 0)
                size = 8
            else:
                size = (d[at + 1] + 1) * 8
            following, at, payload = d[at], at + size, payload - size
            if offset:
                break
        self.transport(t, d, at, payload, source, target, following, key, offset)

    def transport(self, t, d, at, length, source, target, protocol, fragment, offset) -> None:
        self.addresses.update((source, target))
        if fragment and offset:
            self.later.append((fragment, t))
            return
        v6, left = len(source) == 16, min(length, len(d) - at)
        if left < {TCP: 20, UDP: 8, SCTP: 12, ICMP: 8, ICMP6: 8}.get(protocol, 0):
            self.count["too short for their protocol"] += 1
            return
        if protocol in (TCP, UDP, SCTP):
            sport, dport = struct.unpack_from("!HH", d, at)
        elif (protocol == ICMP and not v6 and d[at] in (0, 8)) or (protocol == ICMP6 and v6 and d[at] in (128, 129)):
            sport = dport = struct.unpack_from("!H", d, at + 4)[0]
        elif protocol == ICMP and not v6:
            kind = (d[at], d[at + 1])
            self.errors[ERRORS4.get(kind, f"type {kind[0]} code {kind[1]}")] += 1
            return
        elif protocol == ICMP6 and v6:
            kind = (d[at], d[at + 1])
            if kind[0] < 128:
                self.errors[ERRORS6.get(kind, f"v6 type {kind[0]} code {kind[1]}")] += 1
            else:
                self.count["neighbour discovery and multicast listening"] += 1
            return
        elif protocol == 2:
            self.count["neighbour discovery and multicast listening"] += 1
            return
        else:
            sport = dport = 0
        one, two = (source, sport), (target, dport)
        key = (protocol, one, two) if one <= two else (protocol, two, one)
        flow = self.flows.get(key)
        if flow is None:
            flow = self.flows[key] = Flow(t, t, one, v6)
        self.touch(flow, t)
        flow.answered = flow.answered or one != flow.opener
        if fragment:
            self.first_of[fragment] = key
        if protocol == TCP:
            self.tcp(flow, one, d, at, length)

    def touch(self, flow: Flow, t: int) -> None:
        flow.packets += 1
        flow.last_ns = max(flow.last_ns, t)
        if flow.active and t - flow.active[-1][1] < IDLE_NS:
            flow.active[-1][1] = max(t, flow.active[-1][1])
        else:
            flow.active.append([t, t])

    def tcp(self, flow: Flow, sender: tuple, d: bytes, at: int, length: int) -> None:
        seq, _, offset, flags = struct.unpack_from("!IIBB", d, at + 4)
        c = self.count
        kind = flags & (SYN | ACK)
        if kind == SYN:
            c["syn"] += 1
            c["syn again"] += flow.syn_seqs[(sender, seq)] > 0
            flow.syn_seqs[(sender, seq)] += 1
            flow.syn_from = flow.syn_from or sender
        else:
            flow.only_syn = False
        if kind == SYN | ACK:
            c["syn/ack"] += 1
            flow.syn_ack = flow.syn_ack or flow.syn_from not in (None, sender)
        elif kind == ACK and flow.syn_ack and sender == flow.syn_from and not flags & RST:
            flow.acked = True
        if flags & RST:
            c["rst"] += 1
            flow.reset = True
        if flags & FIN:
            flow.fins.add(sender)
        data = length - (offset >> 4) * 4
        if data > 0 and not flags & SYN:
            c["tcp data"] += 1
            end = (seq + data) & 0xFFFFFFFF
            seen = flow.next_seq.get(sender)
            if seen is not None and (seen - end) & 0xFFFFFFFF < 1 << 31 and data > 1:  # a 1-byte probe is keep-alive
                c["tcp data again"] += 1
            else:
                flow.next_seq[sender] = end

    # ---- all packets seen ----

    def finish(self) -> None:
        for fragment, t in self.later:
            key = self.first_of.get(fragment)
            if key is None:
                self.count["fragments without a first one"] += 1
            else:
                flow = self.flows[key]
                flow.packets += 1
                flow.last_ns = max(flow.last_ns, t)

    def of(self, *protocols: int) -> list[Flow]:
        return [f for k, f in self.flows.items() if k[0] in protocols]

    def other_flows(self) -> int:
        return sum(k[0] not in (TCP, UDP, ICMP, ICMP6) for k in self.flows)

    def duration_s(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9

    def peak(self) -> int:
        edges = []
        for flow in self.flows.values():
            for begin, end in flow.active:
                edges += [(begin, 1), (end + IDLE_NS, -1)]
        live = peak = 0
        for _, step in sorted(edges):
            live += step
            peak = max(peak, live)
        return peak


def open_capture(path: str) -> bytes:
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout
    with open(path, "rb") as f:
        return f.read()


def measure(raw: bytes) -> Facts:
    magic = raw[:4]
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    unit = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}.get(struct.unpack(order + "I", magic)[0])
    link = struct.unpack_from(order + "I", raw, 20)[0]
    if unit is None or link != 1:
        sys.exit("not a classic pcap file of Ethernet frames")
    facts, at, record = Facts(), 24, struct.Struct(order + "IIII")
    while at + 16 <= len(raw):
        seconds, fraction, kept, length = record.unpack_from(raw, at)
        facts.frame(seconds * 10**9 + fraction * unit, raw[at + 16 : at + 16 + kept], length)
        facts.count["longest record"] = max(facts.count["longest record"], kept)
        at += 16 + kept
    facts.finish()
    return facts


def percentiles(values: list, shares=(0.1, 0.5, 0.9, 0.99, 1.0)) -> list:
    values = sorted(values) or [0]
    return [values[min(len(values) - 1, int(len(values) * s))] for s in shares]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_bytes(path: str) -> bytes:
    with open(path, "rb") as f:
        return f.read()


def rows(path: str, raw: bytes, facts: Facts):
    """(what, value) pairs of the Markdown table."""
    c, flows = facts.count, list(facts.flows.values())
    tcp = facts.of(TCP)
    opened = [f for f in tcp if f.syn_from]
    done = [f for f in tcp if f.acked]
    packed = file_bytes(path)
    yield "file", f"{os.path.basename(path)}, {len(packed):,} bytes ({len(raw):,} uncompressed)"
    yield "sha256", f"`{sha256(packed)}`"
    yield "sha256 uncompressed", f"`{sha256(raw)}`"
    yield "packets", f"{c['packets']:,} ({c['bytes']:,} bytes on the wire)"
    yield "duration", f"{facts.duration_s():.1f} s"
    yield "longest record", f"{c['longest record']} bytes"
    yield "IPv4 / IPv6 / not IP", f"{c['ipv4']:,} / {c['ipv6']:,} / {c['not IP']:,} packets"
    yield "VLAN-tagged packets", f"{c['vlan']:,}"
    yield "fragments", f"{c['fragments4']:,} IPv4, {c['fragments6']:,} IPv6 ({c['fragments without a first one']} without a first one)"
    yield "distinct addresses", f"{sum(len(a) == 4 for a in facts.addresses):,} IPv4, {sum(len(a) == 16 for a in facts.addresses):,} IPv6"
    named = collections.Counter(PROTOCOLS.get(k[0], "other IP") for k in facts.flows)
    yield "flows", f"{len(flows):,}: " + ", ".join(f"{n} {v:,}" for n, v in named.most_common())
    yield "flows over IPv6", f"{sum(f.v6 for f in flows):,} ({100 * sum(f.v6 for f in flows) / max(1, len(flows)):.0f} %)"
    yield "flows with packets both ways", f"{sum(f.answered for f in flows):,}"
    yield "peak of concurrent flows (60 s idle)", f"{facts.peak():,}"
    yield "packets per flow: p10, p50, p90, p99, max", ", ".join(f"{v:,}" for v in percentiles([f.packets for f in flows]))
    yield "flows of one packet", f"{sum(f.packets == 1 for f in flows):,}"
    lives = [(f.last_ns - f.first_ns) / 1e9 for f in flows]
    yield "flow lifetime: p10, p50, p90, p99, max", ", ".join(f"{v:.3g} s" for v in percentiles(lives))
    yield "TCP packets per handshaken flow: p10, p50, p90, p99, max", ", ".join(f"{v:,}" for v in percentiles([f.packets for f in done]))
    lives = [(f.last_ns - f.first_ns) / 1e9 for f in done]
    yield "TCP lifetime: p10, p50, p90, p99, max", ", ".join(f"{v:.3g} s" for v in percentiles(lives))
    yield "handshakes completed", f"{len(done):,}"
    yield "picked up mid-stream (no SYN seen)", f"{len(tcp) - len(opened):,}"
    yield "SYN without any TCP answer", f"{sum(f.only_syn for f in tcp):,}"
    yield "refused (RST and no SYN/ACK)", f"{sum(f.reset and not f.syn_ack for f in opened):,}"
    yield "half-open (SYN/ACK, never acknowledged)", f"{sum(f.syn_ack and not f.acked for f in opened):,}"
    yield "established, then reset", f"{sum(f.reset for f in done):,}"
    yield "established, FIN both ways", f"{sum(len(f.fins) == 2 for f in done):,}"
    yield "established, never closed in the capture", f"{sum(not f.fins and not f.reset for f in done):,}"
    yield "SYN / of these retransmitted", f"{c['syn']:,} / {c['syn again']:,}"
    yield "SYN/ACK packets, RST packets", f"{c['syn/ack']:,}, {c['rst']:,}"
    yield "TCP data segments / seen before", f"{c['tcp data']:,} / {c['tcp data again']:,}"
    yield "ICMP errors", ", ".join(f"{n} {v:,}" for n, v in facts.errors.most_common()) or "none"
    yield "neighbour discovery, multicast listening", f"{c['neighbour discovery and multicast listening']:,} packets"
    yield "too short for their IP protocol (probes of a protocol scan)", f"{c['too short for their protocol']:,} packets"
    yield "timestamps that go back", f"{c['time goes back']:,}"


def catalogue_line(path: str, facts: Facts) -> list[str]:
    name, c = os.path.basename(path), facts.count
    numbers = [
        c["packets"], len(facts.flows), len(facts.of(TCP)), len(facts.of(UDP)), len(facts.of(ICMP, ICMP6)), facts.other_flows(),
        sum(f.v6 for f in facts.flows.values()), c["fragments4"] + c["fragments6"], c["vlan"], f"{facts.duration_s():.3f}",
    ]  # fmt: skip
    return [name, sha256(file_bytes(path)), *map(str, numbers), ATTACKS.get(name, "none")]


def check() -> int:
    with open(CATALOGUE, encoding="ascii") as f:
        head, *lines = [line.rstrip("\n").split("\t") for line in f]
    wrong = head != COLUMNS
    for line in lines:
        path = os.path.join(HERE, line[0])
        found = catalogue_line(path, measure(open_capture(path)))
        for name, said, is_now in zip(COLUMNS, line, found, strict=True):
            if said != is_now:
                wrong = True
                print(f"{line[0]}: {name}: catalogue.tsv says {said}, the file {is_now}", file=sys.stderr)
    return int(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--tsv", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("captures", nargs="*")
    args = parser.parse_args()
    if args.check:
        return check()
    if not args.captures:
        parser.error("no capture named")
    if args.tsv:
        print("\t".join(COLUMNS))
    for path in args.captures:
        raw = open_capture(path)
        facts = measure(raw)
        if args.tsv:
            print("\t".join(catalogue_line(path, facts)))
            continue
        print(f"### {os.path.basename(path)}\n\n| fact | value |\n|---|---|")
        for what, value in rows(path, raw, facts):
            print(f"| {what} | {value} |")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
