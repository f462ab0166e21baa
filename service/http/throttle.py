"""Callers who were told 429 and are not heard again until there is room for them.

A caller who asks again at once, whatever ``Retry-After`` says, would otherwise be refused again and
again; some hundreds of them would cost all the time that the accepted need.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from typing import Protocol

LONGEST_SECONDS = 2
"""The least that ``Retry-After`` ever says; after it a caller is heard in any case."""


class Connection(Protocol):
    """One caller's connection, of which nothing is read for a while."""

    def stop_reading(self) -> None:
        """Leaves what comes in the kernel's buffers, which slow the sender down."""

    def read_on(self) -> None:
        """Reads again."""


class Throttle:
    """The connections that are not read, the longest waiting first."""

    def __init__(self) -> None:
        self._held: dict[Connection, TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, connection: Connection) -> None:
        """Stops reading until :meth:`let_one_in` comes to this one, or for LONGEST_SECONDS."""
        if connection in self._held:
            return
        connection.stop_reading()
        timer = asyncio.get_running_loop().call_later(LONGEST_SECONDS, self.let_in, connection)
        self._held[connection] = timer

    def let_in(self, connection: Connection) -> None:
        """Reads this one again."""
        timer = self._held.pop(connection, None)
        if timer is not None:
            timer.cancel()
            connection.read_on()

    def let_one_in(self) -> None:
        """Reads the one again that waits longest, if any waits."""
        if self._held:
            self.let_in(next(iter(self._held)))
