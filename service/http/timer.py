"""A timer that each request resets at almost no cost."""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable


class Timer:
    """Calls ``ring`` at ``due`` on the loop's clock; set it to None or later directly."""

    __slots__ = ("_handle", "_loop", "_ring", "due")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> None:
        self._loop, self._ring = loop, ring
        self._handle: TimerHandle | None = None
        self.due: float | None = None

    def set(self, seconds: float) -> None:
        """Makes the timer due after ``seconds``; the loop's own fires then, or sooner."""
        due = self._loop.time() + seconds
        if self._handle is None or self._handle.when() > due:
            self.end()
            self._handle = self._loop.call_at(due, self._fire)
        self.due = due

    def end(self) -> None:
        """Stops the timer."""
        self.due = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        rest = 0.0 if self.due is None else self.due - self._loop.time()
        if rest > 0.001:
            self.set(rest)
        elif self.due is not None:
            self.due = None
            self._ring()
