"""Bounds and rules of one connection, and the faults of requests that break them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import unquote

import httptools

from service.errors import BodyTimeout, HeadersTooLarge, Malformed, PathTooLong

PATH_LIMIT = 8 << 10
"""Bytes of path and query."""
HEAD_LIMIT = 64 << 10
"""Bytes of the whole head."""

LINGER_SECONDS = 5.0
"""How long the rest of a rejected body is read and dropped. A connection that closes earlier may be
reset before its sender has read the answer."""

HEAD_LATE = BodyTimeout("the head of the request did not arrive in time")
HEAD_TOO_LARGE = HeadersTooLarge(f"the head of the request is larger than {HEAD_LIMIT} bytes")
PATH_TOO_LONG = PathTooLong(f"the path and query are longer than {PATH_LIMIT} bytes")
NO_REQUEST = Malformed("this is not a well-formed HTTP/1.1 request")
NOT_ONE_HOST = Malformed("a request has one Host field (RFC 9112, section 3.2)")

# llhttp ends a request that asks for an upgrade with its head, and loses its body. Java's and
# curl's HTTP/2 clients ask so with their first POST. The parser must not see the field.
_UPGRADE = re.compile(rb"\r\nUpgrade(?=[ \t]*:)", re.IGNORECASE)


def peer_address(transport: asyncio.BaseTransport) -> str:
    """The IP address of the peer, without its port."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""


def without_upgrade(data: bytes) -> bytes:
    """The bytes with the ``Upgrade`` fields of the head renamed."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nX-Asked", head) + end + rest


def has_one_host(fields: Sequence[tuple[bytes, bytes]], version: str) -> bool:
    """Whether the head has one Host field; an HTTP/1.0 request may have none."""
    hosts = sum(name == b"host" for name, _ in fields)
    return hosts == 1 or (hosts == 0 and version != "1.1")


def path_and_query(target: bytes) -> tuple[str, bytes]:
    """The decoded path and the query of a request target (RFC 9112, section 3.2)."""
    parsed = httptools.parse_url(target)
    path: str = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.query or b""
