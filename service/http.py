"""The outermost layer of the application: what every request gets, whichever route it takes.

A clock and an id, the body within its limits, one form of error, a log line and the figures. Paths
without parameters go straight to their endpoint; all others are matched by FastAPI's router.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import empty_receive, empty_send
from starlette.types import Receive, Scope, Send

from service.budget import BodyBudget
from service.errors import (
    PROBLEM_TYPE,
    BodyTimeout,
    DeadlineExceeded,
    Fault,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Unavailable,
)
from service.exchange import BROKEN, LATE, LEFT, Exchange, Reply
from service.logs import LOGGER, AccessLog
from service.metrics import Metrics
from service.routing import DirectRoute, Endpoint
from service.signals import drain_before_stopping

if TYPE_CHECKING:
    from service.lifecycle import Lifecycle
    from service.settings import Settings

_FATES: dict[str | None, Fault] = {
    LATE: BodyTimeout("the body did not arrive in time"),
    BROKEN: Malformed("the body breaks off in the middle of its transfer encoding"),
}
_STOPPED = Unavailable(
    "the service stopped before this was done", headers=((b"retry-after", b"1"),)
)


class Edge:
    """What answers: uvicorn starts and stops it, and ``service.protocol`` brings the requests."""

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        lifecycle: Lifecycle,
        metrics: Metrics,
        access_log: AccessLog | None,
        *,
        warm: Callable[[], object],
    ) -> None:
        self.settings = settings
        self._app = app
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._access_log = access_log
        self._warm = warm
        self._budget = BodyBudget(settings.max_waiting_bytes, lifecycle.queue, metrics)
        self.tell_start_fault: Callable[[str], object] = LOGGER.error
        """What is called with the one line that says why the service cannot start."""
        self.refused = lifecycle.queue.refused
        self._direct: dict[str, dict[str, Endpoint]] = {}
        routes = [route for route in app.routes if isinstance(route, DirectRoute)]
        metrics.add_endpoints(route.path for route in routes)
        for route in routes:
            if not route.param_convertors:
                methods = self._direct.setdefault(route.path, {})
                methods.update(dict.fromkeys(route.methods or (), route.answer))
        self.paths = {path.encode(): (path, b"") for path in self._direct}
        """The path and query of the targets that need no parsing."""

    @property
    def draining(self) -> bool:
        """Whether each connection should end with its next answer."""
        return self._lifecycle.draining

    async def serve(self, exchange: Exchange) -> None:
        """Answers one request, whatever comes of it."""
        exchange.budget = self._budget
        try:
            reply = await self._answer(exchange)
        except DeadlineExceeded as fault:
            self._metrics.rejected("deadline")
            reply = render(fault, exchange.path)
        except Fault as fault:
            reply = render(fault, exchange.path)
        except asyncio.CancelledError:
            if exchange.fate == LEFT:
                self._end(exchange, 499, Reply(b""))
                return
            if task := asyncio.current_task():
                task.uncancel()
            reply = render(_FATES.get(exchange.fate, _STOPPED), exchange.path)
        except Exception:  # noqa: BLE001 - a fault of ours: the caller gets an id, the log the rest
            name = exchange.id.decode()
            LOGGER.exception("a request failed", extra={"request_id": name})
            told = f"something went wrong here; the log tells more under {name}"
            reply = render(Fault(told), exchange.path)
        finally:
            if exchange.held_bytes:
                self._budget.give_back(exchange.held_bytes)
        status = reply.status
        room = exchange.connection.unread.room if exchange.connection else None
        if room is not None:
            try:
                await room
            except asyncio.CancelledError:
                status = 499  # left without having read what was answered before
        self._end(exchange, status, reply)

    def refuse(self, exchange: Exchange, fault: Fault) -> tuple[bytes, bytes]:
        """Head and body of the answer to what is no request, counted and logged like any other."""
        reply = render(fault, exchange.path)
        self._record(exchange, reply.status, 0.0)
        return _head(exchange, reply, 0.0), reply.body

    async def _answer(self, exchange: Exchange) -> Reply:
        methods = self._direct.get(exchange.path)
        if methods is None:
            return await self._routed(exchange)
        exchange.route = exchange.path
        method = exchange.method
        endpoint = methods.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            raise _method_not_allowed(method, methods)
        return await endpoint(exchange)

    async def _routed(self, exchange: Exchange) -> Reply:
        """Lets FastAPI's router find the endpoint of a path with parameters."""
        scope = {
            "type": "http",
            "app": self._app,
            "method": "GET" if exchange.method == "HEAD" else exchange.method,
            "path": exchange.path,
            "root_path": "",
            "query_string": exchange.query,
            "headers": list(exchange.fields.items()),
            "exchange": exchange,
        }
        try:
            await self._app.router(scope, empty_receive, empty_send)
        except HTTPException as error:
            if error.status_code == 405:
                allowed = (error.headers or {}).get("Allow", "").split(", ")
                raise _method_not_allowed(exchange.method, allowed) from None
            raise NotFound(f"there is nothing at {exchange.path[:100]}") from None
        assert exchange.reply is not None
        return exchange.reply

    def _end(self, exchange: Exchange, status: int, reply: Reply) -> None:
        """Writes the answer where there is still someone to read it, and counts it."""
        seconds = perf_counter() - exchange.started
        if exchange.connection is not None:
            head = _head(exchange, reply, seconds)
            exchange.connection.write(exchange, reply.status, head, reply.body)
        exchange.close()
        self._record(exchange, status, seconds)

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
            name = exchange.id.decode()
            if log.write(name, exchange.method, exchange.path, status, spent):
                asyncio.get_running_loop().call_soon(log.flush)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the service's start and stop, for which uvicorn uses ASGI's lifespan."""
        assert scope["type"] == "lifespan"
        await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Starts the service before uvicorn listens, and stops it after the last answer."""
        await receive()
        try:
            await self._lifecycle.start()
        except Exception as error:  # noqa: BLE001 - told in one line, and in the log
            self.tell_start_fault(_explain(error))
            await send({"type": "lifespan.startup.failed"})
            return
        drain_before_stopping(
            self._lifecycle, self.settings.drain_delay_s, alone=self.settings.workers == 1
        )
        await send({"type": "lifespan.startup.complete"})
        self._warm()
        await receive()
        await self._lifecycle.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _head(exchange: Exchange, reply: Reply, seconds: float) -> bytes:
    """The header lines of an answer. The fields are the service's own and hold no line breaks."""
    lines = (
        b"x-request-id: %b\r\nserver-timing: "
        b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f, total;dur=%.3f\r\n"
    ) % (
        exchange.id,
        exchange.decode_s * 1e3,
        exchange.queue_s * 1e3,
        exchange.infer_s * 1e3,
        seconds * 1e3,
    )
    if reply.status != 304:  # a length there would be that of the answer that is not sent
        kind = b"content-type: %b\r\ncontent-length: %d\r\n" % (reply.media_type, len(reply.body))
        lines = kind + lines
    for field in reply.headers:
        lines += b"%b: %b\r\n" % field
    return lines


def render(fault: Fault, path: str) -> Reply:
    """A fault as its answer: ``application/problem+json``, or ``{"error"}`` under /v1 and /v2."""
    if path.startswith(("/v1/", "/v2/")) or path in ("/v1", "/v2"):
        status = 400 if fault.status == 422 else fault.status
        return Reply(orjson.dumps({"error": fault.detail}), status, headers=fault.headers)
    return Reply(orjson.dumps(fault.problem()), fault.status, PROBLEM_TYPE, fault.headers)


def _method_not_allowed(method: str, allowed: Any) -> MethodNotAllowed:
    names = ", ".join(sorted({*allowed, "HEAD"} if "GET" in allowed else allowed))
    return MethodNotAllowed(
        f"{method[:20]} is not read here; {names} {'are' if ', ' in names else 'is'}",
        headers=((b"allow", names.encode()),),
    )


def _explain(error: Exception) -> str:
    from service.lifecycle import StartError

    if isinstance(error, StartError):
        return str(error)
    LOGGER.error("the start failed", exc_info=error)
    return f"the start failed: {type(error).__name__}"
