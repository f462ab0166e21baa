"""Bounds and rules of one connection, and the faults of requests that break them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote, unquote

import httptools

from service.errors import BodyTimeout, Fault, HeadersTooLarge, Malformed, PathTooLong, TooLarge
from service.http.dispatch import ENCODED_SLASH

PATH_LIMIT = 8 << 10  # bytes of path and query
HEAD_LIMIT = 64 << 10  # bytes of the whole head, up to its empty line
FRAMING_LIMIT = 16 << 10
"""Bytes of trailers, and bytes of chunk extensions beyond what the chunks' data excuse."""
HEAD_END = b"\r\n\r\n"

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields: lower-case names and values, in the order in which they came."""

LINGER_SECONDS = 5.0
"""How long the rest of a rejected body is read and dropped. A connection that closes earlier may be
reset before its sender has read the answer."""

HEAD_LATE = BodyTimeout("the head of the request did not arrive in time")
HEAD_TOO_LARGE = HeadersTooLarge(f"the head of the request is larger than {HEAD_LIMIT} bytes")
PATH_TOO_LONG = PathTooLong(f"the path and query are longer than {PATH_LIMIT} bytes")
NO_REQUEST = Malformed("this is not a well-formed HTTP/1.1 request")
NOT_ONE_HOST = Malformed("a request has one Host field (RFC 9112, section 3.2)")
NO_HOST = Malformed("the host is not a name or an address, with or without a port")
FRAMING_TOO_LARGE = TooLarge(
    f"chunk extensions or trailers are larger than {FRAMING_LIMIT} bytes; send none"
)

# llhttp ends a request that asks for an upgrade with its head, and loses its body. Java's and
# curl's HTTP/2 clients ask so with their first POST. The parser must not see the field.
_UPGRADE = re.compile(rb"\r\nUpgrade", re.IGNORECASE)
# The end of a piece that may be the begin of such a field, or of the end of the head.
_BEGUN = re.compile(rb"(\r\n)?\r$|\r\n(U(p(g(r(a(de?)?)?)?)?)?)?$", re.IGNORECASE)

# RFC 3986, section 3.2.2, without the comma, with which proxies join two Host fields.
_HOST = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|([A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]{0,5})?"
)
_ABSOLUTE = re.compile(rb"https?://([^/?#:][^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_SLASH = re.compile(ENCODED_SLASH, re.IGNORECASE)


def without_upgrade(data: bytes) -> tuple[bytes, bytes, int]:
    """Renames ``Upgrade`` in what has come of a head; returns that, the rest, the head's size."""
    size, kept = data.find(HEAD_END), b""
    if size < 0:
        if begun := _BEGUN.search(data, len(data) - 9):  # nine bytes are the longest
            data, kept = data[: begun.start()], data[begun.start() :]
        size = len(data)
    head, found = _UPGRADE.subn(b"\r\nX-Asked", data[:size])
    return head + data[size:] if found else data, kept, size


def joined(fields: Fields) -> dict[bytes, bytes]:
    """The fields by name; those that came several times joined (RFC 9110, section 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        several = name in found and name != b"content-length"
        found[name] = found[name] + b", " + value if several else value
    return found


def checked(
    target: bytes, fields: Fields, version: str
) -> tuple[bytes, dict[bytes, bytes]] | Fault:
    """The target as path and query, and the fields; or the fault of the target or the host.

    The authority of a target in absolute form replaces the Host field (RFC 9112, section 3.2.2).
    """
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) != 1 and (hosts or version == "1.1"):
        return NOT_ONE_HOST
    absolute = None if target.startswith(b"/") or target == b"*" else _ABSOLUTE.match(target)
    if absolute is not None:
        hosts.append(absolute[1])
        target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    elif not target.startswith(b"/") and target != b"*":
        return NO_REQUEST
    if not all(map(_HOST.fullmatch, hosts)):
        return NO_HOST
    found = joined(fields)
    if hosts:
        found[b"host"] = hosts[-1]
    return target, found


@lru_cache(256)
def path_and_query(target: bytes) -> tuple[str, bytes]:
    """The decoded path and the query of a request target (RFC 9112, section 3.2)."""
    parsed = httptools.parse_url(target)
    path: str = parsed.path.decode("ascii")
    return decoded(path) if "%" in path else path, parsed.query or b""


def decoded(path: str) -> str:
    """A path, decoded once; an encoded slash stays encoded, which no endpoint's path has."""
    return unquote(_SLASH.sub(quote(ENCODED_SLASH), path))
