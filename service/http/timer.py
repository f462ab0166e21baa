"""A timer that is set anew with every request, and hardly touched for it."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable


class Timer:
    """Calls ``ring`` once it is due.

    To be set to a later time costs it no call of the event loop: that it was is seen when it would
    have been due.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> None:
        self._loop = loop
        self._ring = ring
        self._due: float | None = None
        self._handle: TimerHandle | None = None
        self._handle_at = 0.0

    @property
    def is_set(self) -> bool:
        """Whether it will ring."""
        return self._due is not None

    def set(self, seconds: float) -> None:
        """Makes it due in so many seconds."""
        self._due = due = self._loop.time() + seconds
        if self._handle is not None:
            if self._handle_at <= due:
                return
            self._handle.cancel()
        self._wait_until(due)

    def unset(self) -> None:
        """Makes it never due, until it is set again."""
        self._due = None

    def end(self) -> None:
        """Lets it go."""
        self._due = None
        if self._handle is not None:
            self._handle.cancel()

    def _wait_until(self, due: float) -> None:
        self._handle_at = due
        self._handle = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._handle = None
        due = self._due
        if due is None:
            return
        if due - self._loop.time() > 0.001:
            self._wait_until(due)
            return
        self._due = None
        self._ring()
