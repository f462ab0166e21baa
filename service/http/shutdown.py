"""Drains before a stop: readiness 503 first, then no new connections, then the last answers."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import FrameType

import uvicorn

from service.models.versions import Versions
from service.observe.logs import LOGGER

SETTLE_SECONDS = 0.25  # longer than an accepted connection takes to bring its first request


def drain_before_stopping(
    versions: Versions, delay_s: float, close_other: Callable[[], Awaitable[None]] | None
) -> None:
    """From now on SIGTERM turns readiness to 503 and, ``delay_s`` seconds later, stops the server.

    ``close_other`` then closes what listens beside it. A second SIGTERM stops it at once. The
    function wraps the handler that uvicorn has set, and must be called on the server's event loop.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    stop = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    stopping: list[Future[None]] = []  # keeps the future from garbage collection

    def stop_now() -> None:
        if callable(stop):
            stop(signal.SIGTERM, None)

    async def stop_later() -> None:
        await asyncio.sleep(delay_s)  # load balancers see the 503 meanwhile
        server = getattr(stop, "__self__", None)  # uvicorn's handler is a method of its server
        if isinstance(server, uvicorn.Server):
            await _close_listeners(server)
        closed = None if close_other is None else asyncio.ensure_future(close_other())
        await asyncio.sleep(SETTLE_SECONDS)
        stop_now()
        if closed is not None:
            await closed

    def drain(number: int, frame: FrameType | None) -> None:
        if versions.draining:
            loop.call_soon_threadsafe(stop_now)
            return
        versions.draining = True
        LOGGER.info("draining", extra={"seconds": delay_s})
        stopping.append(asyncio.run_coroutine_threadsafe(stop_later(), loop))

    signal.signal(signal.SIGTERM, drain)


async def _close_listeners(server: uvicorn.Server) -> None:
    """Accepts the connections that wait, and then closes the listening sockets.

    The kernel resets what waits when a socket's last descriptor is closed. That is the last one of
    the callers' port; the sockets of other ports come before.
    """
    *others, last = server.servers
    for other in others:
        other.close()
    waiting: list[socket.socket] = []
    with socket.socket(fileno=os.dup(last.sockets[0].fileno())) as listener, suppress(OSError):
        listener.setblocking(False)
        while True:
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            waiting.append(accepted)
    last.close()
    loop = asyncio.get_running_loop()
    made = [
        loop.connect_accepted_socket(partial(_connection, server), accepted, ssl=server.config.ssl)
        for accepted in waiting
    ]
    # The peers that have left, or speak no TLS, are of no interest, nor are they waited for.
    await asyncio.wait([asyncio.gather(*made, return_exceptions=True)], timeout=SETTLE_SECONDS)


def _connection(server: uvicorn.Server) -> asyncio.Protocol:
    """The protocol of an accepted connection, as uvicorn makes it."""
    return server.config.http_protocol_class(  # type: ignore[call-arg]
        config=server.config, server_state=server.server_state, app_state=server.lifespan.state
    )
