#!/usr/bin/python3
"""The users: some hundred client addresses that look up names, browse, keep push connections, fetch mail, ask the time,
swap with peers, talk, and now and then reach for something that is closed, filtered or not there.

usage: crowd.py desk|phone|noise SECONDS SEED [LOAD]

Runs inside a namespace whose client prefixes are local (AnyIP), so every socket binds its own source address and the
kernel does the rest. LOAD scales how often users act (1). `noise` is the other side: strangers of the internet that
knock at the clients' addresses. Ends by itself after SECONDS.
"""

import asyncio
import contextlib
import math
import random
import socket
import ssl
import struct
import sys
import time

import plan

CONNECT_TIMEOUT_S = 12.0
READ_TIMEOUT_S = 40.0
DNS_TIMEOUT_S = 3.0
LINGER_ABORT = struct.pack("ii", 1, 0)
IP_BIND_ADDRESS_NO_PORT = 24  # Linux value; lets connect() choose the port, so that ports are unique per destination

ROLE = sys.argv[1] if len(sys.argv) > 1 else ""
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
RNG = random.Random(f"{ROLE} {sys.argv[3] if len(sys.argv) > 3 else 1}")
LOAD = float(sys.argv[4]) if len(sys.argv) > 4 else 1.0
START = time.monotonic()

TLS = ssl.create_default_context()
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE


def elapsed() -> float:
    return time.monotonic() - START


def pace() -> float:
    """How busy the crowd is now: a slow swell, and one rush that begins at 55 % of the time."""
    t = elapsed()
    swell = 1.0 + 0.35 * math.sin(2 * math.pi * t / 140.0)
    since_rush = t - 0.55 * SECONDS
    rush = 1.8 * math.exp(-since_rush / 15.0) if since_rush > 0 else 0.0
    return swell + rush


async def think(mean_s: float) -> None:
    """Waits until the next arrival of a Poisson process whose rate follows pace(), integrated in slices."""
    left = RNG.expovariate(1.0 / mean_s)
    while left > 0:
        speed = LOAD * pace()
        slice_s = min(3.0, left / speed)
        await asyncio.sleep(slice_s)
        left -= slice_s * speed + 1e-9


def lognormal(median: float, sigma: float) -> float:
    return RNG.lognormvariate(math.log(median), sigma)


class User:
    def __init__(self, number: int) -> None:
        self.a4 = plan.client4(ROLE, number)
        self.a6 = plan.client6(ROLE, number) if RNG.random() < 0.62 else None
        self.think_s = min(300.0, max(12.0, lognormal(79.0, 0.8)))

    def wants6(self) -> bool:
        return self.a6 is not None and RNG.random() < 0.55

    def pick(self, v4: str, v6: str) -> tuple[str, str]:
        """(own address, peer address) of one family."""
        return (self.a6, v6) if self.wants6() else (self.a4, v4)


# ---- sockets that know where they come from ----


def bound(kind: int, source: str, port: int = 0) -> socket.socket:
    s = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, kind)
    s.setblocking(False)
    if not port:
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    s.bind((source, port))
    return s


