"""``multipart/form-data`` (RFC 7578), parsed in memory: no part ever touches a disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from service.decode.content import parse_content_type
from service.decode.pictures import Pictures
from service.decode.validation import check_count, refuse
from service.errors import Malformed, TooLarge
from service.types import Limits

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# The parser logs what it also raises, once a malformed request: strangers would fill the log.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form; ``filename`` is None where the sender gave none."""

    name: str
    filename: str | None
    content_type: str
    data: bytes


def from_form(body: bytes, boundary: str, limits: Limits) -> Pictures:
    """The picture files in the field ``files``.

    Raises :class:`Malformed`, :class:`Invalid` or :class:`TooLarge`.
    """
    parts = parse_form(body, boundary, max_parts=limits.images)
    for part in parts:
        if part.name != "files":
            raise refuse(None, "body", f'the field {part.name[:40]!r} is not read here; "files" is')
    check_count(len(parts), limits, "files", "file")
    return Pictures([part.data for part in parts], "files", "file")


def parse_form(body: bytes, boundary: str, *, max_parts: int) -> list[Part]:
    """The parts of a form, in their order.

    What stands before the first boundary is passed over (RFC 2046, section 5.1.1). Raises
    :class:`Malformed` for no boundary, a part without a name, a form that is damaged or lacks its
    end; :class:`TooLarge` for more than ``max_parts``.
    """
    if not boundary:
        raise Malformed("the Content-Type names no boundary")
    if not body:
        raise Malformed("the body is empty; a form is expected")
    delimiter = b"--" + boundary.encode("latin-1", "replace")
    start = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter)
    if start < 0:
        raise Malformed("the form lacks the boundary that the Content-Type names")
    reader = _Reader(max_parts)
    try:
        parser = MultipartParser(delimiter[2:], reader.callbacks())
        parser.write(body[start:])
    except FormParserError as error:
        raise Malformed(f"the form is damaged: {error}") from None
    if not reader.ended:
        raise Malformed("the form is cut short: its last boundary is missing")
    return reader.parts


@dataclass(slots=True)
class _Reader:
    """Takes the parser's callbacks; a header or the data of a part may come in pieces."""

    max_parts: int
    parts: list[Part] = field(default_factory=list)
    ended: bool = False
    _name: bytes = b""
    _value: bytes = b""
    _data: list[bytes] = field(default_factory=list)
    _headers: dict[bytes, bytes] = field(default_factory=dict)

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls, by the names it gives them."""
        return {
            "on_part_begin": self.on_part_begin,
            "on_part_data": self.on_part_data,
            "on_part_end": self.on_part_end,
            "on_header_field": self.on_header_field,
            "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end,
            "on_end": self.on_end,
        }

    def on_part_begin(self) -> None:
        if len(self.parts) == self.max_parts:
            raise TooLarge(f"the form has more than {self.max_parts:,} parts")
        self._headers = {}
        self._data = []

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def on_part_end(self) -> None:
        kind, options = parse_content_type(self._headers.get(b"content-disposition"))
        if kind != "form-data" or "name" not in options:
            raise Malformed(f"part {len(self.parts)} of the form has no name")
        content_type = self._headers.get(b"content-type", b"").decode("latin-1")
        data = b"".join(self._data)
        self.parts.append(Part(options["name"], options.get("filename"), content_type, data))

    def on_end(self) -> None:
        self.ended = True
