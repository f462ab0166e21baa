"""Reads a JSON list of images as text, straight into an array, without a Python object a number.

The usual body holds nothing but whole numbers, and to make an object of each of 784 an image is
most of the work. So the text is looked at as an array of characters: the last digit of each
number and every bracket and comma are found at once and must spell what a list of images spells.
What is not of this plain form (fractions, strings, another shape, a mistake) is left to a JSON
parser, which also says what is wrong; nothing is accepted here that it would refuse or read
otherwise. NumPy works without the interpreter's lock, so other requests go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.types import PIXELS, SIDE, Images

LARGEST_PIECE_BYTES = 1 << 20
"""Text of images is cut into much smaller pieces; what follows takes ten times this."""

_ZERO, _COMMA, _OPEN, _CLOSE = (np.uint8(character) for character in b"0,[]")
_SPACES = tuple(np.uint8(character) for character in b" \t\n\r")

_ROW = b"[" + b",".join([b"0"] * SIDE) + b"]"
_NESTED = np.frombuffer(b"[" + b",".join([_ROW] * SIDE) + b"],", np.uint8)
_NUMBER = np.frombuffer(b"0,", np.uint8)
_FLAT = np.frombuffer(b"[" + b",".join([b"0"] * PIXELS) + b"],", np.uint8)


def read_digits(text: bytes, start: int, stop: int, *, nested: bool) -> Images | None:
    """The images (n, 28, 28) that ``text[start:stop]`` lists, or None for all but the plain form.

    The text is that of a JSON list without its brackets, so one character follows ``stop``, and at
    least two are before ``start``. ``nested`` images are 28 rows of 28 numbers, others are 784.
    """
    if nested:
        values = _read(text, start, stop, _NESTED, _of_nested)
    else:
        values = _read(text, start, stop, _FLAT, _of_flat)
    return None if values is None else values.reshape(-1, SIDE, SIDE)


def read_numbers(text: bytes, start: int, stop: int) -> NDArray[np.uint8] | None:
    """The numbers (n,) that ``text[start:stop]`` lists, or None for all but the plain form.

    As for :func:`read_digits`, characters outside of this text are looked at.
    """
    return _read(text, start, stop, _NUMBER, _of_number)


def _read(
    text: bytes,
    start: int,
    stop: int,
    template: NDArray[np.uint8],
    numbers: Callable[[NDArray[Any]], NDArray[Any]],
) -> NDArray[np.uint8] | None:
    """The numbers in a text that spells ``template`` again and again, in their order.

    ``numbers`` gives a view of those columns of a table, as wide as the template, that hold them.
    """
    if stop - start > LARGEST_PIECE_BYTES:
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
    if len(marks) == 0 or len(marks) % len(template):
        return None
    places = marks.reshape(-1, len(template))
    spelt = characters.take(places)
    spelt[-1, -1] = _COMMA  # what follows the last image is the caller's
    ones = numbers(spelt) - _ZERO
    numbers(spelt)[...] = _ZERO
    if not (spelt == template).all() or not (ones < 10).all():
        return None
    last = np.ascontiguousarray(numbers(places))
    tens = np.frombuffer(text, np.uint8, len(characters), start - 1)[last] - _ZERO
    hundreds = np.frombuffer(text, np.uint8, len(characters), start - 2)[last] - _ZERO
    return _values(ones, tens, hundreds, digits)


def _of_nested(table: NDArray[Any]) -> NDArray[Any]:
    return table[:, 1:-1].reshape(-1, SIDE, 2 * SIDE + 2)[:, :, 1:-1:2]


def _of_flat(table: NDArray[Any]) -> NDArray[Any]:
    return table[:, 1:-1:2]


def _of_number(table: NDArray[Any]) -> NDArray[Any]:
    return table[:, :1]


def _values(
    ones: NDArray[np.uint8], tens: NDArray[np.uint8], hundreds: NDArray[np.uint8], digits: int
) -> NDArray[np.uint8] | None:
    """The numbers from their last three characters less "0"; one of 10 or more is no digit.

    ``digits`` is how many digits the text has, by which a number of four or more shows.
    """
    has_tens = tens < 10
    has_hundreds = has_tens & (hundreds < 10)
    if digits != ones.size + np.count_nonzero(has_tens) + np.count_nonzero(has_hundreds):
        return None
    first = np.where(has_hundreds, hundreds, tens)
    if (has_tens & (first == 0)).any():  # JSON allows no leading zero
        return None
    values = ones + np.uint16(10) * (tens * has_tens) + np.uint16(100) * (hundreds * has_hundreds)
    if values.max() > 255:
        return None
    flat: NDArray[np.uint8] = values.astype(np.uint8).reshape(-1)
    return flat
