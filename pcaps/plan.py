"""Who lives where in the recording laboratory. record.sh sets up the same prefixes; nothing here is a real address.

    desk 192.0.2.0/25, 2001:db8:a::/64        phone 198.51.100.0/24, 2001:db8:b::/63
             \\                                    /
              edge (router) ==== wire (capture) ==== core (router)
                                                    /             \\
    srv 203.0.113.0/25, 2001:db8:53::/64                net 198.18.0.0/16, 2001:db8:18::/48 ("the rest of the world")

In the flood scenario the attacker and the bystanders whose addresses it borrows sit at the edge; see record.sh.
"""

import math
import random

# Servers (AnyIP in srv). Sites are the last byte of the IPv4 and the last group of the IPv6 address.
SITES = range(10, 70)
SRV4, SRV6 = "203.0.113.", "2001:db8:53::"
DNS4, DNS6 = "203.0.113.5", "2001:db8:53::5"
NTP4, NTP6 = "203.0.113.6", "2001:db8:53::6"
SSH4, SSH6 = "203.0.113.7", "2001:db8:53::7"
BULK4, BULK6 = "203.0.113.8", "2001:db8:53::8"
APP4, APP6 = "203.0.113.9", "2001:db8:53::9"

SCTP4 = "192.0.2.210"  # srv's own address: usrsctp answers from the address of an interface only

# TCP ports on which services.py talks; what they would be in the world: mail, push, proxies, peers.
APP_PORTS = (25, 110, 143, 993, 1883, 5222, 8080, 8883)
PUSH_PORTS = (1883, 5222, 8883)
PEER_PORT = 6881
VOICE_PORT = 3478
HALF_OPEN_PORT = 8445  # srv answers, but desk and phone drop the SYN/ACK
FILTERED_PORT = 8444  # srv drops what comes here without a word

# 203.0.113.128/26: no such host (core answers "host unreachable"); .192/27: swallowed; .224/27: prohibited.
NOBODY4, NOBODY6 = "203.0.113.", "2001:db8:dead::"

OBJECTS = 400


def object_size(number: int) -> int:
    """Bytes of web object `number`: log-normal, median 1.1 kB, mean about 3 kB, at most 1.5 MB; fixed for ever."""
    rng = random.Random(f"object {number}")
    return int(min(1_500_000, max(80, rng.lognormvariate(math.log(1100), 1.4))))


def client4(kind: str, n: int) -> str:
    return f"192.0.2.{1 + n}" if kind == "desk" else f"198.51.100.{1 + n}"


def client6(kind: str, n: int) -> str:
    """Phones from 190 on live in a second /64 (as in the /26 that ends their IPv4 range); both are on a VLAN."""
    if kind == "desk":
        return f"2001:db8:a::{0x1000 + n * 37:x}"
    return f"2001:db8:b:{1 if n >= 190 else 0}::{0x2000 + n * 53:x}"


CLIENTS = {"desk": 124, "phone": 250}


if __name__ == "__main__":
    # record.sh makes the objects of the web servers from this list.
    for number in range(OBJECTS):
        print(number, object_size(number))
