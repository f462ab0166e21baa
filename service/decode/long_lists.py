"""Takes long lists of numbers out of a JSON text before it is parsed.

A parser holds the interpreter's lock for as long as it runs, and a text of a thousand images takes
it a quarter of a second in which no other request moves. So the long lists are read in pieces, and
a string that no sender can know takes the place of each in the text. A list is a value and so is a
string: one text is JSON exactly if the other is. Where that is not so, or where a list is not of a
plain form, the text is left as it is, and the parser has the word.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.decode.json_fast import read_digits, read_numbers
from service.decode.json_text import PIECE_BYTES, parse_json, pieces
from service.errors import Fault, Invalid, Malformed
from service.types import PIXELS, SIDE

_Read = TypeVar("_Read")

LARGE_BYTES = 8192
"""A text over this, some three images, is looked through."""

_SHORTEST_BYTES = 2 * PIXELS - 1
_MOST_QUOTES = 20_000
_OPENING = re.compile(rb"[:,\[]\s*(\[\s*(?:(\[)\s*(\[)?)?)")
_NUMBERS = re.compile(rb"[-+.0-9eE,\[\]\s]*")
_SECRET = os.urandom(16).hex()
_numbers = count()


class NotPlain(Exception):
    """A list taken out is not of the form that is wanted; the whole text has to be looked at."""


class Lists:
    """The lists taken out of one text, each under the string in its place.

    They are numbers of shape (n, 28, 28), (n, 784), (28, 28), (784,) or (n,), of type ``uint8``
    where all are whole and from 0 to 255, else ``float64``.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}
        self.left: set[str] = set()
        """Those that no one has asked for."""

    def put(self, array: NDArray[Any]) -> str:
        """Keeps a list, and gives the string for its place."""
        name = f"{_SECRET}-{next(_numbers)}"
        self._arrays[name] = array
        self.left.add(name)
        return name

    def get(self, value: Any) -> Any:
        """The list in whose place ``value`` is, or else the value itself."""
        if not isinstance(value, str) or value not in self._arrays:
            return value
        self.left.discard(value)
        return self._arrays[value]


def take_out(text: bytes) -> tuple[bytes, Lists]:
    """The text with each long list replaced, and the lists; the text itself where there is none."""
    lists = Lists()
    if len(text) <= LARGE_BYTES or text.count(b'"') > _MOST_QUOTES:
        return text, lists
    kept: list[bytes] = []
    done = start = 0
    while start < len(text):
        quote = text.find(b'"', start)
        stop = len(text) if quote < 0 else quote
        if stop - start >= _SHORTEST_BYTES and (found := _read(text, start, stop)):
            first, last, array = found
            kept += (text[done:first], b'"%b"' % lists.put(array).encode())
            done = last
        start = stop + 1
    return b"".join((*kept, text[done:])), lists


def read(text: bytes, decode: Callable[[Any, Lists], _Read]) -> _Read:
    """What ``decode`` makes of the value of a JSON text and of the lists taken out of it.

    Where it leaves a list or raises :class:`NotPlain`, and where the text is no JSON, it is given
    the value of the whole text instead, so what it says of a text does not depend on its length.
    Raises as :func:`parse_json` and ``decode`` do.
    """
    short, lists = take_out(text)
    if lists.left:
        try:
            decoded = decode(parse_json(short), lists)
        except Invalid:
            if not lists.left:
                raise
        except (Malformed, NotPlain):
            pass
        else:
            if not lists.left:
                return decoded
    return decode(parse_json(text), Lists())


def _read(text: bytes, start: int, stop: int) -> tuple[int, int, NDArray[Any]] | None:
    """Where the list in ``text[start:stop]`` begins and ends, and its numbers; None for others."""
    opening = _OPENING.search(text, start, min(stop, start + 100))
    if opening is None:
        return None
    first, depth = opening.start(1), 1 + sum(group is not None for group in opening.group(2, 3))
    tail = text[max(first, stop - 100) : stop]
    last = end = stop - len(tail) + len(tail.rstrip(b" \t\r\n,:{}[]"))
    for _ in range(depth):
        last = text.find(b"]", last, stop) + 1
        if last == 0:
            return None
    if (
        b"," in text[end:last]
    ):  # a comma before a bracket is no JSON, and would be at no piece's end
        return None
    try:
        array = _array(text, first, last, depth)
    except (Fault, ValueError, TypeError):
        return None
    return None if array is None else (first, last, array)


def _array(text: bytes, first: int, last: int, depth: int) -> NDArray[Any] | None:
    """The numbers of a list that begins at ``first`` with ``depth`` brackets, up to ``last``."""
    if depth == 3:
        return _images(text, first + 1, last - 1, (SIDE, SIDE))
    if depth == 2:
        rows = _rows(text[first:last])
        return _images(text, first + 1, last - 1, (PIXELS,)) if rows is None else rows
    return np.concatenate(list(_flat(text, first + 1, last - 1)))


def _rows(image: bytes) -> NDArray[Any] | None:
    """The numbers of a list of 28 rows of 28; None for others."""
    digits = read_digits(b"  %b," % image, 2, 2 + len(image), nested=True)
    if digits is not None:
        return digits.reshape(SIDE, SIDE)
    if len(image) > PIECE_BYTES:
        return None
    values = _plain(image[1:-1])
    return values if values.shape == (SIDE, SIDE) else None


def _images(text: bytes, start: int, end: int, shape: tuple[int, ...]) -> NDArray[Any] | None:
    parts: list[NDArray[Any]] = []
    for first, stop in pieces(text, start, end):
        part: NDArray[Any] | None = read_digits(text, first, stop, nested=len(shape) == 2)
        if part is None:
            part = _plain(text[first:stop])
        if part.shape[1:] != shape and part.shape[1:] != (SIDE, SIDE):
            return None
        parts.append(part.reshape(-1, *shape))
        give_way()
    return np.concatenate(parts)


def _flat(text: bytes, start: int, end: int) -> Iterator[NDArray[Any]]:
    while start < end:
        comma = text.find(b",", start + PIECE_BYTES, end)
        stop = end if comma < 0 else comma
        part: NDArray[Any] | None = read_numbers(text, start, stop)
        yield _plain(text[start:stop]) if part is None else part
        start = stop + 1
        give_way()


def _plain(piece: bytes) -> NDArray[Any]:
    """The numbers of a piece of a list; ValueError where there is anything else in it."""
    if not _NUMBERS.fullmatch(piece):
        raise ValueError
    values = np.array(parse_json(b"[%b]" % piece))
    if values.dtype == np.int64 and values.size and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8)
    if values.dtype not in (np.int64, np.uint64, np.float64):
        raise ValueError
    return values.astype(np.float64)
