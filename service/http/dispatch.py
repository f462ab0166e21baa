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

from service.api.body_budget import BodyBudget
from service.api.request import BROKEN, LATE, LEFT, Reply, Request
from service.api.routing import DirectRoute, Endpoint
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
from service.http.shutdown import drain_before_stopping
from service.observe.logs import LOGGER, AccessLog
from service.observe.metrics import Metrics

if TYPE_CHECKING:
    from service.models.versions import Versions
    from service.settings import Settings

_FATES: dict[str | None, Fault] = {
    LATE: BodyTimeout("the body did not arrive in time"),
    BROKEN: Malformed("the body breaks off in the middle of its transfer encoding"),
}
_STOPPED = Unavailable(
    "the service stopped before this was done", headers=((b"retry-after", b"1"),)
)


class Dispatcher:
    """Answers each request that ``service.http.connection`` brings."""

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        versions: Versions,
        metrics: Metrics,
        access_log: AccessLog | None,
        *,
        warm: Callable[[], object],
    ) -> None:
        self.settings = settings
        self._app = app
        self._versions = versions
        self._metrics = metrics
        self._access_log = access_log
        self._warm = warm
        self._budget = BodyBudget(settings.max_waiting_bytes, versions.queue, metrics)
        self.tell_start_fault: Callable[[str], object] = LOGGER.error
        """What is called with the one line that says why the service cannot start."""
        self.refused = versions.queue.refused
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
        return self._versions.draining

    async def serve(self, request: Request) -> None:
        """Answers one request, whatever comes of it."""
        request.budget = self._budget
        try:
            reply = await self._answer(request)
        except DeadlineExceeded as fault:
            self._metrics.rejected("deadline")
            reply = render(fault, request.path)
        except Fault as fault:
            reply = render(fault, request.path)
        except asyncio.CancelledError:
            if request.fate == LEFT:
                self._end(request, 499, Reply(b""))
                return
            if task := asyncio.current_task():
                task.uncancel()
            reply = render(_FATES.get(request.fate, _STOPPED), request.path)
        except Exception:  # noqa: BLE001 - a fault of ours: the caller gets an id, the log the rest
            name = request.id.decode()
            LOGGER.exception("a request failed", extra={"request_id": name})
            told = f"something went wrong here; the log tells more under {name}"
            reply = render(Fault(told), request.path)
        finally:
            if request.held_bytes:
                self._budget.give_back(request.held_bytes)
        status = reply.status
        room = request.connection.unread.room if request.connection else None
        if room is not None:
            try:
                await room
            except asyncio.CancelledError:
                status = 499  # left without having read what was answered before
        self._end(request, status, reply)

    def refuse(self, request: Request, fault: Fault) -> tuple[bytes, bytes]:
        """Head and body of the answer to what is no request, counted and logged like any other."""
        reply = render(fault, request.path)
        self._record(request, reply.status, 0.0)
        return _head(request, reply, 0.0), reply.body

    async def _answer(self, request: Request) -> Reply:
        methods = self._direct.get(request.path)
        if methods is None:
            return await self._routed(request)
        request.route = request.path
        method = request.method
        endpoint = methods.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            raise _method_not_allowed(method, methods)
        return await endpoint(request)

    async def _routed(self, request: Request) -> Reply:
        """Lets FastAPI's router find the endpoint of a path with parameters."""
        scope = {
            "type": "http",
            "app": self._app,
            "method": "GET" if request.method == "HEAD" else request.method,
            "path": request.path,
            "root_path": "",
            "query_string": request.query,
            "headers": list(request.fields.items()),
            "request": request,
        }
        try:
            await self._app.router(scope, empty_receive, empty_send)
        except HTTPException as error:
            if error.status_code == 405:
                allowed = (error.headers or {}).get("Allow", "").split(", ")
                raise _method_not_allowed(request.method, allowed) from None
            raise NotFound(f"there is nothing at {request.path[:100]}") from None
        assert request.reply is not None
        return request.reply

    def _end(self, request: Request, status: int, reply: Reply) -> None:
        """Writes the answer where there is still someone to read it, and counts it."""
        seconds = perf_counter() - request.started
        if request.connection is not None:
            head = _head(request, reply, seconds)
            request.connection.write(request, reply.status, head, reply.body)
        request.close()
        self._record(request, status, seconds)

    def _record(self, request: Request, status: int, seconds: float) -> None:
        self._metrics.request(request.route, status, seconds)
        log = self._access_log
        if log is not None:
            spent = {
                "decode_ms": round(request.decode_s * 1e3, 3),
                "queue_ms": round(request.queue_s * 1e3, 3),
                "infer_ms": round(request.infer_s * 1e3, 3),
                "total_ms": round(seconds * 1e3, 3),
            }
            name = request.id.decode()
            if log.write(name, request.method, request.path, status, spent):
                asyncio.get_running_loop().call_soon(log.flush)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the service's start and stop, for which uvicorn uses ASGI's lifespan."""
        assert scope["type"] == "lifespan"
        await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Starts the service before uvicorn listens, and stops it after the last answer."""
        await receive()
        try:
            await self._versions.start()
        except Exception as error:  # noqa: BLE001 - told in one line, and in the log
            self.tell_start_fault(_explain(error))
            await send({"type": "lifespan.startup.failed"})
            return
        drain_before_stopping(
            self._versions, self.settings.drain_delay_s, alone=self.settings.workers == 1
        )
        await send({"type": "lifespan.startup.complete"})
        self._warm()
        await receive()
        await self._versions.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _head(request: Request, reply: Reply, seconds: float) -> bytes:
    """The header lines of an answer. The fields are the service's own and hold no line breaks."""
    lines = (
        b"x-request-id: %b\r\nserver-timing: "
        b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f, total;dur=%.3f\r\n"
    ) % (
        request.id,
        request.decode_s * 1e3,
        request.queue_s * 1e3,
        request.infer_s * 1e3,
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
    from service.models.versions import StartError

    if isinstance(error, StartError):
        return str(error)
    LOGGER.error("the start failed", exc_info=error)
    return f"the start failed: {type(error).__name__}"
