"""The ASGI door: requests that any ASGI server brings through the FastAPI application."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from service.api.request import Reply, Request, too_large
from service.errors import BodyTimeout, Malformed, Unavailable
from service.http.dispatch import Dispatcher, render, timing
from service.http.heads import decoded, joined
from service.models.versions import StartError

_NOSNIFF = (b"x-content-type-options", b"nosniff")


class AsgiDoor:
    """Turns an ASGI request into a :class:`Request`, and its :class:`Reply` into ASGI messages."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._core = dispatcher.core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that came through FastAPI, which may have found no route for it."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})  # its server answers 403
            return
        root_path = scope.get("root_path", "")
        path, fields = scope["path"], joined(scope["headers"])
        raw = scope.get("raw_path") or b""
        if b"%2f" in raw.lower():  # it must stay encoded
            path = decoded(raw.partition(b"?")[0].decode("latin-1"))
        path = path.removeprefix(root_path) or "/"
        body = _Body(receive, self._core.settings.body_timeout_s)
        address = (scope.get("client") or ("",))[0]
        request = Request(
            self._core, scope["method"], path, fields=fields, body=body, address=address
        )
        request.query, request.root_path = scope["query_string"], root_path
        server, port = scope.get("server") or ("", 0)
        request.server, request.port = str(server), port or 0
        if _is_named_by_middleware(scope["app"], fields.get(b"origin")):
            del fields[b"origin"]
            fields.pop(b"sec-fetch-site", None)
        answer = self._dispatcher.answer if self._core.versions.started else self._started
        reply = await answer(request)
        seconds = perf_counter() - request.started
        content = b"" if request.method == "HEAD" else reply.body
        self._dispatcher.record(request, reply.status, seconds, len(content))
        spent = timing(request, seconds)
        headers = [_NOSNIFF, (b"x-request-id", request.id), (b"server-timing", spent)]
        headers += (*request.answer_headers, *reply.headers)
        if reply.status != 304:  # RFC 9110, 8.6
            length = b"%d" % len(reply.body)
            headers += [(b"content-type", reply.media_type), (b"content-length", length)]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _started(self, request: Request) -> Reply:
        """Starts the service if no lifespan did: mounted, or through httpx's transport."""
        try:
            await self._core.versions.start()
            self._core.challenge.start()
        except StartError as error:
            return render(Unavailable(str(error)), request.path)
        return await self._dispatcher.answer(request)


def _is_named_by_middleware(app: FastAPI, origin: bytes | None) -> bool:
    """Whether a CORSMiddleware that the user added to the application allows this origin."""
    if origin is None:
        return False
    added: list[Any] = app.user_middleware
    return any(
        each.cls(app, *each.args, **each.kwargs).is_allowed_origin(origin.decode("latin-1"))
        for each in added
        if isinstance(each.cls, type) and issubclass(each.cls, CORSMiddleware)
    )


class _Body:
    """A body that comes in ASGI messages."""

    __slots__ = ("_receive", "_timeout_s", "complete", "pieces")

    def __init__(self, receive: Receive, timeout_s: float) -> None:
        self._receive = receive
        self._timeout_s = timeout_s
        self.pieces: list[bytes] = []
        self.complete = False

    async def read(self, limit: int, hold: Callable[[int], None]) -> list[bytes]:
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
        pieces, self.pieces = self.pieces, []
        return pieces
