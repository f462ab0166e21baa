"""Numbers to images: what every array goes through, however it came, and the JSON of ``/predict``.

A number is a pixel, 0 = background, 255 = full ink. Fractions are rounded to the nearest whole
number, half to even. An image whose largest value is above 0 and at most 1 was scaled to 0..1 by
its sender: rounded, it would be read as blank, so it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.decode.diagnosis import name_of, shape_flaw
from service.decode.integers import pack_images
from service.decode.json_fast import read_digits
from service.decode.json_text import is_nested, list_under, parse_json, parse_object, pieces
from service.decode.pictures import Pictures, from_base64
from service.decode.validation import Flaws, check_count, refuse
from service.errors import Invalid, Malformed
from service.types import SIDE, Images, Limits

LARGE_BYTES = 8192
"""A JSON body over this, some three images, is read in pieces."""

_NONE: Images = np.empty((0, SIDE, SIDE), np.uint8)


def from_json(body: bytes, limits: Limits) -> Images | Pictures:
    """The images of ``{"images": [...]}``, or the pictures of ``{"pictures": ["base64", ...]}``.

    Raises :class:`Malformed`, :class:`Invalid` or :class:`TooLarge`.
    """
    value, images = read_images(body, limits, "images", "pictures")
    if len(value) != 1:
        raise refuse(None, "body", 'one of "images" and "pictures" is expected')
    return from_base64(value["pictures"], "pictures", limits) if images is None else images


def read_images(body: bytes, limits: Limits, *keys: str) -> tuple[dict[str, Any], Images | None]:
    """The JSON object in ``body``, and as an array what stands under ``images``, if it is there.

    A large body is read in pieces, to the same result. Raises as :func:`parse_object` and
    :func:`images_from_lists` do.
    """
    if len(body) > LARGE_BYTES:
        read = _read_in_pieces(body, limits, *keys)
        if read is not None:
            return read
    value = parse_object(body, *keys)
    if "images" not in value:
        return value, None
    booleans = b"u" in body or b"l" in body  # one is in true and the other in false
    return value, images_from_lists(value["images"], "images", limits, booleans=booleans)


def _read_in_pieces(
    body: bytes, limits: Limits, *keys: str
) -> tuple[dict[str, Any], Images] | None:
    """The same, or None for a body that has to be parsed whole, be it to say what is wrong."""
    place = list_under("images", body)
    if place is None:
        return None
    flaws = Flaws("images")
    parts: list[Images] = []
    count = 0
    try:
        value = parse_object(body[: place[0]] + body[place[1] :], *keys)
        if value.get("images") != []:
            return None
        nested = is_nested(body, *place)
        for start, stop in pieces(body, *place):
            part = read_digits(body, start, stop, nested=nested)
            if part is None:
                items = parse_json(b"[%b]" % body[start:stop])
                if not items:
                    return None
                parts.append(_from_lists(items, count, flaws))
                count += len(items)
            else:
                parts.append(_rounded(part, range(count, count + len(part)), flaws))
                count += len(part)
            check_count(count, limits, "images")
            give_way()
    except (Malformed, Invalid):
        return None
    flaws.raise_any()
    return value, np.concatenate(parts)


def images_from_lists(
    value: object, field: str, limits: Limits, *, booleans: bool = True
) -> Images:
    """A list of images, each 28 lists of 28 or one list of 784 numbers, to ``uint8`` (n, 28, 28).

    ``booleans`` says whether the lists may hold true or false; a caller that knows from the text
    that they do not saves looking at each number. Raises :class:`Invalid`, naming the images and
    the first fault of each, and :class:`TooLarge` for too many.
    """
    if not isinstance(value, list):
        raise refuse(None, field, f"is {name_of(value)}; a list of images is expected")
    check_count(len(value), limits, field)
    flaws = Flaws(field)
    images = _from_lists(value, 0, flaws, booleans=booleans)
    flaws.raise_any()
    return images


def _from_lists(value: list[Any], first: int, flaws: Flaws, *, booleans: bool = True) -> Images:
    """The images, the first having the number ``first``; none once there are flaws."""
    packed = pack_images(value, booleans=booleans)
    if packed is not None:
        images = np.frombuffer(packed, np.uint8).reshape(-1, SIDE, SIDE)
        return _rounded(images, range(first, first + len(images)), flaws)
    numbers, rows = [], []
    for number, image in enumerate(value, first):
        flaw = shape_flaw(image)
        if flaw is None:
            numbers.append(number)
            rows.append(list(chain.from_iterable(image)) if len(image) == SIDE else image)
        else:
            flaws.add(number, flaw)
    if not rows:
        if shape_flaw(value) is None:
            raise refuse(None, flaws.field, "is one image; a list of images is expected")
        return _NONE
    return _rounded(np.array(rows, np.float64).reshape(-1, SIDE, SIDE), numbers, flaws)


def check_pixels(array: NDArray[Any], field: str) -> Images:
    """Images (n, 28, 28) of any integer or float type to ``uint8``, rounded.

    Raises :class:`Invalid`, naming the images, for NaN, infinity, a value below 0 or above 255,
    and for a largest value above 0 and at most 1. An all-zero image passes.
    """
    flaws = Flaws(field)
    images = _rounded(array, range(len(array)), flaws)
    flaws.raise_any()
    return images


def _rounded(array: NDArray[Any], numbers: Sequence[int], flaws: Flaws) -> Images:
    """The images, which have these numbers in the request; none once there are flaws."""
    rows = array.reshape(len(array), -1)
    high = rows.max(axis=1)
    is_bytes = array.dtype == np.uint8
    if is_bytes and high.min() > 1:  # the usual case, in the fewest steps
        return np.ascontiguousarray(array)
    low = high if is_bytes else rows.min(axis=1)
    good = (low >= 0) & (high <= 255) & ((high > 1) | (high == 0))
    for index in np.flatnonzero(~good).tolist():
        flaws.add(numbers[index], _range_flaw(low[index].item(), high[index].item()))
    if flaws:
        return _NONE
    whole = array if array.dtype.kind in "iu" else np.rint(array)
    return np.ascontiguousarray(whole, dtype=np.uint8)


def _range_flaw(low: float, high: float) -> str:
    if math.isnan(low):
        return "holds NaN; numbers from 0 to 255 are expected"
    if low < 0:
        return f"holds {low:g}, below 0; numbers from 0 to 255 are expected"
    if high > 255:
        return f"holds {high:g}, above 255; numbers from 0 to 255 are expected"
    return f"its largest value is {high:g}; it looks scaled to 0..1, send 0..255"
