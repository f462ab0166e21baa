"""The outermost layer of the application: what every request gets, whichever route it takes.

A clock and an id, the body within its limits, one form of error, a log line and the figures. Paths
without parameters go straight to their endpoint; all others are matched by FastAPI's router.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import empty_receive, empty_send
from starlette.types import Message, Receive, Scope, Send

from service.decode.content import inflate
from service.errors import (
    PROBLEM_TYPE,
    BodyTimeout,
    Fault,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
)
from service.logs import LOGGER, AccessLog
from service.metrics import OTHER, Metrics
from service.signals import drain_before_stopping

if TYPE_CHECKING:
    from service.lifecycle import Lifecycle
    from service.settings import Settings

JSON_TYPE = b"application/json"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ID_PREFIX = os.urandom(6).hex()
_ids = count(1)

Headers = Sequence[tuple[bytes, bytes]]

# Where service.protocol offers to write an answer in one piece: (status, headers, body) -> done.
REPLY = "mnist.reply"

# service.protocol writes into the scope why it cancelled a request's task.
FATE = "mnist.fate"
LATE, LEFT, BROKEN = "late", "left", "broken"
_FATES: dict[Any, Fault] = {
    LATE: BodyTimeout("the body did not arrive in time"),
    BROKEN: Malformed("the body breaks off in the middle of its transfer encoding"),
}
_STOPPED = Unavailable(
    "the service stopped before this was done", headers=((b"retry-after", b"1"),)
)


@dataclass(slots=True)
class Reply:
    """An answer: status, body and its media type, and further header fields."""

    body: bytes
    status: int = 200
    media_type: bytes = JSON_TYPE
    headers: Headers = ()

    @classmethod
    def json(cls, content: Any, status: int = 200) -> Reply:
        """An answer with ``content`` as JSON."""
        return cls(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status)


class Exchange(Request):
    """One request and what is learnt of it on the way to its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.started = perf_counter()
        self.route = OTHER
        self.reply: Reply | None = None
        self.decode_s = self.queue_s = self.infer_s = 0.0
        self.fields: dict[bytes, bytes] = dict(scope["headers"])
        given = self.fields.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            self.id = given.decode()
        else:
            self.id = f"{_ID_PREFIX}-{next(_ids):x}"

    def field(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")

    def parameters(self, *known: str) -> dict[str, str]:
        """The query's parameters; those not ``known``, or given twice, raise :class:`Invalid`."""
        query: bytes = self.scope["query_string"]
        if not query:
            return {}
        found: dict[str, str] = {}
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name not in known:
                reads = ", ".join(known) or "none"
                raise Invalid(f"unknown query parameter {name[:40]!r}; those read here: {reads}")
            if name in found:
                raise Invalid(f"query parameter {name!r} is given twice")
            found[name] = value
        return found

    def deadline(self, most_s: float) -> float:
        """When the answer is due, on ``perf_counter``'s clock.

        That is ``most_s`` seconds after the start, or ``X-Request-Timeout-Ms`` where it is less.
        """
        text = self.fields.get(b"x-request-timeout-ms")
        if text is None:
            return self.started + most_s
        try:
            milliseconds = float(text)
        except ValueError:
            milliseconds = float("nan")
        if not milliseconds > 0:
            raise Invalid("X-Request-Timeout-Ms must be a number of milliseconds above 0")
        return self.started + min(milliseconds / 1000, most_s)

    async def content(self, limit: int) -> bytes:
        """The whole body, decompressed. Raises TooLarge, Malformed or UnsupportedType."""
        declared = self.fields.get(b"content-length")
        if declared is not None and int(declared) > limit:
            raise _body_too_large(limit)
        message = await self._next_piece()
        body: bytes = message["body"]
        if message["more_body"]:
            parts, size = [body], len(body)
            while message["more_body"]:
                message = await self._next_piece()
                size += len(message["body"])
                if size > limit:
                    raise _body_too_large(limit)
                parts.append(message["body"])
            body = b"".join(parts)
        elif len(body) > limit:
            raise _body_too_large(limit)
        encoding = self.fields.get(b"content-encoding")
        if encoding is None:
            return body
        return await asyncio.to_thread(inflate, body, encoding.decode("latin-1"), limit)

    async def _next_piece(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError  # which service.protocol is about to send here anyway
        return message


Endpoint = Callable[[Exchange], Awaitable[Reply]]


class DirectRoute(APIRoute):
    """A FastAPI route whose endpoint takes the :class:`Exchange` and gives a :class:`Reply`.

    FastAPI matches and documents it; nothing is injected or serialised between, which is what
    most of a framework's time per request goes to.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, response_model=None, **options)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            exchange: Exchange = scope["exchange"]
            exchange.scope = scope
            exchange.route = path
            exchange.reply = await endpoint(exchange)

        self.app = app


def add_route(app: FastAPI, method: str, path: str, endpoint: Endpoint, **options: Any) -> None:
    """Adds an endpoint; ``options`` are FastAPI's, such as tags and responses."""
    app.router.routes.append(DirectRoute(path, endpoint, methods=[method], **options))


class Edge:
    """The ASGI application that uvicorn runs."""

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        lifecycle: Lifecycle,
        metrics: Metrics,
        access_log: AccessLog | None,
    ) -> None:
        self.settings = settings
        self._app = app
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._access_log = access_log
        self.tell_start_fault: Callable[[str], object] = LOGGER.error
        """What is called with the one line that says why the service cannot start."""
        self._direct: dict[str, dict[str, Endpoint]] = {}
        routes = [route for route in app.routes if isinstance(route, DirectRoute)]
        metrics.add_endpoints(route.path for route in routes)
        for route in routes:
            if not route.param_convertors:
                methods = self._direct.setdefault(route.path, {})
                methods.update(dict.fromkeys(route.methods or (), route.endpoint))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or runs the service's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        exchange = Exchange(scope, receive, send)
        try:
            reply = await self._answer(exchange)
        except Fault as fault:
            reply = render(fault, scope["path"])
        except asyncio.CancelledError:
            fate = scope.get(FATE)
            if fate == LEFT:
                self._record(exchange, 499, perf_counter() - exchange.started)
                return
            if task := asyncio.current_task():
                task.uncancel()
            reply = render(_FATES.get(fate, _STOPPED), scope["path"])
        except Exception:  # noqa: BLE001 - a fault of ours: the caller gets an id, the log the rest
            LOGGER.exception("a request failed", extra={"request_id": exchange.id})
            told = f"something went wrong here; the log tells more under {exchange.id}"
            reply = render(Fault(told), scope["path"])
        seconds = perf_counter() - exchange.started
        status, headers = reply.status, _headers(exchange, reply, seconds)
        write = scope.get(REPLY)
        if write is None or not write(status, headers, reply.body):
            try:
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": reply.body})
            except asyncio.CancelledError:
                status = 499  # left without having read what was answered before
        self._record(exchange, status, seconds)

    def refuse(self, scope: Scope, fault: Fault) -> tuple[Headers, bytes]:
        """The answer to what did not become a request, counted and logged like any other."""
        exchange = Exchange(scope, empty_receive, empty_send)
        reply = render(fault, scope["path"])
        self._record(exchange, reply.status, 0.0)
        return _headers(exchange, reply, 0.0), reply.body

    async def _answer(self, exchange: Exchange) -> Reply:
        if self._lifecycle.stopped:
            self._metrics.rejected("draining")
            raise Unavailable(
                "the service is stopping",
                headers=((b"retry-after", b"1"), (b"connection", b"close")),
            )
        scope = exchange.scope
        methods = self._direct.get(scope["path"])
        if methods is None:
            return await self._routed(exchange)
        exchange.route = scope["path"]
        method = scope["method"]
        endpoint = methods.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            raise _method_not_allowed(method, methods)
        return await endpoint(exchange)

    async def _routed(self, exchange: Exchange) -> Reply:
        """Lets FastAPI's router find the endpoint of a path with parameters."""
        scope = dict(exchange.scope, app=self._app, exchange=exchange)
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        try:
            await self._app.router(scope, exchange.receive, exchange._send)
        except HTTPException as error:
            if error.status_code == 405:
                allowed = (error.headers or {}).get("Allow", "").split(", ")
                raise _method_not_allowed(scope["method"], allowed) from None
            raise NotFound(f"there is nothing at {scope['path'][:100]}") from None
        assert exchange.reply is not None
        return exchange.reply

    def _record(self, exchange: Exchange, status: int, seconds: float) -> None:
        self._metrics.request(exchange.route, status, seconds)
        log = self._access_log
        if log is not None:
            spent = {
                "decode_ms": round(exchange.decode_s * 1e3, 3),
                "queue_ms": round(exchange.queue_s * 1e3, 3),
                "infer_ms": round(exchange.infer_s * 1e3, 3),
                "total_ms": round(seconds * 1e3, 3),
            }
            scope = exchange.scope
            if log.write(exchange.id, scope["method"], scope["path"], status, spent):
                asyncio.get_running_loop().call_soon(log.flush)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Starts the service before uvicorn listens, and stops it after the last answer."""
        await receive()
        try:
            await self._lifecycle.start()
        except Exception as error:  # noqa: BLE001 - told in one line, and in the log
            self.tell_start_fault(_explain(error))
            await send({"type": "lifespan.startup.failed"})
            return
        drain_before_stopping(self._lifecycle, self.settings.drain_delay_s)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._lifecycle.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _headers(exchange: Exchange, reply: Reply, seconds: float) -> Headers:
    timing = (
        f"decode;dur={exchange.decode_s * 1e3:.3f}, queue;dur={exchange.queue_s * 1e3:.3f}, "
        f"infer;dur={exchange.infer_s * 1e3:.3f}, total;dur={seconds * 1e3:.3f}"
    )
    return [
        (b"content-type", reply.media_type),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-request-id", exchange.id.encode()),
        (b"server-timing", timing.encode()),
        *reply.headers,
    ]


def render(fault: Fault, path: str) -> Reply:
    """A fault as its answer: ``application/problem+json``, or ``{"error"}`` under /v1 and /v2."""
    if path.startswith(("/v1/", "/v2/")) or path in ("/v1", "/v2"):
        status = 400 if fault.status == 422 else fault.status
        return Reply(orjson.dumps({"error": fault.detail}), status, headers=fault.headers)
    return Reply(orjson.dumps(fault.problem()), fault.status, PROBLEM_TYPE, fault.headers)


def _method_not_allowed(method: str, allowed: Any) -> MethodNotAllowed:
    names = ", ".join(sorted({*allowed, "HEAD"} if "GET" in allowed else allowed))
    return MethodNotAllowed(
        f"{method[:20]} is not read here; {names} is", headers=((b"allow", names.encode()),)
    )


def _body_too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes, the limit here")


def _explain(error: Exception) -> str:
    from service.lifecycle import StartError

    if isinstance(error, StartError):
        return str(error)
    LOGGER.error("the start failed", exc_info=error)
    return f"the start failed: {type(error).__name__}"
