"""Reads the long list of a large JSON body in pieces, and whole numbers without a JSON parser.

A JSON parser holds the interpreter's lock, and makes a Python object of each number. So a long list
is cut into pieces at commas: if each is a JSON list between brackets, the whole lists all items.
NumPy, which releases the lock, reads the pieces of plain whole numbers: it compares every bracket,
comma and last digit with a list of images. The parser reads the others, with the same result.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.errors import Malformed
from service.types import PIXELS, SIDE

PIECE_BYTES = 1 << 16  # 20 to 40 images, some 300 microseconds, within the CPU's cache
LARGEST_PIECE_BYTES = 1 << 20  # the arrays take ten times the text; the parser reads longer pieces
_LEAD_BYTES = 1 << 19  # the list must begin within these bytes; 100,000 labels may come first

_ZERO, _COMMA, _OPEN, _CLOSE = (np.uint8(character) for character in b"0,[]")
_SPACES = tuple(np.uint8(character) for character in b" \t\n\r")
_ROW = b"[" + b",".join([b"0"] * SIDE) + b"]"


class Form(NamedTuple):
    """What the items of a list look like."""

    end: re.Pattern[bytes]  # matches the end of an item and the comma after it
    item: NDArray[np.uint8]  # an item and a comma, 0 for each number; empty for items with keys
    numbers: Callable[[NDArray[Any]], NDArray[Any]]  # returns the numbers' columns of a table


NESTED = Form(
    re.compile(rb"\]\s*\]\s*,"),
    np.frombuffer(b"[" + b",".join([_ROW] * SIDE) + b"],", np.uint8),
    lambda table: table[:, 1:-1].reshape(-1, SIDE, 2 * SIDE + 2)[:, :, 1:-1:2],
)
FLAT = Form(
    re.compile(rb"\]\s*,"),
    np.frombuffer(b"[" + b",".join([b"0"] * PIXELS) + b"],", np.uint8),
    lambda table: table[:, 1:-1:2],
)
NUMBERS = Form(re.compile(b","), np.frombuffer(b"0,", np.uint8), lambda table: table[:, :1])
OBJECTS = Form(re.compile(rb"\}\s*,"), np.empty(0, np.uint8), lambda table: table)
_ROWS = re.compile(rb"\[\s*\[")
_OBJECTS_END = re.compile(rb"\}\s*\]")


@dataclass(slots=True)
class JsonText:
    """The JSON text of a body, whole or with the items of its long list apart.

    ``rest`` is the text to parse, with an empty list in place of the items ``body[start:end]``,
    which have the ``form``; None for a whole text. :meth:`pieces` sets ``is_read``.
    """

    body: bytes
    rest: bytes
    start: int = 0
    end: int = 0
    form: Form | None = None
    is_read: bool = False

    def pieces(
        self, value: list[Any], parse: Callable[[bytes], Any]
    ) -> Iterator[tuple[NDArray[np.uint8] | None, list[Any], bytes]]:
        """Yields the list ``value`` of the rest, in pieces if it stands for the items apart.

        A piece is images (n, 28, 28) or numbers (n,), or None, items and their text.
        """
        if self.form is None or value:
            yield None, value, self.body
            return
        self.is_read, start, least = True, self.start, PIECE_BYTES
        while True:
            match = self.form.end.search(self.body, start + least, self.end)
            stop = match.end() - 1 if match else self.end
            plain = read_plain(self.body, start, stop, self.form)
            if plain is None and self.form is FLAT and _ROWS.search(self.body, start, stop):
                self.form = NESTED  # an image of 28 rows is among them, perhaps cut after a row
                continue
            if plain is None:
                text = self.body[start:stop]
                items: list[Any] = []
                with suppress(Malformed):
                    items = parse(b"[%b]" % text)
                if not items:
                    raise Malformed(
                        f"the body is not JSON between its bytes {start:,} and {stop:,}"
                    )
                yield None, items, text
                least = PIECE_BYTES // 4  # the parser takes four times as long
            else:
                yield plain, [], b""
            if stop == self.end:
                return
            start = stop + 1
            give_way()


def set_apart(body: bytes, lead: re.Pattern[bytes]) -> JsonText | None:
    """Sets the items of the long list in a JSON body apart, or returns None if it finds no list.

    ``lead`` matches the list's key, as its first group, up to the opening bracket. The key stands
    only once outside of the list, so the only empty list under it in the rest is this one.
    """
    match = lead.search(body, 0, _LEAD_BYTES)
    if match is None:
        return None
    start = match.end()
    first = body[start : start + 100].translate(None, b" \t\r\n")[:2]
    if first[:1] == b"{":
        last = _OBJECTS_END.search(body, start)
        end = last.end() - 1 if last else -1
    else:  # lists of numbers hold neither quotes nor braces, and a key or a brace comes next
        end = body.rfind(b"]", start, min(_first(body, mark, start) for mark in (b'"', b"}")))
    rest = body[:start] + body[end:]
    if end <= start or b"\\" in rest or rest.count(b'"%b"' % match[1]) != 1:
        return None
    of_first = {b"[": FLAT, b"{": OBJECTS}.get(first[:1], NUMBERS)
    form = NESTED if first == b"[[" else of_first
    return JsonText(body, rest, start, end, form)


def _first(body: bytes, mark: bytes, start: int) -> int:
    """Finds a character from ``start`` on, in steps, for a search holds the interpreter's lock."""
    for begin in range(start, len(body), LARGEST_PIECE_BYTES):
        place = body.find(mark, begin, begin + LARGEST_PIECE_BYTES)
        if place >= 0:
            return place
        give_way()
    return len(body)


