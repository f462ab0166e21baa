"""Reads the two headers that describe a body: its type, and how it was compressed."""

import zlib
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO

from python_multipart.multipart import parse_options_header

from service.background.large_work import give_way
from service.errors import Malformed, TooLarge, UnsupportedType
from service.types import free

_PIECE_BYTES = 1 << 13  # one step of decompression, some 100 microseconds
_STEP_BYTES = 1 << 20  # what one step adds at most; it is charged after it
_ACCEPT_ENCODING = ((b"accept-encoding", b"gzip, deflate"),)
_GZIP_MAGIC = b"\x1f\x8b"


@lru_cache(maxsize=64)  # clients send few values, again and again
def parse_content_type(value: bytes | str | None) -> tuple[str, dict[str, str]]:
    """Returns the media type, or "", and the parameters of a Content-Type, in lower case."""
    media_type, parameters = parse_options_header(value)
    named = {name.decode("latin-1"): text.decode("latin-1") for name, text in parameters.items()}
    return media_type.decode("latin-1").strip(), named


def inflate(
    body: bytes,
    content_encoding: str | None,
    limit_bytes: int,
    charge: Callable[[int], None] = free,
) -> bytes:
    """Undoes the Content-Encoding of a body: gzip, deflate or identity.

    One coding makes it at most 1,032 times larger (RFC 1951); two, a million times: refused.
    """
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    names = [name for name in names if name not in {"", "identity"}]
    if len(names) > 1:
        detail = "a body has one content encoding at most; send gzip or deflate"
        raise UnsupportedType(detail, headers=_ACCEPT_ENCODING)
    for name in names:
        if name not in {"gzip", "x-gzip", "deflate"}:
            detail = f"unsupported content encoding {name[:40]!r}; send gzip or deflate"
            raise UnsupportedType(detail, headers=_ACCEPT_ENCODING)
        body = _decompress(body, name.removeprefix("x-"), limit_bytes, charge)
    return body


def gunzip(data: bytes, limit_bytes: int, charge: Callable[[int], None] = free) -> bytes:
    """Decompresses a gzip member (RFC 1952), or returns other data; raises Malformed, TooLarge."""
    return _decompress(data, "gzip", limit_bytes, charge) if data.startswith(_GZIP_MAGIC) else data


def _decompress(data: bytes, name: str, limit_bytes: int, charge: Callable[[int], None]) -> bytes:
    if name == "gzip":
        window_bits = 31
    else:  # zlib's format (RFC 9110, section 8.4.1.2), or a bare stream, which some clients send
        is_zlib = len(data) >= 2 and data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        window_bits = 15 if is_zlib else -15
    inflater, content, end = zlib.decompressobj(window_bits), BytesIO(), 0
    while not inflater.eof and (inflater.unconsumed_tail or end < len(data)):
        piece: bytes | memoryview = inflater.unconsumed_tail
        if not piece:
            piece = memoryview(data)[end : end + _PIECE_BYTES]
            end += len(piece)
        try:
            step = min(_STEP_BYTES, limit_bytes + 1 - content.tell())
            charge(content.write(inflater.decompress(piece, step)))
        except zlib.error:
            raise Malformed(f"the {name} data are damaged") from None
        if content.tell() > limit_bytes:
            raise TooLarge(f"more than {limit_bytes:,} bytes after decompression")
        give_way()
    if not inflater.eof:
        raise Malformed(f"the {name} data are cut short")
    if after := len(inflater.unused_data) + len(data) - end:
        raise Malformed(f"{after:,} bytes follow the end of the {name} data")
    return content.getvalue()
