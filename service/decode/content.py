"""Reads what HTTP says of a body: its type, its compression, and the parts of a form."""

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO

from python_multipart.multipart import parse_options_header

from service.background.large_work import give_way
from service.decode.pictures import Pictures
from service.decode.validation import check_count, refuse
from service.errors import Malformed, TooLarge, UnsupportedType
from service.types import Limits, free

_PIECE_BYTES = 1 << 13  # one step of decompression, some 100 microseconds
_STEP_BYTES = 1 << 20  # what one step adds at most; it is charged after it
_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_HEAD = 1 << 13
_DISPOSITION = re.compile(rb"\r\nContent-Disposition:\s*([^\r\n]*)", re.IGNORECASE)


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
    names = [name.replace("x-gzip", "gzip") for name in names if name not in {"", "identity"}]
    if not names:
        return body
    if names not in (["gzip"], ["deflate"]):
        shown = ", ".join(names)[:40]
        detail = f"unsupported content encoding {shown!r}; send gzip or deflate, and once"
        raise UnsupportedType(detail, headers=((b"accept-encoding", b"gzip, deflate"),))
    return _decompress(body, names[0], limit_bytes, charge)


def gunzip(data: bytes, limit_bytes: int, charge: Callable[[int], None] = free) -> bytes:
    """Decompresses a gzip member (RFC 1952), or returns other data; raises Malformed, TooLarge."""
    return _decompress(data, "gzip", limit_bytes, charge) if data.startswith(_GZIP_MAGIC) else data


def _decompress(data: bytes, name: str, limit_bytes: int, charge: Callable[[int], None]) -> bytes:
    # 47: a header of gzip or of zlib (RFC 9110, section 8.4.1), by its first bytes
    inflater, content, end = zlib.decompressobj(47), BytesIO(), 0
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


def from_form(body: bytes, boundary: str, limits: Limits) -> Pictures:
    """Returns the picture files in the field ``files``."""
    parts = parse_form(body, boundary, max_parts=limits.images)
    for name, _ in parts:
        if name != "files":
            raise refuse("body", f'unknown field {name[:40]!r}; the field is "files"')
    check_count(len(parts), limits, "files", "file")
    return Pictures([data for _, data in parts], "files", "file")


def parse_form(body: bytes, boundary: str, *, max_parts: int) -> list[tuple[str, bytes]]:
    """Returns name and data of each part of a form; ignores text around the parts."""
    if not boundary:
        raise Malformed("the Content-Type names no boundary")
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    at = -2 if body.startswith(delimiter[2:]) else body.find(delimiter)
    if at == -1:
        raise Malformed("the form lacks the boundary that the Content-Type names")
    parts: list[tuple[str, bytes]] = []
    while not body.startswith(b"--", at := at + len(delimiter)):
        if len(parts) == max_parts:
            raise TooLarge(f"the form has more than {max_parts:,} parts")
        blank = body.find(b"\r\n\r\n", at, at + _LONGEST_HEAD)
        disposition = _DISPOSITION.search(body, at, max(at, blank))
        kind, options = parse_content_type(disposition[1] if disposition else None)
        if kind != "form-data" or "name" not in options:
            raise Malformed(
                f"part {len(parts)} of the form has no name, or its head is damaged or cut short"
            )
        end = body.find(delimiter, blank + 4)
        if end < 0:
            raise Malformed("the form is cut short: its last boundary is missing")
        parts.append((options["name"], body[blank + 4 : end]))
        at = end
        give_way()
    return parts
