"""A timer that each request resets at almost no cost."""

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


class WriteTimeout:
    """Aborts the connection of a peer who reads nothing for ``patience_s`` seconds."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, patience_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._patience_s = patience_s
        self._timer = Timer(loop, self._look)
        self._bytes = 0
        self.room: asyncio.Future[None] | None = None
        """Is done when the next answer may be written; None if it may be written now."""

    def pause(self) -> None:
        """Delays further answers: the write buffer is full."""
        self.room = self._loop.create_future()
        self._wait()

    def resume(self) -> None:
        """Lets answers be written again: the peer has read most of the buffer."""
        if self.room is not None and not self.room.done():
            self.room.set_result(None)
        self.room = None
        if not self._transport.is_closing():
            self._timer.due = None

    def close(self) -> None:
        """Closes the connection when the peer has read everything."""
        self._transport.close()
        self._wait()

    def end(self) -> None:
        """Stops the timer of a closed connection, and wakes the answer that waits."""
        self._timer.end()
        self.resume()

    def _wait(self) -> None:
        self._bytes = self._transport.get_write_buffer_size()
        if self._bytes:
            self._timer.set(self._patience_s)

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() < self._bytes:
            self._wait()
        else:
            self._transport.abort()
