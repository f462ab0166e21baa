"""The way of every request to its endpoint and back, through whichever door it came."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import Any

import orjson

from service import rpc
from service.access.guard import preflight
from service.api.request import Headers, Reply, Request
from service.api.routing import EndpointRoute
from service.core import Core
from service.errors import PROBLEM_TYPE, Fault, MethodNotAllowed, NotFound, QueueFull, RateSpent
from service.observe import traces
from service.observe.logs import LOGGER

_STATUS_LINES = {
    each.value: b"HTTP/1.1 %d %b\r\nx-content-type-options: nosniff\r\n"
    % (each, each.phrase.encode())
    for each in HTTPStatus
}
_TIMING = b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f, total;dur=%.3f"
_HEAD = b"%b%bx-request-id: %b\r\nserver-timing: %b\r\n"
ENCODED_SLASH = "%2F"  # in a decoded path: it was encoded, so it is no part of any endpoint's path
_MOST_KNOWN = 256  # the paths whose endpoints are remembered
_AUDITED = ("admin", "review")
"""The scopes whose every use is logged, whatever the settings of the log."""
_Target = tuple[EndpointRoute, dict[str, str]]  # a route and the parameters of its path


class Dispatcher:
    """Answers requests with the endpoints of ``routes``, and records those of gRPC beside them."""

    def __init__(self, core: Core, routes: Iterable[EndpointRoute]) -> None:
        self.core, self._access = core, core.access
        self._routes = tuple(routes)
        paths = [route.path for route in self._routes]
        timed = [route.path for route in self._routes if route.timed]
        if core.settings.grpc_port:
            paths += rpc.METHODS
            timed += rpc.TIMED
        core.metrics.add_endpoints(paths, timed)
        scopes = {route.path: route.scope for route in self._routes} | rpc.METHODS
        self._audited = frozenset(path for path, scope in scopes.items() if scope in _AUDITED)
        self._targets = lru_cache(_MOST_KNOWN)(self._matching)

    async def answer(self, request: Request) -> Reply:
        """The reply to a request: its endpoint's, or the problem document of a fault."""
        try:
            return await self._start(request)
        except Fault as fault:
            if fault.rejection:
                self.core.metrics.count("rejected", fault.rejection)
            fault.__traceback__ = None  # its frames hold the body, and some of them the fault
            return render(fault, request.path)
        except Exception:  # noqa: BLE001 - a bug: the caller gets an id, the log the traceback
            name = request.id.decode()
            LOGGER.exception("a request failed", extra={"request_id": name})
            detail = f"the service failed; its log has the reason: {name}"
            return render(Fault(detail), request.path)
        finally:
            if request.held_bytes:
                request.release()

    def record(self, request: Request, status: int, seconds: float, sent: int = 0) -> None:
        """Counts, logs and traces one request, which was answered with ``sent`` bytes of body."""
        parent, tracer = request.fields.get(b"traceparent"), self.core.tracer
        trace = None if parent is None and tracer is None else traces.take_up(parent, tracer)
        sampled = trace if trace is not None and trace.sampled else None
        seen = None if sampled is None else sampled.id
        self.core.metrics.request(request.route, status, seconds, seen)
        is_audited, log = request.route in self._audited, self.core.log
        if not (log.each_request or is_audited or (tracer is not None and sampled is not None)):
            return
        facts = _facts(request, status, seconds, sent)
        if trace is not None:
            facts["trace_id"] = trace.id
        is_moment = b"x-drawing" in request.fields and status < HTTPStatus.BAD_REQUEST
        if log.each_request and not (is_moment and log.is_further(request.caller)):
            log.write("request", facts)
        if is_audited:
            log.write("audit", facts)
        if tracer is not None and sampled is not None:
            tracer.add(sampled, request.route, facts, request.inferred - request.started)

    def _start(self, request: Request) -> Awaitable[Reply]:
        """Calls the endpoint of the request's path, if the caller may use it.

        Raises Misdirected, Forbidden, NotFound, MethodNotAllowed, Unauthorized or Invalid.
        """
        access, fields = self._access, request.fields
        targets = self._targets(request.path)
        target = targets.get("GET" if request.method == "HEAD" else request.method)
        if target is not None:  # known before anything is refused, for the audit
            request.route = target[0].path
        hosts = access.sites.known
        is_strange = hosts is not None and fields.get(b"host") not in hosts
        if is_strange or b"origin" in fields or b"sec-fetch-site" in fields:
            request.answer_headers = access.sites.check(request.method, fields, request.server)
        if target is None:
            return _no_endpoint(request, targets)
        route, parameters = target
        if route.scope in access.checked:
            authorization, x_api_key = fields.get(b"authorization"), fields.get(b"x-api-key")
            request.key = key = access.check(route.scope, authorization, x_api_key, request.port)
            if key is not None:
                request.caller = key.name
        if request.query and (route.queries or route.only_known_parameters):
            found = request.parameters(route.queries, only_known=route.only_known_parameters)
            return route.call(request, **parameters, **found)
        return route.call(request, **parameters)

    def _matching(self, path: str) -> dict[str, _Target]:
        """The targets of a path, by method; the first route that matches wins, as in FastAPI."""
        targets: dict[str, _Target] = {}
        if ENCODED_SLASH in path:
            return targets
        for route in self._routes:
            if match := route.path_regex.match(path):
                target = route, match.groupdict()
                for method in route.verbs:
                    targets.setdefault(method, target)
        return targets


