"""Sends the clients of the gRPC port elsewhere before the server stops.

At a stop, gRPC's server announces GOAWAY and in the same moment cancels what it has received and
not handed over, so that busy clients lose calls. It has no call that only announces. So this module
finds its sockets among those of the process, stops the listening ones, and writes the frame that
HTTP/2 has for this to the others (RFC 9113, section 6.8: "the last stream is 2**31 - 1" first).
Clients then finish what runs, connect to another address and close. Connections with TLS cannot be
written to; those are left to gRPC.
"""

from __future__ import annotations

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
_SIOCOUTQNSD = 0x894B  # linux/sockios.h
_OPEN_FILES = Path("/proc/self/fd")


async def send_away(port: int, seconds: float, *, is_plain: bool) -> None:
    """Stops listening on ``port``, and waits until the clients have left, at most ``seconds``."""
    loop = asyncio.get_running_loop()
    end, told = loop.time() + seconds, set[tuple[object, ...]]()
    while True:
        left = 0
        for each in _sockets(port):
            if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                each.shutdown(socket.SHUT_RDWR)
            else:
                left += 1
                peer = each.getpeername()
                if is_plain and peer not in told and not _unsent(each):
                    each.send(GOAWAY, socket.MSG_DONTWAIT)
                    told.add(peer)
        if not left or not is_plain or loop.time() > end:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _sockets(port: int) -> Iterator[socket.socket]:
    """The TCP sockets of this process at this local port, each closed again after its turn."""
    for file in list(_OPEN_FILES.iterdir()) if _OPEN_FILES.is_dir() else ():  # Linux alone has it
        # OSError: it is no socket, or was closed meanwhile.
        with suppress(OSError), socket.socket(fileno=os.dup(int(file.name))) as found:
            internet = found.family in (socket.AF_INET, socket.AF_INET6)
            if internet and found.getsockname()[1] == port:
                yield found


def _unsent(connection: socket.socket) -> int:
    """The bytes that wait in the kernel for their turn: with none, no frame is half written."""
    size = array.array("i", [0])
    fcntl.ioctl(connection, _SIOCOUTQNSD, size)
    return size[0]
