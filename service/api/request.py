"""One request and its reply, as every endpoint sees them, through whichever door they came."""

import asyncio
import os
import re
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import inf
from time import perf_counter
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl

import orjson
from pydantic import TypeAdapter, ValidationError

from service.access.keys import Key
from service.answer.predictions import compress, encoding
from service.background.large_work import when_large
from service.core import Core
from service.decode.content import inflate
from service.decode.validation import refuse
from service.errors import QueueFull, TooLarge, UnsupportedType
from service.inference.admission import SMALL_BYTES
from service.observe.metrics import OTHER
from service.settings import MIB

JSON_TYPE = b"application/json"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ID_PREFIX = os.urandom(6).hex().encode()
_ids = count(1)
_RELEASED = -1  # in the place of the bytes that a request holds, once it is answered

Headers = Sequence[tuple[bytes, bytes]]
Queries = Mapping[str, TypeAdapter[Any]]  # what the values of query parameters must be


@dataclass(slots=True)
class Reply:
    """An answer: its body, status, media type and further header fields."""

    body: bytes
    status: int = 200
    media_type: bytes = JSON_TYPE
    headers: Headers = ()
    held: type[QueueFull] | None = None  # why the connection is not read for a while; None if it is

    @classmethod
    def json(cls, content: Any, status: int = 200) -> Self:
        """An answer with ``content`` as JSON."""
        return cls(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status)


class Body(Protocol):
    """The body of a request, which may still be arriving."""

    pieces: list[bytes]
    complete: bool

    async def read(self, limit: int, hold: Callable[[int], None]) -> list[bytes]:
        """The whole body, in parts; calls ``hold`` with its size each time it grows.

        Raises :class:`TooLarge` above ``limit`` bytes, and :class:`BodyTimeout`.
        """


