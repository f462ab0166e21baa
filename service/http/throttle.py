"""Stops reading connections that got 429: some clients retry at once, whatever the answer says."""

import asyncio
from asyncio import TimerHandle, Transport

from service.inference.admission import RETRY_SECONDS, Queue


class Throttle:
    """The connections that are not read, in the order of their rejection."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._held: dict[Transport, TimerHandle] = {}

    def hold(self, transport: Transport, *, until_room: bool) -> None:
        """Stops reading for RETRY_SECONDS, or ``until_room`` for it is in the queue."""
        if transport in self._held:
            return
        transport.pause_reading()
        loop = asyncio.get_running_loop()
        if not until_room:
            loop.call_later(RETRY_SECONDS, _read_again, transport)
            return
        self._held[transport] = loop.call_later(RETRY_SECONDS, self._release, transport)
        self._queue.on_room = self._release_one

    def _release(self, transport: Transport) -> None:
        """Reads this connection again."""
        self._held.pop(transport).cancel()
        if not self._held:
            self._queue.on_room = None
        _read_again(transport)

    def _release_one(self) -> None:
        """Reads the connection again that has waited longest."""
        self._release(next(iter(self._held)))


def _read_again(transport: Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()