def _facts(request: Request, status: int, seconds: float, sent: int) -> dict[str, Any]:
    """What the log and a span tell of a request; its caller's text is bounded."""
    facts: dict[str, Any] = {
        "request_id": request.id.decode(),
        "method": request.method,
        "path": request.path,
        "status": status,
        "client": request.address,
    }
    if request.key is not None:
        facts["key"] = request.key.name
    if agent := request.fields.get(b"user-agent"):
        facts["user_agent"] = agent[:200].decode("latin-1")
    if request.version:
        facts["version"] = request.version
    facts["bytes_in"], facts["bytes_out"] = request.received, sent
    # Whole microseconds; round() to digits takes five times as long.
    facts["decode_ms"] = int(request.decode_s * 1e6 + 0.5) / 1e3
    facts["queue_ms"] = int(request.queue_s * 1e6 + 0.5) / 1e3
    facts["infer_ms"] = int(request.infer_s * 1e6 + 0.5) / 1e3
    facts["total_ms"] = int(seconds * 1e6 + 0.5) / 1e3
    return facts


def render(fault: Fault, path: str) -> Reply:
    """A fault as its answer: ``application/problem+json``, or ``{"error"}`` under /v1 and /v2."""
    is_spent = isinstance(fault, RateSpent)  # of this caller alone; others share the connection
    held = type(fault) if isinstance(fault, QueueFull) and not is_spent else None
    if path.startswith(("/v1/", "/v2/")) or path in ("/v1", "/v2"):
        status = 400 if fault.status == 422 else fault.status
        body = orjson.dumps({"error": fault.detail})
        return Reply(body, status, headers=fault.headers, held=held)
    return Reply(orjson.dumps(fault.problem()), fault.status, PROBLEM_TYPE, fault.headers, held)


def head(request: Request, reply: Reply, fields: Headers, keep_alive: bool) -> tuple[bytes, float]:
    """The head of an answer, with the ``fields`` of every answer, and its seconds until now."""
    seconds = perf_counter() - request.started
    kind = b""
    if reply.status != 304:  # RFC 9110, 8.6: it would be the length of the answer that is not sent
        kind = b"content-type: %b\r\ncontent-length: %d\r\n" % (reply.media_type, len(reply.body))
    lines = _HEAD % (_STATUS_LINES[reply.status], kind, request.id, timing(request, seconds))
    for field in (*fields, *request.answer_headers, *reply.headers):
        lines += b"%b: %b\r\n" % field
    return lines + (b"\r\n" if keep_alive else b"connection: close\r\n\r\n"), seconds


def timing(request: Request, seconds: float) -> bytes:
    """The value of ``Server-Timing`` (W3C), in milliseconds."""
    spent = request.decode_s * 1e3, request.queue_s * 1e3, request.infer_s * 1e3, seconds * 1e3
    return _TIMING % spent


async def _no_endpoint(request: Request, targets: dict[str, _Target]) -> Reply:
    """Answers a preflight of an origin that is named, else raises NotFound or MethodNotAllowed."""
    if not targets:
        raise NotFound(f"there is nothing at {request.path[:100]}")
    names = sorted({*targets, "HEAD"} if "GET" in targets else targets)
    method, fields = request.method[:20], request.fields
    # Only a named origin has fields for its answer by now.
    asks = method == "OPTIONS" and b"access-control-request-method" in fields
    if asks and request.answer_headers:
        return Reply(b"", headers=preflight(fields, names))
    raise MethodNotAllowed(
        f"{method} is not allowed here; {', '.join(names)} {'are' if names[1:] else 'is'}",
        headers=((b"allow", ", ".join(names).encode()),),
    )
