"""The far end of a connection of ``serve``: its requests, their arriving bodies, and its waits."""

import asyncio
from asyncio import TimerHandle
from collections.abc import Awaitable, Callable
from io import BytesIO

from uvicorn.config import Config
from uvicorn.server import ServerState

from service.api.request import Reply, Request, too_large
from service.background.large_work import rest_after_reading
from service.errors import BodyTimeout, Fault, Malformed, Unavailable
from service.http import heads
from service.http.dispatch import head, render
from service.http.door import FastDoor

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
            read, self.pieces, self.size = self.size, [], 0
            size += read
            if size > limit:
                raise too_large(limit)
            hold(size)
            if self.complete:
                return [*parts, part.getvalue()]
            if size > UNREAD_BYTES:
                await rest_after_reading(read)
            if not self.complete:
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


class Timer:
    """Calls ``ring`` at ``due`` on the loop's clock; set that to None or later directly.

    So each request resets it at almost no cost.
    """

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


class Peer(asyncio.Protocol):
    """One accepted connection, before and beside its requests."""

    late: Callable[[], None]  # what the connection waits for did not come in time
    answer: Callable[[Exchange], Awaitable[None]]
    transport: asyncio.Transport
    room: asyncio.Future[None] | None = None
    """Is done when the next answer may be written; None if it may be written now."""
    _unread = 0  # bytes that the peer had not read when the timeout began

    def __init__(
        self, config: Config, server_state: ServerState, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        door = config.loaded_app
        assert isinstance(door, FastDoor)
        self._throttle, self._dispatcher = door.throttle, door.dispatcher
        self._core, self._settings = door.core, door.core.settings
        self._server = server_state
        self._loop = loop or asyncio.get_running_loop()
        self._address, self._arrived = "", ("", 0)
        self._clock = Timer(self._loop, self.late)
        self._reads = Timer(self._loop, self._look)
        self.running: Exchange | None = None
        self._due: asyncio.Future[Exchange]  # the request that runs next
        self.task: asyncio.Task[None] | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the timeout of the first head."""
        self.transport = transport  # type: ignore[assignment]
        name = transport.get_extra_info("peername")
        self._address = str(name[0]) if isinstance(name, tuple) else ""
        self._arrived = transport.get_extra_info("sockname")[:2]
        self._server.connections.add(self)  # type: ignore[arg-type]
        self._clock.set(self._settings.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the request of the caller who has left."""
        self._server.connections.discard(self)
        self._clock.end()
        self._lost = True
        if self.running is not None:
            self.cancel(self.running, GONE)
        elif self.task is not None:
            self.task.cancel()
        self._reads.end()
        self.resume_writing()

    def run(self, exchange: Exchange) -> None:
        """Runs a request; none may be running."""
        self.running, task = exchange, self.task
        if task is None or task.done():
            self._due = self._loop.create_future()
            self.task = task = self._loop.create_task(self._work())
        self._due.set_result(exchange)
        self._server.tasks.add(task)

    def cancel(self, exchange: Exchange, ending: Fault) -> None:
        """Cancels the running request before its answer."""
        if exchange.ending is None:
            exchange.ending = ending
            # Not at once: a task that is cancelled before its first step never gets to answer.
            self._loop.call_soon(self._interrupt, exchange)

    def _interrupt(self, exchange: Exchange) -> None:
        if self.running is exchange and self.task is not None:
            self.task.cancel()

    async def _work(self) -> None:
        """Answers one request after the other; a task for each would cost some 2 us more."""
        while not self._lost:
            exchange = await self._due
            self._due = self._loop.create_future()
            await self.answer(exchange)

    def pause_writing(self) -> None:
        """Delays further answers: the write buffer is full."""
        self.room = self._loop.create_future()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """Lets answers be written again: the peer has read most of the buffer."""
        if self.room is not None and not self.room.done():
            self.room.set_result(None)
        self.room = None
        if not self.transport.is_closing():
            self._reads.due = None

    def close(self) -> None:
        """Closes when the peer has read everything, or reads nothing for ``keep_alive_s``."""
        self.transport.close()
        self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        if self._unread:
            self._reads.set(self._settings.keep_alive_s)

    def _look(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread:
            self._wait_for_reader()
        else:
            self.transport.abort()

    def reject(self, fault: Fault, url: bytes, fields: heads.Fields) -> None:
        """Answers bytes that did not become a request, and closes."""
        if self.transport.is_closing():
            return
        path, body = url.partition(b"?")[0].decode("latin-1"), ArrivingBody(self.transport)
        request = Request(self._core, "-", path, dict(fields), body, address=self._address)
        reply = render(fault, path)
        lines, _ = head(request, reply, self._server.default_headers, keep_alive=False)
        self._dispatcher.record(request, reply.status, 0.0, len(reply.body))
        self.transport.write(lines + reply.body)
        self.close()
