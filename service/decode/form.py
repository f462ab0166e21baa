"""Parses ``multipart/form-data`` (RFC 7578) in memory: no part ever touches a disk."""

import re

from service.decode.content import parse_content_type
from service.decode.pictures import Pictures
from service.decode.validation import check_count, refuse
from service.errors import Malformed, TooLarge
from service.types import Limits

_LONGEST_HEAD = 1 << 13
_DISPOSITION = re.compile(rb"\r\nContent-Disposition:\s*([^\r\n]*)", re.IGNORECASE)


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
    return parts
