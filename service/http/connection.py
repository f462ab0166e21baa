"""HTTP/1.1 on one connection of ``serve``: requests in, answers out, and the bounds for a peer.

uvicorn opens, counts and closes the connections. This protocol replaces uvicorn's own, whose ASGI
scope for each request takes longer to build than a prediction takes. llhttp parses, by httptools.
"""

import asyncio
from collections import deque
from typing import Any, NoReturn

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.api.request import Headers, Reply, Request
from service.errors import Fault, QueueFull
from service.http import heads
from service.http.dispatch import head
from service.http.peer import BROKEN, LATE, LEFT, UNREAD_BYTES, ArrivingBody, Exchange, Peer

_NOTHING, _HEAD, _BODY = range(3)  # what arrives now: no request, its head, or its body


class Connection(Peer):
    """One connection. Its timeouts come from the settings."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, _loop)
        self._parser = httptools.HttpRequestParser(self)
        # Parse what follows a request that asks to close; it is never run.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._url, self._fields = b"", list[tuple[bytes, bytes]]()
        self._host: bytes | None = None  # the last that was checked
        self._part = _NOTHING
        self._fed = self._head_bytes = self._framing = 0
        self._kept, self._unread_answer = b"", (0, "")
        self._rejection: Fault | None = None
        self._arriving: Exchange | None = None
        self._waiting: deque[Exchange] = deque()

    def shutdown(self) -> None:
        """Closes after the answer to the running request; uvicorn calls this at a stop."""
        if self.running is None:
            self.close()
        else:
            self.running.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and starts the timeout of whatever must arrive next."""
        if self._part == _BODY:
            self._framing += len(data)
        else:
            end = data.find(heads.HEAD_END)
            whole = self._part == _NOTHING and not self._kept and end >= 0
            if not whole or len(data) > heads.HEAD_LIMIT or data.find(b"pgrade", 0, end) >= 0:
                data, self._kept, size = heads.without_upgrade(self._kept + data)
                self._head_bytes += size
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._broken(self._rejection or heads.NO_REQUEST)
            return
        # The parser keeps unfinished fields and chunk extensions to itself; they are counted here.
        if self._part == _HEAD and self._head_bytes > heads.HEAD_LIMIT:
            self._broken(heads.HEAD_TOO_LARGE)
        elif self._part == _BODY and self._framing > heads.FRAMING_LIMIT:
            self._broken(heads.FRAMING_TOO_LARGE)
        elif self._clock.due is None:
            self._wait_for_peer()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._part = _HEAD
        self._url, self._fields = b"", []
        self._clock.due = None

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url
        if len(self._url) > heads.PATH_LIMIT:
            self._raise(heads.PATH_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer, which is counted and ignored."""
        if self._part == _HEAD:
            self._fields.append((name.lower(), value))
            return
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > heads.FRAMING_LIMIT:
            self._raise(heads.FRAMING_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head has arrived: the request starts, or waits for its turn."""
        # A head that does not begin its piece is not counted: its fields are.
        size = self._head_bytes
        if not size and self._fed > heads.HEAD_LIMIT:
            size = sum(len(name) + len(value) + 4 for name, value in self._fields)
        if size > heads.HEAD_LIMIT:
            self._raise(heads.HEAD_TOO_LARGE)
        self._head_bytes = self._framing = 0
        parser, url, fields = self._parser, self._url, dict(self._fields)
        host, is_plain = fields.get(b"host"), url.startswith(b"/")
        if not is_plain or host is None or host != self._host or len(fields) < len(self._fields):
            checked = heads.checked(url, self._fields, parser.get_http_version())
            if isinstance(checked, Fault):
                self._raise(checked)
            url, fields = checked
            self._host = fields.get(b"host")
        path, query = heads.path_and_query(url)
        body = ArrivingBody(self.transport)
        if b"expect" in fields:
            body.continue_expected = fields[b"expect"].lower() == b"100-continue"
        what = parser.get_method().decode(), path, fields, body
        request = Request(self._core, *what, query=query, address=self._address)
        request.under_way = self._server.tasks
        request.server, request.port = self._arrived
        exchange = Exchange(request, body, parser.should_keep_alive())
        if b"connection" in fields and parser.get_http_version() == "1.0":
            exchange.is_old = True
            exchange.keep_alive = exchange.keep_alive and b"transfer-encoding" not in fields
        self._arriving, self._part = exchange, _BODY
        self._clock.due = None
        if self.running is None:
            self.run(exchange)
        else:  # pipelined: it runs after the requests before it
            self.transport.pause_reading()
            exchange.waited = True
            self._waiting.append(exchange)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body. After the answer, the rest of a body is dropped."""
        exchange = self._arriving
        assert exchange is not None
        if self._framing:  # as Go's net/http, excuse what small chunks cost
            self._framing = max(0, self._framing - 3 * len(piece) - 16)
        if exchange.answered:
            return
        body = exchange.body
        body.pieces.append(piece)
        body.size += len(piece)
        if body.size > UNREAD_BYTES:
            self.transport.pause_reading()
        body.wake()

    def on_message_complete(self) -> None:
        """The request has arrived whole."""
        exchange = self._arriving
        assert exchange is not None
        self._part = _NOTHING
        self._clock.due = None
        if self._head_bytes:  # trailers: one may ask to close
            self._head_bytes = 0
            exchange.keep_alive = exchange.keep_alive and self._parser.should_keep_alive()
        exchange.body.complete = True
        exchange.body.wake()
        if self.running is None and not exchange.keep_alive:
            self.close()
        elif self.running is exchange:  # reading goes on, to notice a caller who leaves
            self.transport.resume_reading()

    async def answer(self, exchange: Exchange) -> None:
        """Waits for the reply and writes it, also after a cancellation."""
        try:
            if exchange.waited:  # other connections have their turn
                await asyncio.sleep(0)
            reply = await self._dispatcher.answer(exchange.request)
            status = reply.status
        except asyncio.CancelledError:
            reply, status = exchange.cancelled()
        if self.room is not None:
            try:
                await self.room
            except asyncio.CancelledError:
                status = LEFT  # the caller left without having read the answers before
        self._write(exchange, reply, status)

    def _write(self, exchange: Exchange, reply: Reply, status: int) -> None:
        """Writes and records an answer, and starts the next request."""
        transport, request = self.transport, exchange.request
        if self._core.versions.draining:
            exchange.keep_alive = False
        exchange.answered, self.running = True, None
        self._server.tasks.discard(self.task)
        self._server.total_requests += 1
        exchange.body.pieces = []
        always: Headers = self._server.default_headers
        if exchange.is_old and exchange.keep_alive:
            always = [*always, (b"connection", b"keep-alive")]
        lines, seconds = head(request, reply, always, exchange.keep_alive)
        sent = 0 if request.method == "HEAD" else len(reply.body)
        self._dispatcher.record(request, status, seconds, sent)
        if transport.is_closing():
            return
        transport.write(lines if request.method == "HEAD" else lines + reply.body)
        if self.room is not None and not self._hold(sent, request.caller):
            transport.abort()
            return
        if not exchange.keep_alive:
            self._close_after(exchange)
            return
        if self._waiting:
            self.run(self._waiting.popleft())
        if reply.held is not None:
            self._throttle.hold(transport, until_room=reply.held is QueueFull)
        elif not self._waiting:
            transport.resume_reading()
        self._wait_for_peer()

    def _hold(self, size: int, caller: str) -> bool:
        """Charges the caller with an answer that it reads slowly; says whether it may."""
        bodies = self._core.bodies
        with bodies.lock:
            if fits := bodies.fits(size, caller):
                bodies.add(size, caller)
                self._unread_answer = size, caller
        return fits

    def resume_writing(self) -> None:
        """Lets answers be written again: the last has been read, or its reader is gone."""
        super().resume_writing()
        (size, caller), self._unread_answer = self._unread_answer, (0, "")
        if size:
            with self._core.bodies.lock:
                self._core.bodies.add(-size, caller)

    def _close_after(self, exchange: Exchange) -> None:
        """Closes once the rest of the body has arrived or timed out."""
        if exchange is self._arriving and self._part == _BODY and exchange.ending is None:
            if self.transport.can_write_eof():  # TLS has no half-closed connections
                self.transport.write_eof()
            self.transport.resume_reading()
            self._wait_for_peer()
        else:
            self.close()

    def _wait_for_peer(self) -> None:
        """Starts the timeout of what must arrive next; there is none while a request runs."""
        settings, part, clock = self._settings, self._part, self._clock
        if self.running is None:
            seconds = (settings.keep_alive_s, settings.header_timeout_s, heads.LINGER_SECONDS)[part]
        elif part == _BODY and self.running is self._arriving:
            seconds = settings.body_timeout_s
        else:
            clock.due = None
            return
        clock.set(seconds)

    def late(self) -> None:
        """Gives up what has not arrived in time."""
        if self.running is not None:
            self.running.keep_alive = False
            self.cancel(self.running, LATE)
        elif self._part == _HEAD:
            self.reject(heads.HEAD_LATE, self._url, self._fields)
        else:
            self.close()

    def _raise(self, fault: Fault) -> NoReturn:
        """Stops the parser; the connection answers with this fault."""
        self._rejection = fault
        raise ValueError(fault.detail)

    def _broken(self, fault: Fault) -> None:
        """Ends the connection at bytes that cannot be parsed, after the answers before them."""
        running, part = self.running, self._part
        if running is not None and part == _BODY and running is self._arriving:
            running.keep_alive = False
            self.cancel(running, BROKEN if fault is heads.NO_REQUEST else fault)
        elif running is not None:
            self.transport.pause_reading()
            if part == _BODY:
                self._waiting.pop()
            self._part = _NOTHING
            (self._waiting[-1] if self._waiting else running).keep_alive = False
        elif part == _BODY:  # of a request that has its answer
            self.close()
        else:
            self.reject(fault, self._url, self._fields)
