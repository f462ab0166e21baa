"""Sends the clients of the gRPC port elsewhere before its server stops.

A stop of gRPC's server cancels the calls that arrive before the client has read its GOAWAY: each
loses 60 calls of 64 busy callers, and none after this announcement, which gRPC cannot make. So this
module finds its sockets, stops the listening ones, and writes the frame to the others (RFC 9113,
section 6.8: first, "the last stream is 2**31 - 1"). It cannot write to connections with TLS.
"""

import array
import asyncio
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GOAWAY = b"\0\0\x08\x07\0" + b"\0\0\0\0" + b"\x7f\xff\xff\xff" + b"\0\0\0\0"
"""Length, type 7, no flags, stream 0, the last stream, NO_ERROR."""
LOOK_SECONDS = 0.02
MOST_LOOKS = 50
_SIOCOUTQNSD = 0x894B  # linux/sockios.h
_OPEN_FILES = Path("/proc/self/fd")  # Linux alone has it


async def send_away(port: int) -> None:
    """Stops listening on ``port`` and tells its clients, then waits a second for them to leave."""
    told = set[object]()
    for _ in range(MOST_LOOKS):
        connected = False
        for peer, each in _sockets(port):
            if peer is None:
                each.shutdown(socket.SHUT_RDWR)
                continue
            connected = True
            unsent = array.array("i", [0])  # with no bytes in the kernel, no frame is half written
            fcntl.ioctl(each, _SIOCOUTQNSD, unsent)
            if peer not in told and not unsent[0]:
                each.send(GOAWAY, socket.MSG_DONTWAIT)
                told.add(peer)
        if not connected:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _sockets(port: int) -> Iterator[tuple[object, socket.socket]]:
    """The listening and connected sockets at this local port, with the peer if there is one."""
    for file in list(_OPEN_FILES.iterdir()) if _OPEN_FILES.is_dir() else ():
        with suppress(OSError):  # it was closed meanwhile, or its peer has left
            if not file.readlink().name.startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(file.name))) as found:
                internet = found.family in (socket.AF_INET, socket.AF_INET6)
                if internet and found.getsockname()[1] == port:
                    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    yield None if listens else found.getpeername(), found
