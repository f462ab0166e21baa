"""A request on a connection of ``serve``, its body while it arrives, and how it ended."""

import asyncio
from collections.abc import Callable
from io import BytesIO

from service.api.request import Reply, Request, too_large
from service.errors import BodyTimeout, Fault, Malformed, Unavailable
from service.http.dispatch import render

LEFT = 499  # the status in log and metrics if the caller left before the answer, as in nginx
UNREAD_BYTES = 65_536  # the connection stops reading when this much of a body waits to be used
_PART_BYTES = 1 << 17  # a body is collected in parts of at least this size

# Why a request is cancelled before its answer.
GONE = Unavailable("the caller has left")
LATE = BodyTimeout("the body did not arrive in time")
BROKEN = Malformed("the body breaks off in the middle of its transfer encoding")
_STOPPED = Unavailable("the service stopped before the answer")


class ArrivingBody:
    """The pieces of a body that have arrived and are not used yet."""

    size = 0  # bytes in pieces
    complete = False
    more: asyncio.Future[None] | None = None  # the wait for another piece

    def __init__(self, transport: asyncio.Transport, continue_expected: bool = False) -> None:
        self.transport, self.pieces = transport, list[bytes]()
        self.continue_expected = continue_expected
        """Whether the caller waits for ``100 Continue`` before it sends (RFC 9110, 10.1.1)."""

    def wake(self) -> None:
        """Ends the wait for another piece."""
        if self.more is not None and not self.more.done():
            self.more.set_result(None)

    async def read(self, limit: int, hold: Callable[[int], None]) -> list[bytes]:
        """Waits for the whole body. Raises TooLarge, or what ``hold`` raises, as it grows.

        Joins small pieces, which take more memory than their bytes. It joins no more than that:
        a large body that grows is copied again and again, for milliseconds.
        """
        if self.continue_expected:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts, part = list[bytes](), BytesIO()
        size = 0
        while True:
            part.writelines(self.pieces)
            if part.tell() > _PART_BYTES:
                parts.append(part.getvalue())
                part = BytesIO()
            size += self.size
            if size > limit:
                raise too_large(limit)
            hold(size)
            self.pieces, self.size = [], 0
            if self.complete:
                return [*parts, part.getvalue()]
            self.transport.resume_reading()
            self.more = asyncio.get_running_loop().create_future()
            await self.more


class Exchange:
    """One request of a connection."""

    is_old = False
    """Whether the caller speaks HTTP/1.0 and must be told that its connection stays open."""
    waited = False  # whether it came before the answer to the one before it
    ending: Fault | None = None  # why this door cancelled the request; None if it did not
    answered = False

    def __init__(self, request: Request, body: ArrivingBody, keep_alive: bool) -> None:
        self.request, self.body, self.keep_alive = request, body, keep_alive

    def cancelled(self) -> tuple[Reply, int]:
        """The reply of a cancelled request, and the status that the log and the metrics show."""
        if self.ending is GONE:
            return Reply(b"", 503), LEFT
        if task := asyncio.current_task():
            task.uncancel()
        reply = render(self.ending or _STOPPED, self.request.path)
        return reply, reply.status
