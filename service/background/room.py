"""Room for what threads hold in memory at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep

from service.background.large_work import give_way
from service.errors import TooLarge

_SMALL = 1 / 64
"""The part of the room below which nothing is counted, so that small work never waits."""
_PAUSE_SECONDS = 0.005


class Room:
    """Bytes that threads share: each waits until there is room for what it needs."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, amount: int, what: str) -> Iterator[None]:
        """Holds ``amount`` bytes. Raises :class:`TooLarge` if there is never room for them.

        While it waits, other callers' work goes on, and late or abandoned work stops.
        """
        if amount > self._size:
            most = f"at most {self._size:,} are there for all pictures"
            raise TooLarge(f"{what} takes {amount:,} bytes of memory; {most}")
        if amount < _SMALL * self._size:
            amount = 0
        while not self._take(amount):
            sleep(_PAUSE_SECONDS)
            give_way()
        try:
            yield
        finally:
            with self._lock:
                self._free += amount

    def _take(self, amount: int) -> bool:
        with self._lock:
            if amount > self._free:
                return False
            self._free -= amount
            return True
