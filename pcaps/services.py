#!/usr/bin/python3
"""The application servers that no Debian package is needed for: a TCP talker and a UDP answerer on many ports.

usage: services.py SECONDS TCP_PORT[,TCP_PORT...] UDP_PORT[,UDP_PORT...]

TCP: the client sends lines `BYTES VERB\\n`; the server sends BYTES bytes back and then does VERB:
stay (waits for the next line), close (FIN), abort (RST by SO_LINGER 0).
UDP: the first two bytes of a datagram say how many bytes to answer with (0: none).
Both listen on every address of the namespace, IPv4 and IPv6.
"""

import asyncio
import contextlib
import socket
import struct
import sys

IP_PKTINFO = 8  # Linux value; the socket module of Python 3.11 does not name it
LINE_MAX = 4096
LINGER_ABORT = struct.pack("ii", 1, 0)


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            count, verb = line[:LINE_MAX].split()[:2]
            writer.write(bytes(min(int(count), 4_000_000)))
            await writer.drain()
            if verb == b"abort":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ABORT)
                writer.transport.abort()
                return
            if verb == b"close":
                break
    except (OSError, ValueError):
        pass
    with contextlib.suppress(OSError):
        writer.close()


def udp_socket(family: int, port: int) -> socket.socket:
    """Answers must leave from the address that was asked, so the destination is taken from the packet information."""
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        s.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    s.bind(("", port))
    s.setblocking(False)
    return s


def answer(s: socket.socket) -> None:
    with contextlib.suppress(OSError):
        data, ancillary, _, peer = s.recvmsg(2048, 256)
        size = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 0
        if not size:
            return
        if s.family == socket.AF_INET:  # in_pktinfo: interface, address to send from, header destination
            asked = ancillary[0][2][8:12]
            control = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4s", 0, asked, b"\0" * 4))
        else:
            control = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, ancillary[0][2][:16] + struct.pack("=i", 0))
        s.sendmsg([bytes(size)], [control], 0, peer)


async def main() -> None:
    seconds = float(sys.argv[1])
    loop = asyncio.get_running_loop()
    for port in filter(None, sys.argv[2].split(",")):
        await asyncio.start_server(talk, ["0.0.0.0", "::"], int(port), backlog=512)
    for port in filter(None, sys.argv[3].split(",")):
        for family in (socket.AF_INET, socket.AF_INET6):
            s = udp_socket(family, int(port))
            loop.add_reader(s, answer, s)
    await asyncio.sleep(seconds)


if __name__ == "__main__":
    asyncio.run(main())
