"""Stops so that nobody is lost: unready first, then no new connections, then the last answers."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import struct
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from service.observe.logs import LOGGER

if TYPE_CHECKING:
    from service.models.versions import Versions

SETTLE_SECONDS = 0.25
"""Longer than a connection takes to be made, and then to bring its request."""

_SO_ATTACH_FILTER = 26
# A classic BPF program over a segment's TCP header (RFC 9293, 3.1), whose byte 13 has the flags:
# drops one that asks for a new connection, SYN without ACK, and lets all others pass.
_NO_NEW_CONNECTIONS = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # A = the flags
        (0x54, 0, 0, 0x12),  # A &= SYN | ACK
        (0x15, 0, 1, 0x02),  # where A is not SYN, skip one
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # pass
    )
)


def drain_before_stopping(versions: Versions, delay_s: float, *, alone: bool) -> None:
    """From now on SIGTERM makes readiness 503 and, ``delay_s`` seconds later, stops the server.

    A second SIGTERM stops it at once. Wraps whatever handler uvicorn has set; called on the
    server's event loop. ``alone`` says that no other process accepts on the same socket.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    stop = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    stopping: list[Future[None]] = []  # else nothing keeps it from being collected

    def stop_now() -> None:
        if callable(stop):
            stop(signal.SIGTERM, None)

    async def stop_later() -> None:
        """Lets the balancers learn of it, then lets nobody new in, then stops."""
        await asyncio.sleep(delay_s)
        servers = _listening(stop)
        if alone:
            for listener in chain.from_iterable(server.sockets for server in servers):
                let_none_in(listener.fileno())
        await asyncio.sleep(SETTLE_SECONDS)  # those being made are accepted
        for server in servers:
            server.close()
        await asyncio.sleep(SETTLE_SECONDS)  # those just accepted bring their request
        stop_now()

    def drain(number: int, frame: FrameType | None) -> None:
        if versions.draining:
            loop.call_soon_threadsafe(stop_now)
            return
        versions.draining = True
        LOGGER.info("draining", extra={"seconds": delay_s})
        stopping.append(asyncio.run_coroutine_threadsafe(stop_later(), loop))

    signal.signal(signal.SIGTERM, drain)


def _listening(handler: object) -> list[asyncio.Server]:
    """What listens: uvicorn's handler of signals is a method of its server."""
    server = getattr(handler, "__self__", None)
    return server.servers if isinstance(server, uvicorn.Server) else []


def let_none_in(fileno: int) -> None:
    """Makes a listening socket ignore who knocks, in every process that has it.

    Closing it resets the connections that were made and not yet accepted; a caller who was ignored
    instead knocks again, and then finds it closed. Only Linux can do so.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_NEW_CONNECTIONS, len(_NO_NEW_CONNECTIONS))
    length = len(_NO_NEW_CONNECTIONS) // 8
    described = struct.pack("@HP", length, ctypes.addressof(program))
    with suppress(OSError), socket.socket(fileno=os.dup(fileno)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
