"""The ASGI door: requests that any ASGI server brings through the FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from starlette.types import Receive, Scope, Send

from service.api.request import Headers, Reply, Request, too_large
from service.api.routing import EndpointRoute
from service.errors import BodyTimeout, Malformed, Unavailable
from service.http.dispatch import Dispatcher, render, timing
from service.models.versions import StartError


class AsgiDoor:
    """Turns an ASGI request into a :class:`Request`, and its :class:`Reply` into ASGI messages."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._core = dispatcher.core

    async def answer(
        self, route: EndpointRoute | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answers a request that FastAPI's router has matched to ``route``, or to none."""
        request = self._request(scope, receive)
        reply = await self._reply(request, route, scope)
        seconds = perf_counter() - request.started
        self._dispatcher.record(request, reply.status, seconds)
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": _headers(request, reply, seconds),
            }
        )
        body = b"" if request.method == "HEAD" else reply.body
        await send({"type": "http.response.body", "body": body})

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that no route matches."""
        if scope["type"] == "http":
            await self.answer(None, scope, receive, send)

    async def _reply(self, request: Request, route: EndpointRoute | None, scope: Scope) -> Reply:
        if not self._core.versions.started:
            # A mounted application and httpx's transport send no lifespan events.
            try:
                await self._core.versions.start()
            except StartError as error:
                return render(Unavailable(str(error)), request.path)
        method = "GET" if request.method == "HEAD" else request.method
        if route is None or method not in route.verbs:
            return await self._dispatcher.answer(request)
        return await self._dispatcher.answer(request, route, scope["path_params"])

    def _request(self, scope: Scope, receive: Receive) -> Request:
        fields = dict(scope["headers"])
        root_path = scope.get("root_path", "")
        body = _Body(receive, self._core.settings.body_timeout_s)
        path = scope["path"].removeprefix(root_path) or "/"
        request = Request(
            self._core,
            scope["method"],
            path,
            query=scope["query_string"],
            fields=fields,
            body=body,
            root_path=root_path,
        )
        scope["mnist.request"] = request
        return request


class _Body:
    """A body that comes in ASGI messages."""

    __slots__ = ("_receive", "_timeout_s", "complete", "pieces")

    def __init__(self, receive: Receive, timeout_s: float) -> None:
        self._receive = receive
        self._timeout_s = timeout_s
        self.pieces: list[bytes] = []
        self.complete = False

    async def read(self, limit: int, hold: Callable[[int], None]) -> bytes:
        """The whole body. Raises TooLarge, BodyTimeout, or Malformed if the caller has left."""
        size = 0
        try:
            async with asyncio.timeout(self._timeout_s):
                while not self.complete:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise Malformed("the body breaks off")
                    piece = message.get("body", b"")
                    self.pieces.append(piece)
                    size += len(piece)
                    if size > limit:
                        raise too_large(limit)
                    hold(size)
                    self.complete = not message.get("more_body", False)
        except TimeoutError:
            raise BodyTimeout("the body did not arrive in time") from None
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


def _headers(request: Request, reply: Reply, seconds: float) -> Headers:
    headers = [
        (b"x-request-id", request.id),
        (b"server-timing", timing(request, seconds)),
        *reply.headers,
    ]
    if reply.status != 304:  # RFC 9110, 8.6
        length = b"%d" % len(reply.body)
        headers += [(b"content-type", reply.media_type), (b"content-length", length)]
    return headers