def read_plain(text: bytes, start: int, stop: int, form: Form) -> NDArray[np.uint8] | None:
    """Reads the images (n, 28, 28) or numbers (n,) that ``text[start:stop]`` lists.

    The text has one character after ``stop`` and at least two before ``start``. Returns None if
    anything but plain whole numbers is there.
    """
    if stop - start > LARGEST_PIECE_BYTES or not len(form.item):
        return None
    characters = np.frombuffer(text, np.uint8, stop + 1 - start, start)
    is_digit = characters - _ZERO < 10
    is_mark = (characters == _COMMA) | (characters == _OPEN) | (characters == _CLOSE)
    digits = int(np.count_nonzero(is_digit))
    others = len(characters) - digits - np.count_nonzero(is_mark)
    for space in _SPACES:
        if others:
            others -= np.count_nonzero(characters == space)
    if others:
        return None
    is_mark[:-1] |= is_digit[:-1] > is_digit[1:]  # each number's last digit marks its place
    marks = np.flatnonzero(is_mark)
    if len(marks) == 0 or len(marks) % len(form.item):
        return None
    places = marks.reshape(-1, len(form.item))
    spelt = characters.take(places)
    spelt[-1, -1] = _COMMA  # the character after the last item belongs to the caller
    ones = form.numbers(spelt) - _ZERO  # the last digits; 10 or more is no digit
    form.numbers(spelt)[...] = _ZERO
    if not (spelt == form.item).all() or not (ones < 10).all():
        return None
    last = np.ascontiguousarray(form.numbers(places))
    tens = np.frombuffer(text, np.uint8, len(characters), start - 1)[last] - _ZERO
    hundreds = np.frombuffer(text, np.uint8, len(characters), start - 2)[last] - _ZERO
    values = _values(ones, tens, hundreds, digits)
    return values if values is None or form is NUMBERS else values.reshape(-1, SIDE, SIDE)


def _values(
    ones: NDArray[np.uint8], tens: NDArray[np.uint8], hundreds: NDArray[np.uint8], digits: int
) -> NDArray[np.uint8] | None:
    """Computes numbers of so many ``digits`` in all from their last three characters minus "0"."""
    has_tens = tens < 10
    has_hundreds = has_tens & (hundreds < 10)
    first = np.where(has_hundreds, hundreds, tens)
    is_long = digits != ones.size + np.count_nonzero(has_tens) + np.count_nonzero(has_hundreds)
    if is_long or (has_tens & (first == 0)).any():  # JSON allows no leading zero
        return None
    values = ones + np.uint16(10) * (tens * has_tens) + np.uint16(100) * (hundreds * has_hundreds)
    return None if values.max() > 255 else values.astype(np.uint8).reshape(-1)
