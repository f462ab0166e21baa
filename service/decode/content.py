"""The two headers that say what a body is: its type, and how it was compressed."""

from __future__ import annotations

import re
import zlib
from io import BytesIO

from service.background.large_work import give_way
from service.errors import Malformed, TooLarge, UnsupportedType

MOST_ENCODINGS = 4
_PIECE_BYTES = 1 << 15
"""What is inflated at once, of what is read and of what is written."""
_ACCEPT_ENCODING = ((b"accept-encoding", b"gzip, deflate"),)
_PARAMETER = re.compile(r"""\s*([^\s=;"]+)=("(?:[^"\\]|\\.)*"|[^\s;"]*)\s*(?:;|$)""")
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15  # zlib's wbits


def parse_content_type(value: bytes | str | None) -> tuple[str, dict[str, str]]:
    """The media type and the parameters of a Content-Type (RFC 9110, section 8.3).

    The media type and the parameters' names come in lower case. No header gives ``("", {})``;
    what follows a parameter that cannot be read is left out.
    """
    if not value:
        return "", {}
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    media_type, _, rest = text.partition(";")
    parameters: dict[str, str] = {}
    position = 0
    while match := _PARAMETER.match(rest, position):
        name, content = match.groups()
        if content.startswith('"'):
            content = re.sub(r"\\(.)", r"\1", content[1:-1])
        parameters.setdefault(name.lower(), content)
        position = match.end()
    return media_type.strip().lower(), parameters


def inflate(body: bytes, content_encoding: str | None, limit_bytes: int) -> bytes:
    """The body without its Content-Encoding: gzip, deflate, identity, or several in their order.

    Deflate is zlib's format (RFC 9110, section 8.4.1.2); the bare stream that some clients send
    under that name is read too. Raises :class:`UnsupportedType` for another encoding,
    :class:`Malformed` for damage or for data after the end, :class:`TooLarge` for more than
    ``limit_bytes``, of which never more are held.
    """
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    names = [name for name in names if name not in {"", "identity"}]
    if len(names) > MOST_ENCODINGS:
        raise UnsupportedType(f"more than {MOST_ENCODINGS} content encodings are not read here")
    for name in names:
        if name not in {"gzip", "x-gzip", "deflate"}:
            detail = f"the content encoding {name[:40]!r} is not read here; gzip and deflate are"
            raise UnsupportedType(detail, headers=_ACCEPT_ENCODING)
    for name in reversed(names):
        body = (
            _inflate_deflate(body, limit_bytes) if name == "deflate" else gunzip(body, limit_bytes)
        )
    return body


def gunzip(data: bytes, limit_bytes: int) -> bytes:
    """The content of one gzip member (RFC 1952); raises as :func:`inflate` does."""
    return _decompress(data, _GZIP, "gzip", limit_bytes)


def _inflate_deflate(data: bytes, limit_bytes: int) -> bytes:
    is_zlib = len(data) >= 2 and data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
    return _decompress(data, _ZLIB if is_zlib else _RAW_DEFLATE, "deflate", limit_bytes)


def _decompress(data: bytes, window_bits: int, name: str, limit_bytes: int) -> bytes:
    inflater, content = zlib.decompressobj(window_bits), BytesIO()
    piece: bytes | memoryview = b""
    rest = memoryview(data)
    written = 0
    # Where all room was written to, there may be more to come of what was read.
    while not inflater.eof and (piece or rest or written == _PIECE_BYTES):
        if not piece and written < _PIECE_BYTES:
            piece, rest = rest[:_PIECE_BYTES], rest[_PIECE_BYTES:]
        try:
            written = content.write(inflater.decompress(piece, _PIECE_BYTES))
        except zlib.error:
            raise Malformed(f"the {name} data are damaged") from None
        if content.tell() > limit_bytes:
            raise TooLarge(f"more than {limit_bytes:,} bytes after decompression")
        piece = inflater.unconsumed_tail
        give_way()
    if not inflater.eof:
        raise Malformed(f"the {name} data are cut short")
    if after := len(inflater.unused_data) + len(rest):
        raise Malformed(f"{after:,} bytes follow the end of the {name} data")
    return content.getvalue()
