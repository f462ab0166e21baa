"""HTTP/1.1 on one connection of ``serve``: requests in, answers out, and the bounds for a peer.

uvicorn opens, counts and closes the connections. This protocol replaces uvicorn's own, whose ASGI
scope for each request takes longer to build than a prediction takes. The grammar is llhttp's,
through httptools. Every wait for the peer times out, heads have a maximum size, bytes that are no
HTTP get an error in the service's own form, and the request of a caller who left is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import chain
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.api.request import Reply, Request
from service.errors import Fault, QueueFull
from service.http import heads
from service.http.dispatch import head, render
from service.http.door import FastDoor
from service.http.exchange import BROKEN, GONE, LATE, LEFT, UNREAD_BYTES, ArrivingBody, Exchange
from service.http.timer import Timer
from service.http.write_timeout import WriteTimeout

_NOTHING, _HEAD, _BODY = range(3)
"""What arrives now: no request, its head, or its body."""


class Connection(asyncio.Protocol):
    """One connection. Its timeouts come from the settings."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        door = config.loaded_app
        assert isinstance(door, FastDoor)
        self._throttle, self._dispatcher = door.throttle, door.dispatcher
        self._core, self._settings = door.core, door.core.settings
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        # Parse what follows a request that asks to close; it is never run.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.transport: asyncio.Transport
        self.write_timeout: WriteTimeout
        self._url, self._fields = b"", list[tuple[bytes, bytes]]()
        self._part = _NOTHING
        self._fed = self._head_bytes = 0
        self._rejection: Fault | None = None
        self._arriving: Exchange | None = None
        self._running: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._clock = Timer(self._loop, self._late)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the timeout of the first head."""
        self.transport = transport  # type: ignore[assignment]
        self.write_timeout = WriteTimeout(self.transport, self._loop, self._settings.keep_alive_s)
        self._address = heads.peer_address(transport)
        self._server.connections.add(self)  # type: ignore[arg-type]
        self._clock.set(self._settings.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the request of the caller who has left."""
        self._server.connections.discard(self)
        self._clock.end()
        if self._running is not None:
            self._running.cancel(GONE)
        self.write_timeout.end()

    def pause_writing(self) -> None:
        """The peer does not read its answers."""
        self.write_timeout.pause()

    def resume_writing(self) -> None:
        """The peer has read most of its answers."""
        self.write_timeout.resume()

    def shutdown(self) -> None:
        """Closes after the answer to the running request; uvicorn calls this at a stop."""
        if self._running is None:
            self.write_timeout.close()
        else:
            self._running.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and starts the timeout of whatever must arrive next."""
        if self._part != _BODY and data.find(b"pgrade", 0, data.find(b"\r\n\r\n")) >= 0:
            data = heads.without_upgrade(data)
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._broken(self._rejection or heads.NO_REQUEST)
            return
        if self._part == _HEAD:
            # The parser keeps an unfinished field to itself, so its bytes are counted here.
            self._head_bytes += self._fed
            if self._head_bytes > heads.HEAD_LIMIT:
                self._broken(heads.HEAD_TOO_LARGE)
                return
        if self._clock.due is None:
            self._wait_for_peer()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._part = _HEAD
        self._url, self._fields = b"", []
        self._head_bytes = -self._fed  # most of the piece in which it begins may be a body
        self._clock.due = None

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url
        if len(self._url) > heads.PATH_LIMIT:
            self._raise(heads.PATH_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer, which is ignored."""
        if self._part == _HEAD:
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head has arrived: the request starts, or waits for its turn."""
        # The fields of a head that came in one small piece cannot exceed the limit.
        in_pieces = self._fed > heads.HEAD_LIMIT or self._head_bytes >= 0
        if in_pieces and sum(map(len, chain(*self._fields))) > heads.HEAD_LIMIT:
            self._raise(heads.HEAD_TOO_LARGE)
        parser = self._parser
        path, query = self._dispatcher.paths.get(self._url) or heads.path_and_query(self._url)
        fields = dict(self._fields)
        uncertain = b"host" not in fields or len(fields) < len(self._fields)
        if uncertain and not heads.has_one_host(self._fields, parser.get_http_version()):
            self._raise(heads.NOT_ONE_HOST)
        body = ArrivingBody(self.transport, fields.get(b"expect", b"").lower() == b"100-continue")
        keep_alive = parser.should_keep_alive() and (
            b"connection" not in fields or parser.get_http_version() != "1.0"
        )
        method, peer, tasks = parser.get_method().decode(), self._address, self._server.tasks
        request = Request(
            self._core, method, path, fields, body, query=query, address=peer, under_way=tasks
        )
        exchange = Exchange(request, body, keep_alive)
        self._arriving, self._part = exchange, _BODY
        self._clock.due = None
        if self._running is None:
            self._run(exchange)
        else:  # pipelined: it runs after the requests before it
            self.transport.pause_reading()
            self._waiting.append(exchange)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body. After the answer, the rest of a body is dropped."""
        exchange = self._arriving
        assert exchange is not None
        if exchange.answered:
            return
        body = exchange.body
        body.pieces.append(piece)
        body.size += len(piece)
        if body.size > UNREAD_BYTES:
            self.transport.pause_reading()
        if body.more is not None:
            body.wake()

    def on_message_complete(self) -> None:
        """The request has arrived whole."""
        exchange = self._arriving
        assert exchange is not None
        self._part = _NOTHING
        self._clock.due = None
        exchange.body.complete = True
        if exchange.body.more is not None:
            exchange.body.wake()
        if self._running is None and not exchange.keep_alive:
            self.write_timeout.close()
        elif self._running is exchange:  # reading goes on, to notice a caller who leaves
            self.transport.resume_reading()

    async def _answer(self, exchange: Exchange) -> None:
        """Waits for the reply and writes it, also after a cancellation."""
        try:
            reply = await self._dispatcher.answer(exchange.request)
            status = reply.status
        except asyncio.CancelledError:
            reply, status = exchange.cancelled()
        room = self.write_timeout.room
        if room is not None:
            try:
                await room
            except asyncio.CancelledError:
                status = LEFT  # the caller left without having read the answers before
        self._write(exchange, reply, status)

    def _write(self, exchange: Exchange, reply: Reply, status: int) -> None:
        """Writes and records an answer, and starts the next request."""
        transport, request = self.transport, exchange.request
        if self._core.versions.draining:
            exchange.keep_alive = False
        exchange.answered, self._running = True, None
        if exchange.task is not None:
            self._server.tasks.discard(exchange.task)
        self._server.total_requests += 1
        exchange.body.pieces = []
        lines, seconds = head(request, reply, self._server.default_headers, exchange.keep_alive)
        self._dispatcher.record(request, status, seconds)
        if transport.is_closing():
            return
        transport.write(lines if request.method == "HEAD" else lines + reply.body)
        if not exchange.keep_alive:
            self._close_after(exchange)
            return
        if self._waiting:
            self._run(self._waiting.popleft())
        if reply.status == QueueFull.status:
            self._throttle.hold(transport)
        elif not self._waiting:
            transport.resume_reading()
        self._wait_for_peer()

    def _run(self, exchange: Exchange) -> None:
        self._running = exchange
        exchange.task = task = self._loop.create_task(self._answer(exchange))
        self._server.tasks.add(task)

    def _close_after(self, exchange: Exchange) -> None:
        """Closes once the rest of the body has arrived or timed out."""
        if exchange is self._arriving and self._part == _BODY and exchange.ending is None:
            self.transport.write_eof()
            self.transport.resume_reading()
            self._wait_for_peer()
        else:
            self.write_timeout.close()

    def _wait_for_peer(self) -> None:
        """Starts the timeout of what must arrive next; there is none while a request runs."""
        settings, part, clock = self._settings, self._part, self._clock
        if self._running is None:
            seconds = (settings.keep_alive_s, settings.header_timeout_s, heads.LINGER_SECONDS)[part]
        elif part == _BODY and self._running is self._arriving:
            seconds = settings.body_timeout_s
        else:
            clock.due = None
            return
        clock.due = self._loop.time() + seconds
        if clock.fires_at > clock.due:
            clock.set(seconds)

    def _late(self) -> None:
        if self._running is not None:
            self._running.keep_alive = False
            self._running.cancel(LATE)
        elif self._part == _HEAD:
            self._reject(heads.HEAD_LATE)
        else:
            self.write_timeout.close()

    def _raise(self, fault: Fault) -> None:
        """Stops the parser; the connection answers with this fault."""
        self._rejection = fault
        raise ValueError(fault.detail)

    def _broken(self, fault: Fault) -> None:
        """Ends the connection at bytes that cannot be parsed, after the answers before them."""
        running, part = self._running, self._part
        if running is not None and part == _BODY and running is self._arriving:
            running.keep_alive = False
            running.cancel(BROKEN)
        elif running is not None:
            self.transport.pause_reading()
            if part == _BODY:
                self._waiting.pop()
            self._part = _NOTHING
            (self._waiting[-1] if self._waiting else running).keep_alive = False
        elif part == _BODY:  # of a request that has its answer
            self.write_timeout.close()
        else:
            self._reject(fault)

    def _reject(self, fault: Fault) -> None:
        """Answers bytes that did not become a request, and closes."""
        if self.transport.is_closing():
            return
        path, fields = self._url.partition(b"?")[0].decode("latin-1"), dict(self._fields)
        body = ArrivingBody(self.transport)
        request = Request(self._core, "-", path, fields, body, address=self._address)
        reply = render(fault, path)
        lines, _ = head(request, reply, self._server.default_headers, keep_alive=False)
        self._dispatcher.record(request, reply.status, 0.0)
        self.transport.write(lines + reply.body)
        self.write_timeout.close()
