#!/usr/bin/python3
"""Real programs at random moments, each from a client address of its own: ssh, curl, wrk, ab, dnsperf, iperf3, ping,
traceroute, nmap, and an SCTP talker.

usage: errands.py SECONDS SEED LOAD WORK_DIRECTORY

Runs inside the desk namespace. Every program is bounded by its own options and by timeout(1); what is still running
after SECONDS is ended. LOAD scales how many errands there are.
"""

import asyncio
import contextlib
import os
import random
import shutil
import sys
from collections import Counter

import plan

SECONDS, SEED, LOAD, WORK = float(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4]
RNG = random.Random(f"errands {SEED}")
SCTP_TALKER = "/usr/lib/usrsctp/tsctp"  # package libusrsctp-examples
QUERIES = os.path.join(WORK, "queries.txt")


def own(v6: bool = False) -> str:
    n = RNG.randrange(plan.CLIENTS["desk"])
    return plan.client6("desk", n) if v6 else plan.client4("desk", n)


def site(v6: bool = False) -> str:
    n = RNG.choice(plan.SITES)
    return f"{plan.SRV6}{n:x}" if v6 else f"{plan.SRV4}{n}"


def coin(p: float = 0.3) -> bool:
    return RNG.random() < p


def ssh() -> list[str]:
    v6 = coin()
    key = "stranger" if coin(0.35) else "key"  # a third of the logins are refused
    does = RNG.choice(
        (
            "true",
            f"sleep {RNG.uniform(1, 30):.1f}",
            f"sleep {SECONDS:.0f}",  # left open, idle
            f"head -c {int(RNG.lognormvariate(9.5, 1.3))} /dev/zero",
            f"for i in 1 2 3 4 5 6 7 8; do echo x; sleep {RNG.uniform(0.2, 5):.1f}; done",
        )
    )
    options = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]
    options += ["-o", "IdentitiesOnly=yes", "-o", f"ServerAliveInterval={RNG.choice((0, 0, 15))}", "-i", f"{WORK}/{key}"]
    return ["ssh", "-q", "-b", own(v6), *options, f"root@{plan.SSH6 if v6 else plan.SSH4}", does]


def curl() -> list[str]:
    v6 = coin()
    target = f"[{site(True)}]" if v6 else site()
    scheme = RNG.choice(("http", "https"))
    return ["curl", "-skg", "--interface", own(v6), "-o", "/dev/null", f"{scheme}://{target}/o/[{RNG.randrange(50)}-{RNG.randrange(50, 54)}]"]


def ping() -> list[str]:
    v6 = coin()
    target = RNG.choice((site(v6), plan.DNS6 if v6 else plan.DNS4, f"{plan.NOBODY6}1:1" if v6 else f"203.0.113.{RNG.randrange(128, 256)}"))
    count, gap = RNG.choice((("1", "1"), ("3", "1"), ("5", "0.5"), ("20", "2")))
    return ["ping", "-n", "-q", "-c", count, "-i", gap, "-s", str(RNG.choice((56, 56, 56, 32, 1400))), "-I", own(v6), target]


def big_ping() -> list[str]:
    v6 = coin(0.5)
    return ["ping", "-n", "-q", "-c", str(RNG.randrange(2, 9)), "-s", str(RNG.choice((2000, 4000, 8000))), "-I", own(v6), site(v6)]


def trace() -> list[str]:
    v6 = coin()
    how = RNG.choice((["-U"], ["-I"], ["-T", "-p", "443"], []))
    target = site(v6) if coin(0.8) else (f"{plan.NOBODY6}1:9" if v6 else "203.0.113.130")
    return ["traceroute", "-6" if v6 else "-4", "-n", "-q", "1", "-m", "6", "-w", "1", "-s", own(v6), *how, target]


def bulk_tcp() -> list[str]:
    v6 = coin()
    amount, rate = RNG.choice((("200K", "2M"), ("600K", "8M"), ("1M", "20M"), ("2M", "40M")))
    back = ["-R"] if coin(0.6) else []
    port = str(RNG.randrange(5201, 5207))
    return ["iperf3", "-c", plan.BULK6 if v6 else plan.BULK4, "-B", own(v6), "-p", port, "-n", amount, "-b", rate, *back]


def bulk_udp() -> list[str]:
    v6 = coin(0.5)
    size, rate = RNG.choice((("1200", "300K"), ("4000", "500K"), ("1800", "250K")))
    port = str(RNG.randrange(5201, 5207))
    return ["iperf3", "-u", "-c", plan.BULK6 if v6 else plan.BULK4, "-B", own(v6), "-p", port, "-l", size, "-b", rate, "-t", "4"]


def wrk() -> list[str]:
    return ["wrk", "-t", "1", "-c", str(RNG.choice((2, 4, 8))), "-d", "2s", f"http://{site()}/o/{RNG.randrange(40)}"]


def ab() -> list[str]:
    return ["ab", "-q", "-n", str(RNG.choice((40, 80, 120))), "-c", "4", "-B", own(), f"http://{site()}/o/{RNG.randrange(60)}"]


def dnsperf() -> list[str]:
    source, server = (own(True), plan.DNS6) if coin() else (own(), plan.DNS4)
    return ["dnsperf", "-a", source, "-s", server, "-d", QUERIES, "-c", "40", "-Q", "60", "-l", "3", "-t", "2"]


INVENTORIES = [  # in turn
    ["-sn", "-PE", "203.0.113.100-150"],
    ["-sO", "-Pn", "--max-retries", "1"],
    ["-sY", "-Pn", "-F", "--max-retries", "1"],
]


def inventory() -> list[str]:
    """An administrator's tool: who is there, and which IP protocols (SCTP, GRE and the like) does a host speak?"""
    INVENTORIES.append(INVENTORIES.pop(0))
    how = INVENTORIES[-1] if "-sn" in INVENTORIES[-1] else [*INVENTORIES[-1], site()]
    return ["nmap", "-n", "-T4", "--max-rate", "40", "-S", own(), "-e", "uplink", *how]


def sctp() -> list[str]:
    return [SCTP_TALKER, "-n", str(RNG.randrange(5, 40)), "-l", str(RNG.randrange(50, 1300)), "-p", "5001", plan.SCTP4]


ERRANDS = (  # program, how many at LOAD 1, seconds it may take
    (ssh, 90, SECONDS),
    (curl, 60, 30),
    (ping, 260, 60),
    (big_ping, 30, 20),
    (trace, 60, 20),
    (bulk_tcp, 8, 30),
    (bulk_udp, 6, 15),
    (wrk, 3, 10),
    (ab, 6, 30),
    (dnsperf, 4, 10),
    (inventory, 4, 45),
    (sctp, 4, 15),
)


async def run(make, limit_s: float, failures: Counter) -> None:
    await asyncio.sleep(RNG.uniform(0.01, 0.93) * SECONDS)
    argv = make()
    if not shutil.which(argv[0]):
        failures[f"{argv[0]} missing"] += 1
        return
    quiet = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec("timeout", f"{limit_s:.0f}", *argv, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        if await child.wait() != 0:
            failures[argv[0]] += 1
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()


async def main() -> None:
    failures: Counter = Counter()
    tasks = []
    for make, count, limit_s in ERRANDS:
        for _ in range(max(1, round(count * LOAD))):
            tasks.append(asyncio.create_task(run(make, limit_s, failures)))
    await asyncio.wait(tasks, timeout=SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(f"errands: {len(tasks)} run; ended with an error (some are meant to): {dict(failures)}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
