"""JSON (RFC 8259) as strangers send it: parsed strictly, in bounded memory, large lists in pieces.

Cutting a list at commas is safe without knowing where its items end: if every piece between
brackets parses, then by the grammar the whole does, to the pieces one after the other. Where one
does not, the whole is parsed instead, and says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from service.decode.diagnosis import name_of
from service.decode.validation import refuse
from service.errors import Malformed, TooLarge

PIECE_BYTES = 1 << 16
"""What is worked on at once: 20 to 40 images, some 300 microseconds, and within the cache."""

MOST_CONTAINERS = 1 << 18
MOST_VALUES = 1 << 22
_SMALL_BYTES = 1 << 20

_NESTED = re.compile(rb"\s*\[\s*\[")
_NESTED_END = re.compile(rb"\]\s*\]\s*,")
_FLAT_END = re.compile(rb"\]\s*,")


def parse_json(body: bytes) -> Any:
    """The value of a JSON text.

    Raises :class:`Malformed`, in one line with the position, for an empty body, bad UTF-8, the
    tokens NaN and Infinity, a number over the range of a double, more than 1,024 levels, and
    anything else that is no JSON; :class:`TooLarge` for more lists, objects or values than one
    request's images have, as an object in memory takes many times its bytes in the text.
    """
    if not body:
        raise Malformed("the body is empty; JSON is expected")
    if len(body) > _SMALL_BYTES and (
        body.count(b"[") + body.count(b"{") > MOST_CONTAINERS or body.count(b",") > MOST_VALUES
    ):
        raise TooLarge(
            f"more than {MOST_CONTAINERS:,} lists and objects or {MOST_VALUES:,} values in one text"
        )
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {_where_not_utf8(body) or error}") from None


def _where_not_utf8(body: bytes) -> str | None:
    """The first byte that is not UTF-8, of which orjson says that it is somewhere."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start} is not UTF-8"
    return None


def parse_object(body: bytes, *keys: str) -> dict[str, Any]:
    """The JSON object in ``body``, whose keys are among ``keys``, each at most once.

    Raises :class:`Malformed` as :func:`parse_json` does and for a repeated key, and
    :class:`Invalid` for another value than an object and for another key.
    """
    value = parse_json(body)
    expected = " and ".join(f'"{key}"' for key in keys)
    if not isinstance(value, dict):
        told = f'an object such as {{"{keys[0]}": [...]}} is expected'
        raise refuse(None, "body", f"is {name_of(value)}; {told}")
    for key in value:
        if key not in keys:
            raise refuse(None, "body", f"the key {key[:40]!r} is not read here; {expected} are")
    if body.count(b'"') > 2 * len(value):
        for key in value:
            if len(re.findall(rb'"%b"\s*:' % key.encode(), body)) > 1:
                raise Malformed(f'the key "{key}" stands twice in the body')
    return value


def list_under(key: str, body: bytes) -> tuple[int, int] | None:
    """Where the items of the list begin and end that is the first value of an object, if it is.

    The text without what is between must still be looked at: this only says where it would be.
    """
    lead = re.match(rb'\s*\{\s*"%b"\s*:\s*\[' % key.encode(), body)
    if lead is None:
        return None
    start = lead.end()
    last_quote = body.rfind(b'"', start)  # of a key that follows the list
    end = body.rfind(b"]", start, last_quote if last_quote >= 0 else len(body))
    return (start, end) if end > start else None


def is_nested(text: bytes, start: int, end: int) -> bool:
    """Whether the first item of the list in ``text[start:end]`` is a list of lists."""
    return _NESTED.match(text, start, end) is not None


def pieces(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts the list of images in ``text[start:end]`` at commas into pieces of some images each.

    The last is empty where a comma comes last, which no list may have.
    """
    image_end = _NESTED_END if is_nested(text, start, end) else _FLAT_END
    while True:
        match = image_end.search(text, start + PIECE_BYTES, end)
        stop = match.end() - 1 if match else end
        yield start, stop
        if stop == end:
            return
        start = stop + 1
