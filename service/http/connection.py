"""HTTP/1.1 on one connection: requests in, answers out, and what a peer may not do.

uvicorn listens, counts connections and stops them; its own protocol builds for each request what
any ASGI application may want to know, which takes longer than to answer one here. This one builds
an :class:`Request` and nothing else. The grammar is llhttp's, through httptools.

Every wait for the peer has an end, heads have a largest size, what is no HTTP is answered in the
service's own form, and the request of a caller who has left is ended.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.api.request import BROKEN, LATE, LEFT, Request
from service.errors import BodyTimeout, Fault, HeadersTooLarge, Malformed, PathTooLong
from service.http.dispatch import Dispatcher
from service.http.timer import Timer
from service.http.write_timeout import WriteTimeout

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
_NO_REQUEST = Malformed("this is not a well-formed HTTP/1.1 request")
_NOT_ONE_HOST = Malformed("a request has one Host field (RFC 9112, section 3.2)")
_TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS.value
_NOTHING, _HEAD, _BODY = range(3)
"""What is arriving: no request, its head, its body."""


class Connection(asyncio.Protocol):
    """One connection; its bounds in time are the ``Dispatcher``'s settings."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        dispatcher = config.loaded_app
        assert isinstance(dispatcher, Dispatcher)
        self._dispatcher, self._settings = dispatcher, dispatcher.settings
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        # A request that came with one that asks to close is parsed, and never run.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.transport: asyncio.Transport
        self.unread: WriteTimeout
        self._url, self._fields = b"", list[tuple[bytes, bytes]]()
        self._arriving_part = _NOTHING
        self._fed = self._head_bytes = 0
        self._refusal: Fault | None = None
        self._arriving: Request | None = None
        self._running: Request | None = None
        self._waiting: deque[Request] = deque()
        self._clock = Timer(self._loop, self._late)

    @property
    def others(self) -> int:
        """How many requests are under way on all connections, besides one here."""
        return len(self._server.tasks) - 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the clock for the first request's head."""
        self.transport = transport  # type: ignore[assignment]
        self.unread = WriteTimeout(self.transport, self._loop, self._settings.keep_alive_s)
        self._server.connections.add(self)  # type: ignore[arg-type]
        self._clock.set(self._settings.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what still runs for the caller who left."""
        self._server.connections.discard(self)
        self._clock.end()
        if self._running is not None:
            self._running.cancel(LEFT)
        self.unread.end()

    def pause_writing(self) -> None:
        """The peer does not read what was written."""
        self.unread.pause()

    def resume_writing(self) -> None:
        """The peer has read enough."""
        self.unread.resume()

    def shutdown(self) -> None:
        """Closes with the answer to what runs; uvicorn calls it when the service stops."""
        if self._running is None:
            self.unread.close()
        else:
            self._running.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and sets the clock for what is waited for next."""
        if self._arriving_part != _BODY and data.find(b"pgrade", 0, data.find(b"\r\n\r\n")) >= 0:
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"\r\nX-Asked", head) + end + rest
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._broken(self._refusal or _NO_REQUEST)
            return
        if self._arriving_part == _HEAD:
            # The parser keeps an unfinished field to itself, so the pieces are counted here.
            self._head_bytes += self._fed
            if self._head_bytes > HEAD_LIMIT:
                self._broken(_HEAD_TOO_LARGE)
                return
        if not self._clock.is_set:
            self._wait_for_peer()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._arriving_part = _HEAD
        self._url, self._fields = b"", []
        self._head_bytes = -self._fed  # of the piece in which it begins, most may be a body
        self._clock.unset()

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
        if self._fed > HEAD_LIMIT or self._head_bytes >= 0:
            # One piece, and not a large one: then the fields cannot add up to more than the limit.
            head_bytes = sum(len(name) + len(value) for name, value in self._fields)
            if head_bytes > HEAD_LIMIT:
                self._raise(_HEAD_TOO_LARGE)
        parser = self._parser
        path, query = self._dispatcher.paths.get(self._url) or _path_and_query(self._url)
        fields = dict(self._fields)
        if b"host" not in fields or len(fields) < len(self._fields):
            hosts = sum(name == b"host" for name, _ in self._fields)
            if hosts > 1 or (parser.get_http_version() == "1.1" and not hosts):
                self._raise(_NOT_ONE_HOST)
        request = Request(parser.get_method().decode(), path, query, fields, self)
        request.keep_alive = parser.should_keep_alive() and (
            b"connection" not in fields or parser.get_http_version() != "1.0"
        )
        self._arriving, self._arriving_part = request, _BODY
        self._clock.unset()
        if self._running is None:
            self._run(request)
        else:  # pipelined: to be answered in order
            self.transport.pause_reading()
            self._waiting.append(request)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body; after the answer it is only read to its end."""
        assert self._arriving is not None
        self._arriving.put(piece)

    def on_message_complete(self) -> None:
        """The request is there, whole."""
        assert self._arriving is not None
        self._arriving_part = _NOTHING
        self._clock.unset()
        self._arriving.end()
        if self._running is None and not self._arriving.keep_alive:
            self.unread.close()
        elif self._running is self._arriving:  # else it would not be noticed that the peer leaves
            self.transport.resume_reading()

    def write(self, request: Request, status: int, head: bytes, body: bytes) -> None:
        """Writes an answer, whose ``head`` is its header lines, and goes on to the next request."""
        transport = self.transport
        if self._dispatcher.draining:
            request.keep_alive = False
        self._running = None
        if request.task is not None:
            self._server.tasks.discard(request.task)
        self._server.total_requests += 1
        if transport.is_closing():
            return
        if request.method == "HEAD":
            body = b""
        transport.write(self._lines(status, request.keep_alive) + head + b"\r\n" + body)
        if not request.keep_alive:
            self._close_after(request)
            return
        if self._waiting:
            self._run(self._waiting.popleft())
        if status == _TOO_MANY:
            self._dispatcher.refused.hold(self)
        elif not self._waiting:
            transport.resume_reading()
        self._wait_for_peer()

    def stop_reading(self) -> None:
        """Leaves unread what comes."""
        self.transport.pause_reading()

    def read_on(self) -> None:
        """Reads again, where the connection is still there."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _run(self, request: Request) -> None:
        self._running = request
        request.task = task = self._loop.create_task(self._dispatcher.serve(request))
        self._server.tasks.add(task)

    def _close_after(self, request: Request) -> None:
        """Closes once the rest of the body came, or late: closed before, the answer may be lost."""
        if request is self._arriving and self._arriving_part == _BODY and not request.fate:
            self.transport.write_eof()
            self.transport.resume_reading()
            self._wait_for_peer()
        else:
            self.unread.close()

    def _lines(self, status: int, keep_alive: bool) -> bytes:
        """The status line, and the fields that every answer has."""
        lines = _STATUS_LINES[status]
        for field in self._server.default_headers:
            lines += b"%b: %b\r\n" % field
        return lines if keep_alive else lines + b"connection: close\r\n"

    def _wait_for_peer(self) -> None:
        """Sets when the peer is late with what is waited for; before its turn nothing is."""
        settings, part = self._settings, self._arriving_part
        if self._running is None:
            bounds = settings.keep_alive_s, settings.header_timeout_s, LINGER_SECONDS
            self._clock.set(bounds[part])
        elif part == _BODY and self._running is self._arriving:
            self._clock.set(settings.body_timeout_s)
        else:
            self._clock.unset()

    def _late(self) -> None:
        if self._running is not None:
            self._running.keep_alive = False
            self._running.cancel(LATE)
        elif self._arriving_part == _HEAD:
            self._refuse(BodyTimeout("the request's head did not arrive in time"))
        else:
            self.unread.close()

    def _raise(self, fault: Fault) -> None:
        """Ends the parsing, with this answer."""
        self._refusal = fault
        raise ValueError(fault.detail)

    def _broken(self, fault: Fault) -> None:
        """Ends the connection at what cannot be read, after the answers to what came before it."""
        running, part = self._running, self._arriving_part
        if running is not None and part == _BODY and running is self._arriving:
            running.keep_alive = False
            running.cancel(BROKEN)
        elif running is not None:
            self.transport.pause_reading()
            if part == _BODY:
                self._waiting.pop()
            self._arriving_part = _NOTHING
            (self._waiting[-1] if self._waiting else running).keep_alive = False
        elif part == _BODY:  # of a request that has its answer
            self.unread.close()
        else:
            self._refuse(fault)

    def _refuse(self, fault: Fault) -> None:
        """Answers what did not become a request, and closes."""
        if self.transport.is_closing():
            return
        path = self._url.partition(b"?")[0].decode("latin-1")
        head, body = self._dispatcher.refuse(Request("-", path, b"", dict(self._fields)), fault)
        self.transport.write(self._lines(fault.status, keep_alive=False) + head + b"\r\n" + body)
        self.unread.close()


def _path_and_query(target: bytes) -> tuple[str, bytes]:
    """The path, decoded, and the query of a request's target (RFC 9112, section 3.2)."""
    parsed = httptools.parse_url(target)
    path: str = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.query or b""
