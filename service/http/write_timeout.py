"""What was written to a peer and is not read yet: no more is written, and the wait has an end."""

from __future__ import annotations

import asyncio

from service.http.timer import Timer


class WriteTimeout:
    """A peer who reads nothing for ``patience_s`` seconds is left, whatever remains for it."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, patience_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._patience_s = patience_s
        self._timer = Timer(loop, self._look)
        self._bytes = 0
        self.room: asyncio.Future[None] | None = None
        """Is done when an answer may be written; None where it may now."""

    def pause(self) -> None:
        """There is so much that no more should be written."""
        self.room = self._loop.create_future()
        self._wait()

    def resume(self) -> None:
        """Most was read."""
        if self.room is not None and not self.room.done():
            self.room.set_result(None)
        self.room = None
        if not self._transport.is_closing():
            self._timer.due = None

    def close(self) -> None:
        """Closes the connection once all is read."""
        self._transport.close()
        self._wait()

    def end(self) -> None:
        """The connection is closed."""
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
