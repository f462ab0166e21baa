"""Numbers to images: what every array goes through, however it came, and the JSON of ``/predict``.

A number is a pixel, 0 = background, 255 = full ink. Fractions are rounded to the nearest whole
number, half to even. An image whose largest value is above 0 and at most 1 was scaled to 0..1 by
its sender: rounded, it would be read as blank, so it is refused.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.decode import PIXELS, SIDE, Images, Limits
from service.decode.diagnose import name_of, shape_flaw
from service.decode.flaws import Flaws, check_count, refuse
from service.decode.picture import from_base64
from service.errors import Malformed


def parse_json(body: bytes) -> Any:
    """The value of a JSON text (RFC 8259).

    Raises :class:`Malformed`, in one line with the position, for an empty body, bad UTF-8, the
    tokens NaN and Infinity, a number over the range of a double, more than 1,024 levels, and
    anything else that is no JSON.
    """
    if not body:
        raise Malformed("the body is empty; JSON is expected")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from None


def from_json(body: bytes, limits: Limits) -> Images:
    """The images of ``{"images": [...]}``, or of ``{"pictures": ["base64", ...]}``.

    Raises :class:`Malformed`, :class:`Invalid` or :class:`TooLarge`.
    """
    value = parse_object(body, "images", "pictures")
    if len(value) != 1:
        raise refuse(None, "body", 'one of "images" and "pictures" is expected')
    if "pictures" in value:
        images = from_base64(value["pictures"], "pictures", limits)
    else:
        images = images_from_lists(value["images"], "images", limits, booleans=has_booleans(body))
    refuse_repeated_keys(body, value)
    return images


def parse_object(body: bytes, *keys: str) -> dict[str, Any]:
    """The JSON object in ``body``; :class:`Invalid` if it is none or has a key not in ``keys``."""
    value = parse_json(body)
    expected = " and ".join(f'"{key}"' for key in keys)
    if not isinstance(value, dict):
        raise refuse(None, "body", f"is {name_of(value)}; an object with {expected} is expected")
    for key in value:
        if key not in keys:
            raise refuse(None, key[:40], f"is not a key that is read here; {expected} are")
    return value


def refuse_repeated_keys(body: bytes, value: dict[str, Any]) -> None:
    """Raises :class:`Malformed` where a key of ``value`` stands twice in the text it came from.

    To be called once the values are known to hold no such text themselves.
    """
    for key in value:
        if body.count(b'"%b"' % key.encode()) > 1:
            raise Malformed(f'the key "{key}" stands twice in the body')


def has_booleans(text: bytes) -> bool:
    """Whether a JSON text may hold true or false."""
    return b"true" in text or b"false" in text


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
    packed = _pack(value, booleans)
    if packed is not None:
        return check_pixels(np.frombuffer(packed, np.uint8).reshape(-1, SIDE, SIDE), field)
    flaws = Flaws(field)
    array = np.zeros((len(value), PIXELS))
    for index, image in enumerate(value):
        flaw = shape_flaw(image)
        if flaw is None:
            array[index] = list(chain.from_iterable(image)) if len(image) == SIDE else image
        else:
            flaws.add(index, flaw)
    flaws.raise_any()
    return check_pixels(array.reshape(-1, SIDE, SIDE), field)


def _pack(images: list[Any], booleans: bool) -> bytes | None:
    """The pixels where all images are whole numbers from 0 to 255 in one form, else None."""
    try:
        rows, width = images, PIXELS
        if set(map(len, images)) == {SIDE}:
            rows, width = list(chain.from_iterable(images)), SIDE
        if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
            return None
        if booleans and bool in set(map(type, chain.from_iterable(rows))):
            return None
        return b"".join(map(bytes, rows))  # refuses all but whole numbers from 0 to 255
    except (TypeError, ValueError):
        return None


def check_pixels(array: NDArray[Any], field: str) -> Images:
    """Images (n, 28, 28) of any integer or float type to ``uint8``, rounded.

    Raises :class:`Invalid`, naming the images, for NaN, infinity, a value below 0 or above 255,
    and for a largest value above 0 and at most 1. An all-zero image passes.
    """
    rows = array.reshape(len(array), -1)
    high = rows.max(axis=1)
    low = rows.min(axis=1) if array.dtype != np.uint8 else high
    good = (low >= 0) & (high <= 255) & ((high > 1) | (high == 0))
    if not good.all():
        flaws = Flaws(field)
        for index in np.flatnonzero(~good):
            flaws.add(int(index), _range_flaw(low[index].item(), high[index].item()))
        flaws.raise_any()
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
