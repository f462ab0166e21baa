"""Parses ``multipart/form-data`` (RFC 7578) in memory: no part ever touches a disk."""

from __future__ import annotations

import logging

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState

from service.decode.content import parse_content_type
from service.decode.pictures import Pictures
from service.decode.validation import check_count, refuse
from service.errors import Malformed, TooLarge
from service.types import Limits

# The parser logs each error that it raises, so hostile requests would fill the log.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


def from_form(body: bytes, boundary: str, limits: Limits) -> Pictures:
    """Returns the picture files in the field ``files``."""
    parts = parse_form(body, boundary, max_parts=limits.images)
    for name, _ in parts:
        if name != "files":
            raise refuse("body", f'unknown field {name[:40]!r}; the field is "files"')
    check_count(len(parts), limits, "files", "file")
    return Pictures([data for _, data in parts], "files", "file")


def parse_form(body: bytes, boundary: str, *, max_parts: int) -> list[tuple[str, bytes]]:
    """Returns name and data of each part of a form; ignores text before the first boundary."""
    if not boundary:
        raise Malformed("the Content-Type names no boundary")
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    start = 0 if body.startswith(delimiter[2:]) else body.find(delimiter)
    if start < 0:
        raise Malformed("the form lacks the boundary that the Content-Type names")
    parts: list[tuple[str, bytes]] = []
    headers: dict[bytes, bytes] = {}
    name, value, data = bytearray(), bytearray(), list[bytes]()

    def begin_part() -> None:
        if len(parts) == max_parts:
            raise TooLarge(f"the form has more than {max_parts:,} parts")

    def end_header() -> None:
        headers[bytes(name).lower()] = bytes(value)
        name.clear()
        value.clear()

    def end_part() -> None:
        kind, options = parse_content_type(headers.get(b"content-disposition"))
        if kind != "form-data" or "name" not in options:
            raise Malformed(f"part {len(parts)} of the form has no name")
        parts.append((options["name"], b"".join(data)))
        headers.clear()
        data.clear()

    try:
        parser = MultipartParser(
            delimiter[4:],
            {
                "on_part_begin": begin_part,
                "on_header_field": lambda text, start, end: name.extend(text[start:end]),
                "on_header_value": lambda text, start, end: value.extend(text[start:end]),
                "on_header_end": end_header,
                "on_part_data": lambda text, start, end: data.append(text[start:end]),
                "on_part_end": end_part,
            },
        )
        parser.write(body[start:])
    except FormParserError as error:
        raise Malformed(f"the form is damaged: {error}") from None
    if parser.state != MultipartState.END:
        raise Malformed("the form is cut short: its last boundary is missing")
    return parts
