"""Parses JSON (RFC 8259): the objects of ``/predict``, and the image lists of every protocol."""

import re
from collections.abc import Callable
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import orjson

from service.decode.json_pieces import JsonText, set_apart
from service.decode.pictures import Pictures, from_base64
from service.decode.validation import Flaws, check_count, name_of, refuse, round_pixels, shape_flaw
from service.errors import Invalid, Malformed, TooLarge
from service.types import PIXELS, SIDE, Images, Limits

LARGE_BYTES = 8192  # a JSON body over this, some three images, is read in pieces
MOST_VALUES, MOST_LISTS = 1 << 17, 1 << 16
"""The parser holds the interpreter's lock; it reads this many values or lists in some 50 ms."""

_SHAPE = (-1, SIDE, SIDE)
_NONE: Images = np.empty((0, SIDE, SIDE), np.uint8)
_IMAGES = re.compile(rb'"(images)"\s*:\s*\[')
_Decoded = TypeVar("_Decoded")
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


def read_json(
    body: bytes, lead: re.Pattern[bytes], decode: Callable[[JsonText], _Decoded]
) -> _Decoded:
    """Decodes a JSON body: a large one in pieces if possible, else whole.

    ``lead`` matches the begin of the long list, as for :func:`set_apart`. If pieces show a fault,
    ``decode`` runs on the whole text, for the same message, unless that would take too long.
    """
    if len(body) > LARGE_BYTES and (apart := set_apart(body, lead)):
        try:
            decoded = decode(apart)
        except (Malformed, Invalid) as fault:
            if _has_many_values(body) and (apart.is_read or isinstance(fault, Invalid)):
                raise
        else:
            if apart.is_read:
                return decoded
    return decode(JsonText(body, body))


def parse_json(body: bytes) -> Any:
    """Parses a JSON text; raises :class:`TooLarge` if that takes longer than some 50 ms."""
    if not body:
        raise Malformed("the body is empty; JSON is expected")
    if _has_many_values(body):
        raise TooLarge(
            f"the JSON has more than {MOST_VALUES:,} values or {MOST_LISTS:,} lists and objects, "
            "and is not an object with one plain list of images; send fewer images in one request, "
            "or send them as bytes"
        )
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from None


def parse_object(body: bytes, *keys: str) -> dict[str, Any]:
    """Parses a JSON object whose keys are among ``keys``, each at most once."""
    value = parse_json(body)
    if not isinstance(value, dict):
        expected = f'an object such as {{"{keys[0]}": ...}} is expected'
        raise refuse("body", f"is {name_of(value)}; {expected}")
    for key in value:
        if key not in keys:
            raise refuse("body", f"unknown key {key[:40]!r}; known here: {', '.join(keys)}")
    if body.count(b'"') > 2 * len(value):
        for key in value:
            if len(re.findall(rb'"%b"\s*:' % key.encode(), body)) > 1:
                raise Malformed(f'the key "{key}" is repeated')
    return value


def _has_many_values(text: bytes) -> bool:
    return len(text) > MOST_LISTS and (
        text.count(b",") > MOST_VALUES or text.count(b"[") + text.count(b"{") > MOST_LISTS
    )


def images_from_list(
    value: Any, text: JsonText, field: str, limits: Limits, unwrap: Unwrap | None = None
) -> Images:
    """Reads images (n, 28, 28) from a JSON list, each 28 lists of 28 or one list of 784 numbers.

    ``value`` is from the rest of ``text``. The fault names all faulty images, and the first flaw of
    each.
    """
    if not isinstance(value, list):
        raise refuse(field, f"is {name_of(value)}; a list of images is expected")
    if unwrap is None and 0 < len(value) <= limits.images:
        packed = pack_images(value, booleans=b"u" in text.body or b"l" in text.body)
        images = None if packed is None else np.frombuffer(packed, np.uint8).reshape(_SHAPE)
        if images is not None and images.max(axis=(1, 2)).min() > 1:  # the usual case
            return images
    flaws, parts, count = Flaws(field), list[Images](), 0
    for plain, items, part in text.pieces(value, parse_json):
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
    numbers = range(first, first + len(items))
    words = b"u" in text or b"l" in text  # true, false or null, which are not numbers
    packed = pack_images(items, words)
    if packed is not None:
        return round_pixels(np.frombuffer(packed, np.uint8).reshape(_SHAPE), numbers, flaws)
    good = {}
    for number, image in zip(numbers, items, strict=True):
        if flaw := shape_flaw(image):
            flaws.add(number, flaw)
        else:
            good[number] = np.ravel(image)
    if good:
        return round_pixels(np.array([*good.values()], np.float64).reshape(_SHAPE), [*good], flaws)
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
