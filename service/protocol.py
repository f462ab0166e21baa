"""A guard on uvicorn's HTTP/1.1 protocol: what a peer may do before and below the application.

uvicorn waits for ever for the rest of a request, takes heads of any size, answers what is no HTTP
in plain text, and lets a request run on whose caller has left. All four are told apart here; none
costs a request that arrives whole anything but a flag.
"""

from __future__ import annotations

import asyncio
import re
from asyncio import TimerHandle
from collections.abc import Iterable
from itertools import chain
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from service.errors import (
    BodyTimeout,
    Fault,
    HeadersTooLarge,
    Malformed,
    PathTooLong,
)
from service.exchange import Headers
from service.http import BROKEN, FATE, LATE, LEFT, REPLY, Edge

PATH_LIMIT = 8 << 10
HEAD_LIMIT = 64 << 10
LINGER_SECONDS = 5.0
"""How long a body that was refused half-way is still read and dropped, so that its sender gets to
see the answer instead of a reset connection."""

# The parser ends a request that asks for an upgrade with its head, and its body is lost: HTTP/2
# clients such as Java's and curl's ask so with their first POST. It must not see the field.
_UPGRADE = re.compile(rb"\r\nUpgrade(?=[ \t]*:)", re.IGNORECASE)

_HEAD_TOO_LARGE = HeadersTooLarge(f"the request's head is larger than {HEAD_LIMIT} bytes")


class GuardedProtocol(HttpToolsProtocol):
    """One connection. ``Edge.header_timeout_s`` and ``body_timeout_s`` are its bounds in time."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        edge = config.loaded_app
        assert isinstance(edge, Edge)
        self._edge = edge
        self._header_timeout_s = edge.settings.header_timeout_s
        self._body_timeout_s = edge.settings.body_timeout_s
        self.url, self.headers = b"", []
        self._timer: TimerHandle | None = None
        self._arriving = False
        self._in_head = True
        self._head_bytes = self._feeding = 0
        self._refusal: Fault | None = None
        self._running: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock for the first request's head."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._header_timeout_s, self._is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what still runs for the caller who left."""
        self._stop_timer()
        running = self._running
        if running is None or running.response_complete:
            super().connection_lost(exc)
            return
        # uvicorn only tells the newest request, which on a pipelined connection is not this one.
        running.disconnected = True
        super().connection_lost(exc)
        self._cancel(LEFT)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and keeps the clock running only while a request is incomplete."""
        if (self._in_head or not self._arriving) and b"pgrade" in data:
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"\r\nX-Asked", head) + end + rest
        self._feeding = self._head_bytes + len(data)
        super().data_received(data)
        if not self._arriving:
            if self._timer is not None:
                self._stop_timer()
        elif self._in_head:
            # The parser keeps an unfinished field to itself, so the pieces are counted here.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT and not self.transport.is_closing():
                self._refuse(_HEAD_TOO_LARGE)
        if self._arriving and self._timer is None and not self.transport.is_closing():
            limit = self._header_timeout_s if self._in_head else self._body_timeout_s
            self._timer = self.loop.call_later(limit, self._is_late)
        elif self.timeout_keep_alive_task is None and self._is_idle():
            # Something came and was no request: the end of a refused body, or an empty line.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _is_idle(self) -> bool:
        answered = self._running is None or self._running.response_complete
        return answered and not (self._arriving or self.pipeline or self.transport.is_closing())

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope[REPLY] = self._reply  # type: ignore[literal-required]
        self._arriving = self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the path and query."""
        self.url += url
        if len(self.url) > PATH_LIMIT:
            self._raise(PathTooLong(f"path and query are longer than {PATH_LIMIT} bytes"))

    def on_headers_complete(self) -> None:
        """The head is there: the clock for it stops."""
        self._stop_timer()
        self._in_head = False
        if self._feeding > HEAD_LIMIT:
            # Only then can the fields add up to more than the limit.
            head_bytes = sum(len(name) + len(value) for name, value in self.headers)
            if head_bytes > HEAD_LIMIT:
                self._raise(_HEAD_TOO_LARGE)
        super().on_headers_complete()
        # Trailers come to this list; they are not the head's fields, and nothing here reads them.
        self.headers = []

    def on_message_complete(self) -> None:
        """The request is there, whole."""
        self._arriving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Keeps a connection open for a while whose body was refused before its end."""
        super().on_response_complete()
        if self._arriving and not self._in_head:
            self._unset_keepalive_if_required()
            self._stop_timer()
            self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _unsupported_upgrade_warning(self) -> None:
        """Answers as if no upgrade had been asked for, and says nothing: it is no one's fault."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _reply(self, status: int, headers: Headers, body: bytes) -> bool:
        """Writes a whole answer at once; False where ASGI's two messages have to do it.

        The fields are the service's own, so they are not searched for line breaks again.
        """
        cycle = self._running
        if cycle is not None and self._edge.draining:
            cycle.keep_alive = False
        if cycle is None or self.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        if cycle.disconnected:
            return True
        self._write(status, chain(cycle.default_headers, headers), body, cycle.keep_alive)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def _write(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, keep_alive: bool
    ) -> None:
        parts = [STATUS_LINE[status]]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        if not keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", body)
        self.transport.write(b"".join(parts))

    def _cancel(self, fate: str) -> None:
        assert self._running is not None
        assert self._task is not None
        self._running.scope[FATE] = fate  # type: ignore[literal-required]
        # Not at once: a task that is cancelled before its first step never gets to answer.
        self.loop.call_soon(self._task.cancel)

    def _is_late(self) -> None:
        self._timer = None
        if self._in_head and self._arriving:
            self._refuse(BodyTimeout("the request's head did not arrive in time"))
        elif self._arriving and self._running is self.cycle and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            self._cancel(LATE)
        else:
            self.transport.close()

    def _raise(self, fault: Fault) -> None:
        """Ends the parsing; uvicorn then calls :meth:`send_400_response`."""
        self._refusal = fault
        raise ValueError(fault.detail)

    def send_400_response(self, msg: str) -> None:
        """Answers what the parser refused, in the service's own form, and closes."""
        self._stop_timer()
        running = self._running
        if running is not None and not running.response_complete:
            if running is self.cycle and running.more_body and not running.response_started:
                running.keep_alive = False
                self._cancel(BROKEN)
            else:
                # An answer is under way on this connection; a second one would garble it.
                self.transport.close()
            return
        self._refuse(self._refusal or Malformed("this is not a well-formed HTTP/1.1 request"))

    def _refuse(self, fault: Fault) -> None:
        path = self.url.partition(b"?")[0].decode("latin-1")
        scope = {"type": "http", "method": "-", "path": path, "headers": self.headers}
        headers, body = self._edge.refuse(scope, fault)
        every = chain(self.server_state.default_headers, headers)
        self._write(fault.status, every, body, keep_alive=False)
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
