"""Checks the images of a request, and collects what is wrong with each of them.

A number is a pixel, 0 = background, 255 = full ink. Fractions are rounded, half to even. An image
whose largest value is above 0 and at most 1 was scaled. It is rejected: rounded, it would be blank.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import Fault, Flaw, Invalid, TooLarge
from service.types import PIXELS, SIDE, Images, Limits

LISTED = 20
EXPECTED = "28 rows of 28 or 784 numbers are expected"

_NAMES = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "a string",
    type(None): "null",
}


class Flaws:
    """Collects the faulty items of one field; ``noun`` names an item: image, file, label."""

    def __init__(self, field: str, noun: str = "image") -> None:
        self.field = field
        self.noun = noun
        self.found: list[tuple[int, str]] = []

    def add(self, index: int, message: str) -> None:
        """Records one faulty item; ``index`` counts from 0."""
        self.found.append((index, message))

    def raise_any(self, kind: type[Fault] = Invalid) -> None:
        """Raises ``kind`` if an item is faulty. The fault lists the first 20 such items."""
        if not self.found:
            return
        self.found.sort()
        index, message = self.found[0]
        detail = f"{self.noun} {index}: {message}"
        if len(self.found) > 1:
            detail = f"{len(self.found):,} {self.noun}s are faulty, the first is {detail}"
        if len(self.found) > LISTED:
            detail += f" (the first {LISTED} are listed)"
        raise kind(detail, *(Flaw(i, self.field, text) for i, text in self.found[:LISTED]))


def refuse(field: str, message: str) -> Invalid:
    """Returns the fault for one flaw that belongs to no single image."""
    return Invalid(f"{field}: {message}", Flaw(None, field, message))


def expect(kind: type, value: object, field: str, expected: str) -> None:
    """Raises :class:`Invalid` for a JSON value of another type than list, dict or str."""
    if not isinstance(value, kind):
        raise refuse(field, f"is {name_of(value)}; {expected} is expected")


def check_count(count: int, limits: Limits, field: str, noun: str = "image") -> None:
    """Raises :class:`Invalid` for no items and :class:`TooLarge` for more than the limit."""
    if count == 0:
        raise refuse(field, f"no {noun}s; at least one is expected")
    if count > limits.images:
        raise TooLarge(f"{count:,} {noun}s; at most {limits.images:,} are accepted in one request")


def check_pixels(array: NDArray[Any], field: str) -> Images:
    """Rounds images (n, 28, 28) of any type to ``uint8``; Invalid for values no pixel has."""
    flaws = Flaws(field)
    images = round_pixels(array, range(len(array)), flaws)
    flaws.raise_any()
    return images


def round_pixels(array: NDArray[Any], numbers: Sequence[int], flaws: Flaws) -> Images:
    """Rounds images as :func:`check_pixels`, but adds to ``flaws``; no images if there are any."""
    rows = array.reshape(len(array), -1)
    high = rows.max(axis=1)
    is_bytes = array.dtype == np.uint8
    if is_bytes and high.min() > 1:  # the usual case, in the fewest steps
        return np.ascontiguousarray(array)
    low = high if is_bytes else rows.min(axis=1)
    good = (low >= 0) & (high <= 255) & ((high > 1) | (high == 0))
    for index in np.flatnonzero(~good).tolist():
        flaws.add(numbers[index], _range_flaw(low[index].item(), high[index].item()))
    if flaws.found:
        return np.empty((0, SIDE, SIDE), np.uint8)
    whole = array if array.dtype.kind in "iu" else np.rint(array)
    return np.ascontiguousarray(whole, dtype=np.uint8)


def _range_flaw(low: float, high: float) -> str:
    if low >= 0 and high <= 255:
        return f"its largest value is {high:g}; it looks scaled to 0..1, send 0..255"
    value = "NaN" if math.isnan(low) else f"{low:g}, below 0" if low < 0 else f"{high:g}, above 255"
    return f"holds {value}; numbers from 0 to 255 are expected"


def name_of(value: object) -> str:
    """Names the type of a JSON value, for a message that does not echo the value."""
    return _NAMES[type(value)]


def shape_flaw(image: Any) -> str | None:
    """Says why a JSON value is neither 28 lists of 28 nor one list of 784 numbers, or None."""
    if not isinstance(image, list):
        return f"is {name_of(image)}; {EXPECTED}"
    if len(image) not in {SIDE, PIXELS}:
        return f"has the length {len(image):,}; {EXPECTED}"
    rows = image if len(image) == SIDE else [image]
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) * len(rows) != PIXELS:
            given = f"has {len(row):,} numbers" if isinstance(row, list) else f"is {name_of(row)}"
            return f"row {number} {given}; {EXPECTED}"
        if not set(map(type, row)) <= {int, float}:
            return f"row {number} does not consist of numbers; {EXPECTED}"
    return None
