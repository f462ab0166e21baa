"""One request and its answer, as every endpoint sees them, and the route between the two."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

from service.budget import SMALL_BYTES, BodyBudget
from service.decode.content import inflate
from service.errors import Invalid, TooLarge
from service.metrics import OTHER

JSON_TYPE = b"application/json"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ID_PREFIX = os.urandom(6).hex()
_ids = count(1)

Headers = Sequence[tuple[bytes, bytes]]


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
        self.budget: BodyBudget | None = None
        self.held_bytes = 0
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
        declared = int(self.fields.get(b"content-length", b"0"))
        if declared > limit:
            raise _body_too_large(limit)
        self._hold(declared)
        message = await self._next_piece()
        body: bytes = message["body"]
        if message["more_body"]:
            parts, size = [body], len(body)
            while message["more_body"]:
                message = await self._next_piece()
                size += len(message["body"])
                if size > limit:
                    raise _body_too_large(limit)
                self._hold(size)
                parts.append(message["body"])
            body = b"".join(parts)
        elif len(body) > limit:
            raise _body_too_large(limit)
        encoding = self.fields.get(b"content-encoding")
        if encoding is None:
            return body
        body = await asyncio.to_thread(inflate, body, encoding.decode("latin-1"), limit)
        self._hold(len(body))
        return body

    def _hold(self, size: int) -> None:
        """Counts a large body that has grown to ``size`` bytes."""
        if size > max(self.held_bytes, SMALL_BYTES) and self.budget is not None:
            self.budget.take(size - self.held_bytes)
            self.held_bytes = size

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


def _body_too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes, the limit here")
