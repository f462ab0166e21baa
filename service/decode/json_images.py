"""Reads images from JSON: the objects of ``/predict``, and the image lists of every protocol."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np

from service.decode.json_text import JsonText, parse_object, read_json
from service.decode.pictures import Pictures, from_base64
from service.decode.validation import Flaws, check_count, name_of, refuse, round_pixels, shape_flaw
from service.types import PIXELS, SIDE, Images, Limits

_SHAPE = (-1, SIDE, SIDE)
_NONE: Images = np.empty((0, SIDE, SIDE), np.uint8)
_IMAGES = re.compile(rb'"(images)"\s*:\s*\[')
Unwrap = Callable[[list[Any], int, Flaws], list[Any]]
"""Turns the items of a list, the first of which has the given number, into images."""


def from_json(body: bytes, limits: Limits) -> Images | Pictures:
    """Reads the images of ``{"images": [...]}`` or the pictures of ``{"pictures": ["base64"]}``."""
    value, images = read_images(body, limits, "images", "pictures")
    if len(value) != 1:
        raise refuse("body", 'one of "images" and "pictures" is expected')
    return from_base64(value["pictures"], "pictures", limits) if images is None else images


def read_images(body: bytes, limits: Limits, *keys: str) -> tuple[dict[str, Any], Images | None]:
    """Reads a JSON object with these keys, and the images (n, 28, 28) under ``images``, if any."""

    def decode(text: JsonText) -> tuple[dict[str, Any], Images | None]:
        value = parse_object(text.rest, *keys)
        if "images" not in value:
            return value, None
        return value, images_from_list(value["images"], text, "images", limits)

    return read_json(body, _IMAGES, decode)


def images_from_list(
    value: Any, text: JsonText, field: str, limits: Limits, unwrap: Unwrap | None = None
) -> Images:
    """Reads images (n, 28, 28) from a JSON list, each 28 lists of 28 or one list of 784 numbers.

    ``value`` is from the rest of ``text``. The fault names all faulty images, and the first flaw of
    each.
    """
    if not isinstance(value, list):
        raise refuse(field, f"is {name_of(value)}; a list of images is expected")
    flaws, parts, count = Flaws(field), list[Images](), 0
    for plain, items, part in text.pieces(value):
        first, count = count, count + len(items if plain is None else plain)
        check_count(count, limits, field)
        if plain is None:
            parts.append(_from_items(items, part, first, flaws, unwrap))
        elif plain.ndim == 1:  # numbers outside of any image
            parts.append(_from_items(plain.tolist(), part, first, flaws, unwrap))
        else:
            parts.append(round_pixels(plain, range(first, count), flaws))
    flaws.raise_any()
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _from_items(
    items: list[Any], text: bytes, first: int, flaws: Flaws, unwrap: Unwrap | None
) -> Images:
    """Reads images from ``first`` on, or none if there are flaws; ``text`` is their JSON."""
    if unwrap is not None:
        items = unwrap(items, first, flaws)
        if flaws.found:
            return _NONE
    numbers: Sequence[int] = range(first, first + len(items))
    words = b"u" in text or b"l" in text  # true, false or null, which are not numbers
    packed = pack_images(items, words)
    if packed is not None:
        return round_pixels(np.frombuffer(packed, np.uint8).reshape(_SHAPE), numbers, flaws)
    if not words and b'"' not in text:
        with suppress(TypeError, ValueError):  # raised for lists of several lengths
            array = np.array(items, np.float64)
            if array.shape[1:] in {(SIDE, SIDE), (PIXELS,)}:
                return round_pixels(array.reshape(_SHAPE), numbers, flaws)
    good = {}
    for number, image in zip(numbers, items, strict=True):
        if flaw := shape_flaw(image):
            flaws.add(number, flaw)
        else:
            good[number] = np.ravel(image)
    if good:
        rows = np.array([*good.values()], np.float64)
        return round_pixels(rows.reshape(_SHAPE), [*good], flaws)
    if shape_flaw(items) is None:
        raise refuse(flaws.field, "is one image; a list of images is expected")
    return _NONE


def pack_images(images: list[Any], booleans: bool) -> bytes | None:
    """Packs images of whole numbers, 28 lists of 28 or 784 each, as :func:`pack_rows` does."""
    try:
        if set(map(len, images)) == {SIDE}:
            return pack_rows(list(chain.from_iterable(images)), SIDE, booleans)
    except TypeError:
        return None
    return pack_rows(images, PIXELS, booleans)


def pack_rows(rows: list[Any], width: int, booleans: bool) -> bytes | None:
    """Packs lists of ``width`` whole numbers 0 to 255, else None; ``booleans`` may be in them."""
    try:
        if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
            return None
        if booleans and bool in set(map(type, chain.from_iterable(rows))):
            return None
        return b"".join(map(bytes, rows))  # rejects all but whole numbers from 0 to 255
    except (TypeError, ValueError):
        return None
