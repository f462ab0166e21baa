"""A timer that each request resets at almost no cost."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable


class Timer:
    """Calls ``ring`` at ``due`` on the loop's clock; set it to None or later directly."""

    __slots__ = ("_handle", "_loop", "_ring", "due", "fires_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: TimerHandle | None = None
        self.due: float | None = None
        self.fires_at: float = float("inf")
        """When the loop's timer fires; infinity if there is none."""

    def set(self, seconds: float) -> None:
        """Makes the timer due after ``seconds``."""
        self.due = due = self._loop.time() + seconds
        if self.fires_at > due:
            if self._handle is not None:
                self._handle.cancel()
            self._start(due)

    def end(self) -> None:
        """Stops the timer for good."""
        self.due = None
        if self._handle is not None:
            self._handle.cancel()

    def _start(self, due: float) -> None:
        self.fires_at = due
        self._handle = self._loop.call_at(due, self._fire)

    def _fire(self) -> None:
        self._handle, self.fires_at = None, float("inf")
        due = self.due
        if due is None:
            return
        if due - self._loop.time() > 0.001:
            self._start(due)
            return
        self.due = None
        self._ring()
