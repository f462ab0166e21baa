"""Bounds the answers that wait for a peer to read them, in bytes and in time."""

from __future__ import annotations

import asyncio

from service.http.timer import Timer


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
