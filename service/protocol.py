"""HTTP/1.1 on one connection: requests in, answers out, and what a peer may not do.

uvicorn listens, counts connections and stops them; its own protocol builds for each request what
any ASGI application may want to know, which takes longer than to answer one here. This one builds
an :class:`Exchange` and nothing else. The grammar is llhttp's, through httptools.

Every wait for the peer has an end, heads have a largest size, what is no HTTP is answered in the
service's own form, and the request of a caller who has left is ended.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.errors import BodyTimeout, Fault, HeadersTooLarge, Malformed, PathTooLong
from service.exchange import BROKEN, LATE, LEFT, Exchange
from service.http import Edge

if TYPE_CHECKING:
    from asyncio import TimerHandle

PATH_LIMIT = 8 << 10
HEAD_LIMIT = 64 << 10
LINGER_SECONDS = 5.0
"""How long a body that was refused half-way is still read and dropped, so that its sender gets to
see the answer instead of a reset connection."""

# The parser ends a request that asks for an upgrade with its head, and its body is lost: HTTP/2
# clients such as Java's and curl's ask so with their first POST. It must not see the field.
_UPGRADE = re.compile(rb"\r\nUpgrade(?=[ \t]*:)", re.IGNORECASE)

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
_HEAD_TOO_LARGE = HeadersTooLarge(f"the request's head is larger than {HEAD_LIMIT} bytes")
_NO_HOST = Malformed("the request has no Host field (RFC 9112, section 3.2)")
_TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS.value
_NOTHING, _HEAD, _BODY = range(3)
"""What is arriving: no request, its head, its body."""


class Connection(asyncio.Protocol):
    """One connection; its bounds in time are the ``Edge``'s settings."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        edge = config.loaded_app
        assert isinstance(edge, Edge)
        self._edge, self._settings = edge, edge.settings
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        # A request that came with one that asks to close is parsed, and never run.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.transport: asyncio.Transport
        self._url, self._fields = b"", list[tuple[bytes, bytes]]()
        self._arriving_part = _NOTHING
        self._head_bytes = self._feeding = 0
        self._refusal: Fault | None = None
        self._arriving: Exchange | None = None
        self._running: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._due: float | None = None
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0
        self.full: asyncio.Future[None] | None = None
        """Is done when the peer has read enough for an answer to be written; None where it has."""

    @property
    def others(self) -> int:
        """How many requests are under way on all connections, besides one here."""
        return len(self._server.tasks) - 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the clock for the first request's head."""
        self.transport = transport  # type: ignore[assignment]
        self._server.connections.add(self)  # type: ignore[arg-type]
        self._due_in(self._settings.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what still runs for the caller who left."""
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        if self._running is not None:
            self._running.cancel(LEFT)

    def pause_writing(self) -> None:
        """The peer does not read what was written."""
        self.full = self._loop.create_future()

    def resume_writing(self) -> None:
        """The peer has read enough."""
        if self.full is not None and not self.full.done():
            self.full.set_result(None)
        self.full = None

    def shutdown(self) -> None:
        """Closes with the answer to what runs; uvicorn calls it when the service stops."""
        if self._running is None:
            self.transport.close()
        else:
            self._running.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and keeps the clock running only while a request is incomplete."""
        if self._arriving_part != _BODY and data.find(b"pgrade", 0, data.find(b"\r\n\r\n")) >= 0:
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"\r\nX-Asked", head) + end + rest
        self._feeding = self._head_bytes + len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._broken()
            return
        part = self._arriving_part
        if part == _NOTHING:
            return
        if part == _HEAD:
            # The parser keeps an unfinished field to itself, so the pieces are counted here.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT:
                self._refuse(_HEAD_TOO_LARGE)
        if self._due is None:
            settings = self._settings
            self._due_in(settings.header_timeout_s if part == _HEAD else settings.body_timeout_s)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._arriving_part = _HEAD
        self._url, self._fields = b"", []
        self._head_bytes = 0
        self._due = None

    def on_url(self, url: bytes) -> None:
        """A piece of the path and query."""
        self._url += url
        if len(self._url) > PATH_LIMIT:
            self._raise(PathTooLong(f"path and query are longer than {PATH_LIMIT} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer, which nothing here reads."""
        if self._arriving_part == _HEAD:
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is there, so the request can be begun."""
        if self._feeding > HEAD_LIMIT:
            # Only then can the fields add up to more than the limit.
            head_bytes = sum(len(name) + len(value) for name, value in self._fields)
            if head_bytes > HEAD_LIMIT:
                self._raise(_HEAD_TOO_LARGE)
        parser = self._parser
        path, query = self._edge.paths.get(self._url) or _path_and_query(self._url)
        fields = dict(self._fields)
        if b"host" not in fields and parser.get_http_version() == "1.1":
            self._raise(_NO_HOST)
        exchange = Exchange(parser.get_method().decode(), path, query, fields, self)
        exchange.keep_alive = parser.should_keep_alive() and (
            b"connection" not in fields or parser.get_http_version() != "1.0"
        )
        self._arriving, self._arriving_part, self._due = exchange, _BODY, None
        if self._running is None:
            self._run(exchange)
        else:  # pipelined: to be answered in order
            self.transport.pause_reading()
            self._waiting.append(exchange)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body; after the answer it is only read to its end."""
        assert self._arriving is not None
        self._arriving.put(piece)

    def on_message_complete(self) -> None:
        """The request is there, whole."""
        assert self._arriving is not None
        self._arriving_part, self._due = _NOTHING, None
        self._arriving.end()
        if self._running is None:
            self._due_in(self._settings.keep_alive_s)

    def write(self, exchange: Exchange, status: int, head: bytes, body: bytes) -> None:
        """Writes an answer, whose ``head`` is its header lines, and goes on to the next request."""
        transport = self.transport
        if self._edge.draining:
            exchange.keep_alive = False
        self._running = None
        if exchange.task is not None:
            self._server.tasks.discard(exchange.task)
        self._server.total_requests += 1
        if transport.is_closing():
            return
        if exchange.method == "HEAD":
            body = b""
        transport.write(self._lines(status, exchange.keep_alive) + head + b"\r\n" + body)
        if not exchange.keep_alive:
            transport.close()
            return
        if status == _TOO_MANY:
            self._edge.refused.hold(self)
        else:
            transport.resume_reading()
        if self._waiting:
            self._run(self._waiting.popleft())
        elif self._arriving_part == _BODY:
            self._due_in(LINGER_SECONDS)
        elif self._arriving_part == _NOTHING:
            self._due_in(self._settings.keep_alive_s)

    def stop_reading(self) -> None:
        """Leaves unread what comes."""
        self.transport.pause_reading()

    def read_on(self) -> None:
        """Reads again, where the connection is still there."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _run(self, exchange: Exchange) -> None:
        self._running = exchange
        exchange.task = task = self._loop.create_task(self._edge.serve(exchange))
        self._server.tasks.add(task)

    def _lines(self, status: int, keep_alive: bool) -> bytes:
        """The status line, and the fields that every answer has."""
        lines = _STATUS_LINES[status]
        for field in self._server.default_headers:
            lines += b"%b: %b\r\n" % field
        return lines if keep_alive else lines + b"connection: close\r\n"

    def _due_in(self, seconds: float) -> None:
        """Sets when the peer is late; on a connection that is kept, the timer is seldom touched."""
        self._due = due = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_at(due, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._timer = None
        due = self._due
        if due is None:
            return
        if due - self._loop.time() > 0.001:
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._look_at_the_clock)
            return
        self._due = None
        running = self._running
        if self._arriving_part == _HEAD:
            self._refuse(BodyTimeout("the request's head did not arrive in time"))
        elif self._arriving_part == _BODY and running is self._arriving and running is not None:
            running.keep_alive = False
            running.cancel(LATE)
        else:
            self.transport.close()

    def _raise(self, fault: Fault) -> None:
        """Ends the parsing, with this answer."""
        self._refusal = fault
        raise ValueError(fault.detail)

    def _broken(self) -> None:
        """Answers what the parser refused, in the service's own form, and closes."""
        running = self._running
        if running is None:
            self._refuse(self._refusal or Malformed("this is not a well-formed HTTP/1.1 request"))
        elif running is self._arriving and self._arriving_part == _BODY:
            running.keep_alive = False
            running.cancel(BROKEN)
        else:  # to requests before this one there are answers under way, which end the connection
            if self._arriving_part == _BODY:
                self._waiting.pop()
            self._arriving_part = _NOTHING
            (self._waiting[-1] if self._waiting else running).keep_alive = False

    def _refuse(self, fault: Fault) -> None:
        """Answers what did not become a request, unless another answer is still under way."""
        if self.transport.is_closing():
            return
        path = self._url.partition(b"?")[0].decode("latin-1")
        head, body = self._edge.refuse(Exchange("-", path, b"", dict(self._fields)), fault)
        self.transport.write(self._lines(fault.status, keep_alive=False) + head + b"\r\n" + body)
        self.transport.close()


def _path_and_query(target: bytes) -> tuple[str, bytes]:
    """The path, decoded, and the query of a request's target (RFC 9112, section 3.2)."""
    parsed = httptools.parse_url(target)
    path: str = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.query or b""
