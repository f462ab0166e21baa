"""Leaves a balancer time to look elsewhere: unready first, then stop."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

from service.logs import LOGGER

if TYPE_CHECKING:
    from service.lifecycle import Lifecycle


def drain_before_stopping(lifecycle: Lifecycle, delay_s: float) -> None:
    """From now on SIGTERM makes readiness 503 and, ``delay_s`` seconds later, stops the server.

    A second SIGTERM stops it at once. Wraps whatever handler uvicorn has set; called on the
    server's event loop.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    stop = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()

    def stop_now() -> None:
        lifecycle.stopped = True
        if callable(stop):
            stop(signal.SIGTERM, None)

    def drain(number: int, frame: FrameType | None) -> None:
        if lifecycle.draining:
            loop.call_soon_threadsafe(stop_now)
            return
        lifecycle.draining = True
        LOGGER.info("draining", extra={"seconds": delay_s})
        loop.call_soon_threadsafe(loop.call_later, delay_s, stop_now)

    signal.signal(signal.SIGTERM, drain)
