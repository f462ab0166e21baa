"""One request and its answer, as every endpoint sees them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from service.api.body_budget import SMALL_BYTES, BodyBudget
from service.background.large_work import when_large
from service.decode.content import inflate
from service.errors import Invalid, TooLarge
from service.observe.metrics import OTHER

if TYPE_CHECKING:
    from service.http.connection import Connection

JSON_TYPE = b"application/json"
LATE, LEFT, BROKEN = "late", "left", "broken"
"""Why a request is ended before its answer: its body did not come in time, its caller has left, or
its body breaks off."""

_UNREAD_BYTES = 65_536
"""A body of which more than this waits to be looked at is not read on."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ID_PREFIX = os.urandom(6).hex().encode()
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


class Request:
    """One request, its body as it arrives, and what is learnt of it on the way to its answer."""

    __slots__ = (
        "_answered",
        "_complete",
        "_more",
        "_pieces",
        "_unread",
        "budget",
        "connection",
        "decode_s",
        "fate",
        "fields",
        "held_bytes",
        "id",
        "infer_s",
        "keep_alive",
        "method",
        "path",
        "path_params",
        "query",
        "queue_s",
        "reply",
        "route",
        "started",
        "task",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: bytes,
        fields: dict[bytes, bytes],
        connection: Connection | None = None,
    ) -> None:
        self.started = perf_counter()
        self.method, self.path, self.query, self.fields = method, path, query, fields
        self.connection = connection
        self.keep_alive = True
        self.route = OTHER
        self.path_params: dict[str, str] = {}
        self.reply: Reply | None = None
        self.decode_s = self.queue_s = self.infer_s = 0.0
        self.budget: BodyBudget | None = None
        self.held_bytes = 0
        self.task: asyncio.Task[None] | None = None
        self.fate: str | None = None
        self._pieces: list[bytes] = []
        self._unread = 0
        self._complete = self._answered = False
        self._more: asyncio.Future[None] | None = None
        given = fields.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            self.id = given
        else:
            self.id = b"%b-%x" % (_ID_PREFIX, next(_ids))

    @property
    def alone(self) -> bool:
        """Whether no other request is under way in this worker."""
        return self.connection is not None and self.connection.others == 0

    def field(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")

    def parameters(self, *known: str) -> dict[str, str]:
        """The query's parameters; those not ``known``, or given twice, raise :class:`Invalid`."""
        if not self.query:
            return {}
        found: dict[str, str] = {}
        for name, value in parse_qsl(self.query.decode("latin-1"), keep_blank_values=True):
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

    def put(self, piece: bytes) -> None:
        """Takes a piece of the body; after the answer, and where none is read, it is dropped."""
        if self._answered:
            return
        self._pieces.append(piece)
        self._unread += len(piece)
        if self._unread > _UNREAD_BYTES and self.connection is not None:
            self.connection.transport.pause_reading()
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self._complete = True
        self._wake()

    def close(self) -> None:
        """Lets body and answer go once it is answered: its connection may be kept for long."""
        self._answered = True
        self._pieces, self.reply = [], None

    def cancel(self, fate: str) -> None:
        """Ends the request before its answer."""
        self.fate = fate
        if self.connection is not None and self.task is not None:
            # Not at once: a task that is cancelled before its first step never gets to answer.
            asyncio.get_running_loop().call_soon(self.task.cancel)

    async def content(self, limit: int) -> bytes:
        """The whole body, decompressed. Raises TooLarge, Malformed or UnsupportedType."""
        size = int(self.fields.get(b"content-length", b"0"))
        if size > limit:
            raise _body_too_large(limit)
        self._hold(size)
        if self._complete and len(self._pieces) == 1:
            body = self._pieces[0]
        else:
            body = await self._all_pieces(limit)
        if len(body) > limit:
            raise _body_too_large(limit)
        encoding = self.fields.get(b"content-encoding")
        if encoding is None:
            return body
        body = await _inflated(body, encoding.decode("latin-1"), limit)
        self._hold(len(body))
        return body

    async def _all_pieces(self, limit: int) -> bytes:
        """Waits for the rest of the body, and bounds it as it grows.

        Each piece is put to the others as it comes: to join them all at the end takes milliseconds.
        """
        assert self.connection is not None
        transport = self.connection.transport
        if self.fields.get(b"expect", b"").lower() == b"100-continue":
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        whole = BytesIO()
        size = 0
        while True:
            whole.writelines(self._pieces)
            size += self._unread
            if size > limit:
                raise _body_too_large(limit)
            self._hold(size)
            self._pieces, self._unread = [], 0
            if self._complete:
                return whole.getvalue()
            transport.resume_reading()
            self._more = asyncio.get_running_loop().create_future()
            await self._more

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def _hold(self, size: int) -> None:
        """Counts a large body that has grown to ``size`` bytes."""
        if size > SMALL_BYTES and size > self.held_bytes and self.budget is not None:
            self.budget.take(size - self.held_bytes)
            self.held_bytes = size


async def _inflated(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding, on a thread where it is large with it or without."""
    if len(body) <= SMALL_BYTES:
        try:
            return inflate(body, encoding, min(limit, SMALL_BYTES))
        except TooLarge:
            pass  # for here
    return await when_large(True, inflate, body, encoding, limit)


def _body_too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes, the limit here")
