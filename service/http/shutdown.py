"""Drains before a stop: readiness 503 first, then no new connections, then the last answers."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import Future
from types import FrameType

import uvicorn

from service.models.versions import Versions
from service.observe.logs import LOGGER

SETTLE_SECONDS = 0.25
"""Longer than an accepted connection takes to bring its first request."""


def drain_before_stopping(versions: Versions, delay_s: float) -> None:
    """From now on SIGTERM turns readiness to 503 and, ``delay_s`` seconds later, stops the server.

    A second SIGTERM stops it at once. The function wraps the handler that uvicorn has set, and
    must be called on the server's event loop.
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
        for server in _listening(stop):
            server.close()
        await asyncio.sleep(SETTLE_SECONDS)
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
    """The listening servers: uvicorn's signal handler is a method of its ``Server``."""
    server = getattr(handler, "__self__", None)
    return server.servers if isinstance(server, uvicorn.Server) else []