class Request:
    """One request: its head, its body, and the times that its answer reports.

    ``address`` is the IP address of the peer, or empty. ``caller`` is who is counted for shares and
    rates: the name of the ``key``, else the address.
    """

    root_path = server = version = ""
    port = held_bytes = received = 0  # where it arrived, and bytes of its body
    decode_s = queue_s = infer_s = inferred = 0.0  # and when the model had run
    key: Key | None = None
    under_way: Sized | None = None  # this worker's requests without answer, if the door knows them
    answer_headers: Headers = ()  # fields that its answer has, also if that is a fault
    route = OTHER

    def __init__(
        self,
        core: Core,
        method: str,
        path: str,
        fields: dict[bytes, bytes],
        body: Body,
        *,
        query: bytes = b"",
        address: str = "",
    ) -> None:
        self.started = perf_counter()
        self.core, self.method, self.path, self.fields = core, method, path, fields
        self.body, self.query, self.address, self.caller = body, query, address, address
        sent = fields.get(b"x-request-id", b"")
        self.id = sent if _REQUEST_ID.fullmatch(sent) else b"%b-%x" % (_ID_PREFIX, next(_ids))

    def field(self, name: bytes) -> str | None:
        """A header field by its lower-case name."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")

    def parameters(self, known: Queries, *, only_known: bool) -> dict[str, Any]:
        """The query's ``known`` parameters, each at most once. Raises Invalid, if unknown also."""
        found: dict[str, Any] = {}
        for name, value in parse_qsl(self.query.decode("latin-1"), keep_blank_values=True):
            if name in found:
                raise refuse(name, "the query parameter is sent twice")
            if name in known:
                try:
                    found[name] = known[name].validate_python(value)
                except ValidationError as error:
                    raise refuse(name, f"{value[:40]!r}: {error.errors()[0]['msg']}") from None
            elif only_known:
                reads = ", ".join(known) or "none"
                raise refuse(name[:40] or "query", f"unknown query parameter; known here: {reads}")
        return found

    def deadline(self, most_s: float) -> float:
        """When the answer is due, on ``perf_counter``'s clock: in ``most_s`` seconds or less."""
        text = self.fields.get(b"x-request-timeout-ms")
        if text is None:
            return self.started + most_s
        try:
            milliseconds = float(text)
        except ValueError:
            milliseconds = 0.0
        if not milliseconds > 0:
            raise refuse("X-Request-Timeout-Ms", "must be a number of milliseconds above 0")
        return self.started + min(milliseconds / 1000, most_s)

    async def content(self, limit: int) -> bytes:
        """The whole body, decompressed, charged as it arrives, is inflated and is decoded."""
        size = int(self.fields.get(b"content-length", b"0"))
        if size > limit:
            raise too_large(limit)
        if size > SMALL_BYTES:
            self.core.bodies.check(size, self.caller)
        pieces = self.body.pieces
        if self.body.complete and len(pieces) == 1:
            body = pieces[0]
            self._hold(len(body))
        else:
            parts = await self.body.read(limit, self._hold)
            # On a thread, bytes.join lets the event loop run meanwhile: from 1 MiB on.
            size = sum(map(len, parts))
            body = await when_large(size >= MIB, b"".join, parts, caller=self.caller)
            del parts
        self.received = len(body)
        if len(body) > limit:
            raise too_large(limit)
        encoding = self.fields.get(b"content-encoding")
        if encoding is not None:
            body = await self._inflated(body, encoding.decode("latin-1"), limit)
        if self.held_bytes:
            self.charge(len(body))
        return body

    async def _inflated(self, body: bytes, encoding: str, limit: int) -> bytes:
        """The body without its Content-Encoding; a large one is inflated on a thread."""
        if len(body) <= SMALL_BYTES:
            try:
                return inflate(body, encoding, min(limit, SMALL_BYTES))
            except TooLarge:
                self.charge(SMALL_BYTES)  # too large to be inflated here
        work = partial(inflate, body, encoding, limit, self.charge)
        return await when_large(True, work, until=self.deadline(inf), caller=self.caller)

    def receive(self, message: bytes) -> None:
        """Charges a large message that arrived as a whole, as ``content`` does."""
        self.received = len(message)
        if len(message) > SMALL_BYTES:
            self.charge(2 * len(message))

    def charge(self, more: int) -> None:
        """Charges ``more`` bytes that a large body becomes; any thread may call it."""
        bodies = self.core.bodies
        with bodies.lock:
            if self.held_bytes != _RELEASED:
                bodies.take(more, self.caller, self.held_bytes)
                self.held_bytes += more

    def release(self) -> None:
        """Returns the bytes of a large body to the budget; a thread may still work on it."""
        bodies = self.core.bodies
        with bodies.lock:
            bodies.add(-max(0, self.held_bytes), self.caller)
            self.held_bytes = _RELEASED

    def _hold(self, size: int) -> None:
        """Charges a large body that has grown to ``size`` bytes."""
        if size > SMALL_BYTES and size > self.held_bytes:
            self.charge(size - self.held_bytes)


async def compressed(request: Request, reply: Reply) -> Reply:
    """The reply, compressed on a thread if its caller accepts that."""
    chosen = encoding(request.field(b"accept-encoding"))
    if chosen is not None:
        reply.body = await asyncio.to_thread(compress, reply.body, chosen)
        added = (b"content-encoding", chosen.encode()), (b"vary", b"accept-encoding")
        reply.headers = (*reply.headers, *added)
    return reply


def too_large(limit: int) -> TooLarge:
    """The fault of a body with more than ``limit`` bytes."""
    return TooLarge(f"the body is larger than {limit} bytes, the limit here")


def unsupported(media_type: str, reads: str) -> UnsupportedType:
    """The fault of a body in another format than the ones that the endpoint reads."""
    sent = f"the Content-Type {media_type[:60]!r}" if media_type else "a body without Content-Type"
    return UnsupportedType(f"the service does not read {sent}; send {reads}")