class Stream:
    """A TCP (or TLS) connection with the several ways there are to end one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, s: socket.socket) -> None:
        self.reader, self.writer, self.socket = reader, writer, s

    @classmethod
    async def open(cls, source: str, target: str, port: int, tls: bool = False, within_s: float = CONNECT_TIMEOUT_S):
        s = bound(socket.SOCK_STREAM, source)
        try:
            async with asyncio.timeout(within_s):
                await asyncio.get_running_loop().sock_connect(s, (target, port))
                reader, writer = await asyncio.open_connection(
                    sock=s, ssl=TLS if tls else None, server_hostname="www.test" if tls else None
                )
        except BaseException:
            s.close()
            raise
        return cls(reader, writer, s)

    async def close(self) -> None:
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            self.writer.close()
            async with asyncio.timeout(5):
                await self.writer.wait_closed()

    def abort(self) -> None:
        """RST: what a killed program or an impatient load balancer does."""
        with contextlib.suppress(OSError):
            self.socket_option(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ABORT)
        self.writer.transport.abort()

    def socket_option(self, level: int, name: int, value) -> None:
        self.writer.get_extra_info("socket").setsockopt(level, name, value)

    def keep_alive(self, idle_s: int) -> None:
        self.socket_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.socket_option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        self.socket_option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, idle_s)

    async def ask(self, request: bytes, answer_bytes: int) -> None:
        self.writer.write(request)
        await self.writer.drain()
        async with asyncio.timeout(READ_TIMEOUT_S):
            await self.reader.readexactly(answer_bytes)

    async def until_peer_closes(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await self.reader.read()


QUIET = (OSError, EOFError, TimeoutError, ssl.SSLError, ValueError)  # a lossy world: the user shrugs


async def datagram(source: str, target: str, port: int, payload: bytes, wait_s: float, own_port: int = 0) -> bytes:
    """One question, at most one answer; b"" for silence and for ICMP errors."""
    try:
        s = bound(socket.SOCK_DGRAM, source, own_port)
    except OSError:
        return b""
    with s:
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(s, (target, port))
            await loop.sock_sendall(s, payload)
            async with asyncio.timeout(wait_s):
                return await loop.sock_recv(s, 8192)
        except QUIET:
            return b""


# ---- names ----


def dns_query(name: str, kind: int, edns_bytes: int) -> bytes:
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    head = struct.pack("!6H", RNG.randrange(65536), 0x0100, 1, 0, 0, 1 if edns_bytes else 0)
    option = b"\0" + struct.pack("!HHIH", 41, edns_bytes, 0, 0) if edns_bytes else b""
    return head + labels + b"\0" + struct.pack("!HH", kind, 1) + option


async def ask_name(user: User, name: str, kind: int, edns_bytes: int) -> None:
    source, server = user.pick(plan.DNS4, plan.DNS6)
    query = dns_query(name, kind, edns_bytes)
    for _ in range(2):  # the second try as stub resolvers do it: same question, new socket
        reply = await datagram(source, server, 53, query, DNS_TIMEOUT_S)
        if reply:
            break
    if len(reply) > 3 and reply[2] & 2:  # truncated: again over TCP
        stream = await Stream.open(source, server, 53)
        await stream.ask(struct.pack("!H", len(query)) + query, 2)
        await asyncio.sleep(0.02)
        await stream.close()


async def look_up(user: User, name: str) -> None:
    edns_bytes = RNG.choice((0, 0, 1232, 1232, 4096))
    kinds = (1, 28, 65) if ROLE == "phone" else (1, 28)  # A, AAAA, and the HTTPS record that newer browsers ask for
    await asyncio.gather(*(ask_name(user, name, kind, edns_bytes) for kind in kinds))


async def background_names(user: User) -> None:
    """Programs that look up a name and then do nothing with it; some names do not exist."""
    await look_up(user, f"{RNG.choice(('telemetry', 'update', 'static', 'wpad'))}{RNG.randrange(10, 90)}.test")


# ---- the web ----


async def fetch(stream: Stream, last: bool, slow: bool) -> None:
    number = min(int(RNG.paretovariate(0.3)) - 1, 10**9) % plan.OBJECTS
    path = f"/slow/{number}" if slow else f"/o/{number}"
    filler = "x" * int(min(1500, lognormal(220, 0.7)))  # cookies and agents: requests differ in size
    request = f"GET {path} HTTP/1.1\r\nHost: www.test\r\nCookie: {filler}\r\n"
    request += "Connection: close\r\n\r\n" if last else "\r\n"
    stream.writer.write(request.encode())
    await stream.writer.drain()
    async with asyncio.timeout(READ_TIMEOUT_S):
        head = (await stream.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await stream.reader.readexactly(length)


async def browse_connection(source: str, target: str, tls: bool) -> None:
    stream = await Stream.open(source, target, 443 if tls else 80, tls)
    ending = RNG.choices(("client", "server", "timeout", "abort", "idle"), (42, 24, 17, 9, 8))[0]
    slow = RNG.random() < 0.03
    try:
        requests = 1 + min(9, int(RNG.expovariate(1.1)))
        for i in range(requests):
            if ending == "abort" and RNG.random() < 0.4:
                stream.writer.write(b"GET /o/7 HTTP/1.1\r\nHost: www.test\r\n\r\n")
                await asyncio.sleep(lognormal(0.03, 1.0))
                break
            await fetch(stream, ending == "server" and i == requests - 1, slow)
            await asyncio.sleep(min(20.0, lognormal(0.15, 1.6)))
        if ending == "client":
            await asyncio.sleep(min(40.0, lognormal(0.2, 1.8)))
        elif ending == "abort":
            await asyncio.sleep(min(30.0, lognormal(0.5, 1.8)))
            stream.abort()
            return
        elif ending == "timeout":
            await stream.until_peer_closes()
        elif ending == "idle":  # a tab nobody looks at; half of them probe the peer
            if RNG.random() < 0.5:
                stream.keep_alive(RNG.choice((10, 20, 45)))
            await asyncio.sleep(SECONDS)
    finally:
        await stream.close()


async def visit(user: User) -> None:
    site = plan.SITES[min(int(RNG.paretovariate(0.5)) - 1, 10_000) % len(plan.SITES)]
    for _ in range(RNG.choices((0, 1, 2, 3), (10, 32, 32, 26))[0]):
        await look_up(user, f"{RNG.choice(('www', 'static', 'img', 'api'))}{site}.test")
    source, target = user.pick(f"{plan.SRV4}{site}", f"{plan.SRV6}{site:x}")
    tls = RNG.random() < 0.7
    first = asyncio.create_task(guarded(browse_connection(source, target, tls)))
    await asyncio.sleep(lognormal(0.12, 0.6))
    parallel = min(5, int(RNG.expovariate(0.7)))
    await asyncio.gather(first, *(guarded(browse_connection(source, target, tls)) for _ in range(parallel)))


# ---- everything else a user does ----


async def push(user: User) -> None:
    """A long connection with a small heartbeat; some go silent for good, some rely on TCP keep-alive."""
    await asyncio.sleep(RNG.uniform(0, min(40.0, SECONDS / 3)))
    port = RNG.choice(plan.PUSH_PORTS)
    while elapsed() < SECONDS:
        source, target = user.pick(plan.APP4, plan.APP6)
        stream = await Stream.open(source, target, port)
        await stream.ask(b"600 stay\n", 600)
        style = RNG.choices(("beat", "keepalive", "silent"), (60, 20, 20))[0]
        if style == "keepalive":
            stream.keep_alive(RNG.choice((15, 25)))
        if style != "beat":
            await stream.until_peer_closes()
            return
        period = RNG.choice((12, 20, 30, 45))
        while RNG.random() > 0.04:
            await asyncio.sleep(period * RNG.uniform(0.97, 1.03))
            await stream.ask(b"40 stay" + b" " * RNG.randrange(60) + b"\n", 40)
        await stream.close()  # changed networks: begins anew


async def mail(user: User) -> None:
    source, target = user.pick(plan.APP4, plan.APP6)
    stream = await Stream.open(source, target, RNG.choice((25, 110, 143, 143, 993, 993, 8080)))
    for _ in range(RNG.randrange(1, 5)):
        size = int(min(200_000, lognormal(250, 1.4)))
        await stream.ask(f"{size} stay\n".encode(), size)
        await asyncio.sleep(lognormal(0.05, 1.0))
    ending = RNG.choices((b"close", b"abort", b"stay"), (40, 5, 55))[0]
    await stream.ask(b"30 " + ending + b"\n", 30)
    await (stream.close() if ending == b"stay" else stream.until_peer_closes())
    await stream.close()


async def ask_time(user: User) -> None:
    source, server = user.pick(plan.NTP4, plan.NTP6)
    own_port = 123 if RNG.random() < 0.4 else 0
    for _ in range(RNG.choice((1, 1, 4))):
        await datagram(source, server, 123, b"\x23" + bytes(39) + RNG.randbytes(8), 2.0, own_port)
        await asyncio.sleep(2.0)


def wrong_target(user: User) -> tuple[str, str, int]:
    n = RNG.random()
    if n < 0.35:  # a closed port
        return (*user.pick(plan.APP4, plan.APP6), RNG.choice((81, 445, 3306, 5432, 8000, 9200)))
    if n < 0.6:  # filtered: silence
        return (*user.pick(plan.APP4, plan.APP6), plan.FILTERED_PORT)
    if n < 0.7:  # our side loses the SYN/ACK: half-open at the server
        return (*user.pick(plan.APP4, plan.APP6), plan.HALF_OPEN_PORT)
    # no such host, swallowed, or prohibited
    return (*user.pick(f"{plan.NOBODY4}{RNG.randrange(128, 256)}", f"{plan.NOBODY6}{RNG.randrange(1, 3)}:{RNG.randrange(9999)}"), 443)


async def mistake(user: User) -> None:
    source, target, port = wrong_target(user)
    if RNG.random() < 0.4:
        await datagram(source, target, port, bytes(RNG.randrange(20, 300)), 2.0)
    else:
        stream = await Stream.open(source, target, port, within_s=RNG.choice((3.5, 8.0, 20.0)))
        await stream.close()


def any_peer(v6: bool) -> str:
    """Peers of a swarm: most are there, some addresses are dark, some unreachable."""
    if v6:
        return f"2001:db8:18:{RNG.randrange(3):x}::{RNG.randrange(1, 60000):x}"
    net = 18 if RNG.random() < 0.65 else 19
    return f"198.{net}.{RNG.randrange(256)}.{RNG.randrange(1, 255)}"


async def swarm(user: User) -> None:
    """One UDP socket per family talks to many peers; TCP to those that looked promising."""
    loop = asyncio.get_running_loop()
    sockets = []
    for source in filter(None, (user.a4, user.a6)):
        s = bound(socket.SOCK_DGRAM, source, 51413)
        loop.add_reader(s, drain, s)
        sockets.append((source, s))
    while elapsed() < SECONDS:
        source, s = RNG.choice(sockets)
        peer = any_peer(":" in source)
        for _ in range(RNG.choice((1, 1, 2, 5))):
            answer_bytes = RNG.choice((0, 60, 120, 280))
            with contextlib.suppress(OSError):
                s.sendto(struct.pack("!H", answer_bytes) + bytes(RNG.randrange(60, 110)), (peer, plan.PEER_PORT))
            await asyncio.sleep(RNG.uniform(0.01, 0.4))
        if RNG.random() < 0.12:
            asyncio.create_task(guarded(swap(source, peer)))
        await asyncio.sleep(RNG.expovariate(0.7 * LOAD))


def drain(s: socket.socket) -> None:
    with contextlib.suppress(OSError):  # ICMP errors arrive here too
        s.recv(4096)


async def swap(source: str, peer: str) -> None:
    stream = await Stream.open(source, peer, plan.PEER_PORT, within_s=6.0)
    for _ in range(RNG.randrange(1, 6)):
        size = int(min(120_000, lognormal(1500, 1.2)))
        await stream.ask(f"{size} stay\n".encode(), size)
        await asyncio.sleep(lognormal(0.8, 1.2))
    stream.abort() if RNG.random() < 0.3 else await stream.close()


async def call(user: User) -> None:
    """A voice call: 160 bytes each way every 20 ms, with silence suppression."""
    await asyncio.sleep(RNG.uniform(0.05, 0.75) * SECONDS)
    source, target = user.pick(plan.APP4, plan.APP6)
    s = bound(socket.SOCK_DGRAM, source)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(s, (target, plan.VOICE_PORT))
    loop.add_reader(s, drain, s)
    end = elapsed() + RNG.uniform(4, 14)
    while elapsed() < end:
        if RNG.random() > 0.25:
            await loop.sock_sendall(s, struct.pack("!H", 172) + bytes(170))
        await asyncio.sleep(0.02)
    loop.remove_reader(s)
    s.close()


async def guarded(work) -> None:
    try:
        await work
    except QUIET:
        pass


async def every(user: User, mean_s: float, action) -> None:
    while elapsed() < SECONDS:
        await think(mean_s)
        await guarded(action(user))


async def visits(user: User) -> None:
    """Visits overlap: the next page does not wait until the connections of the last one are gone."""
    while elapsed() < SECONDS:
        await think(user.think_s)
        asyncio.create_task(guarded(visit(user)))


async def crowd() -> None:
    users = [User(n) for n in range(plan.CLIENTS[ROLE])]
    jobs = []
    for user in users:
        jobs.append(visits(user))
        jobs.append(every(user, 68.0, background_names))
        jobs.append(every(user, 147.0, mail))
        jobs.append(every(user, 225.0, ask_time))
        jobs.append(every(user, 190.0, mistake))
        if RNG.random() < 0.6:
            jobs.append(guarded(push(user)))
    jobs += [guarded(swarm(user)) for user in RNG.sample(users, 6)]
    jobs += [guarded(call(user)) for user in RNG.sample(users, 3)]
    jobs += [every(user, 25.0, lambda u: ask_name(u, "big.example", 16, 4096)) for user in RNG.sample(users, 8)]
    jobs += [every(user, 60.0, lambda u: ask_name(u, "big.example", 16, 0)) for user in RNG.sample(users, 4)]
    tasks = [asyncio.create_task(job) for job in jobs]
    await asyncio.sleep(SECONDS)
    for task in tasks:
        task.cancel()


async def knock(source: str, target: str, port: int, udp: bool) -> None:
    if udp:
        await datagram(source, target, port, struct.pack("!H", 40) + bytes(40), 1.0)
        return
    stream = await Stream.open(source, target, port, within_s=RNG.choice((0.9, 2.5, 4.0)))
    await stream.ask(b"300 stay\n", 300)
    await stream.close()


async def noise() -> None:
    """Strangers try doors: mostly closed ones, a few peers that get an answer. Some strangers sweep, some come once."""
    regulars = [f"198.18.{RNG.randrange(256)}.{RNG.randrange(1, 255)}" for _ in range(12)]
    while elapsed() < SECONDS:
        source = RNG.choice(regulars) if RNG.random() < 0.6 else f"198.18.{RNG.randrange(256)}.{RNG.randrange(1, 255)}"
        kind = RNG.choices(("desk", "phone"), (1, 2))[0]
        target = plan.client4(kind, RNG.randrange(plan.CLIENTS[kind]))
        if RNG.random() < 0.12:
            source = f"2001:db8:18::{RNG.randrange(1, 60000):x}"
            target = plan.client6(kind, RNG.randrange(plan.CLIENTS[kind]))
        udp = RNG.random() < 0.25
        port = RNG.choice((53, 123, 161, 1900, 5060, 6881)) if udp else RNG.choice((22, 23, 23, 80, 443, 445, 3389, 5900, 6881, 8080))
        asyncio.create_task(guarded(knock(source, target, port, udp)))
        await asyncio.sleep(RNG.expovariate(4.5 * LOAD))


if __name__ == "__main__":
    if ROLE not in ("desk", "phone", "noise") or not SECONDS:
        sys.exit(__doc__)
    asyncio.run(noise() if ROLE == "noise" else crowd())
