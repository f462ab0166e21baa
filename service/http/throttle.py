"""Stops reading connections that were answered 429, until the queue has room.

Some clients send again at once, whatever ``Retry-After`` says. A few hundred of them would
otherwise cost all the time that the admitted requests need.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle, Transport

from service.inference.admission import RETRY_SECONDS


class Throttle:
    """The connections that are not read, in the order of their rejection."""

    def __init__(self) -> None:
        self._held: dict[Transport, TimerHandle] = {}

    def hold(self, transport: Transport) -> None:
        """Stops reading until :meth:`release_one` reaches this connection, or RETRY_SECONDS."""
        if transport in self._held:
            return
        transport.pause_reading()
        loop = asyncio.get_running_loop()
        self._held[transport] = loop.call_later(RETRY_SECONDS, self.release, transport)

    def release(self, transport: Transport) -> None:
        """Reads this connection again."""
        timer = self._held.pop(transport, None)
        if timer is not None:
            timer.cancel()
            if not transport.is_closing():
                transport.resume_reading()

    def release_one(self) -> None:
        """Reads the connection again that has waited longest, if there is one."""
        if self._held:
            self.release(next(iter(self._held)))
