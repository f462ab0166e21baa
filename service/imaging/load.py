"""Picture files to grey pixels, the right way up.

PNG, JPEG, WebP, BMP, GIF and TIFF (first frame), told apart by their first bytes, never by a
name. Colour is brought to grey by ITU-R BT.601 luma, 16 bits are scaled to 8, what is transparent
shows a ground that its ink stands out from, and a camera's note on how it was held is followed. A
picture is no array: a faint one is taken as it is and not suspected of being scaled to 0..1.
"""

from __future__ import annotations

import io
import logging
import re
import threading
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    _imaging,
)

from service.errors import Fault, Invalid, Malformed, TooLarge, UnsupportedType
from service.imaging import webp
from service.imaging.grey import not_larger, pixels, to_grey
from service.imaging.sanitise import needed, orientation
from service.types import Limits

# Pillow warns of oddities in strangers' files, in texts without bound; what matters is raised.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
# Blocks of the usual 16 MiB would be kept for each thread, 300 MB after a large picture.
_imaging.set_block_size(64 << 20)

FORMATS = "PNG, JPEG, WebP, BMP, GIF and TIFF"

_KINDS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"BM"), "BMP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF"),
)
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
"""Pillow's own; they are asked by name, so that none of its forty others is."""
_OTHERS = (
    (re.compile(rb"....ftyp(hei|hev|mif|msf)", re.DOTALL), "HEIC"),
    (re.compile(rb"....ftypavi", re.DOTALL), "AVIF"),
    (re.compile(rb"\s*<(svg|\?xml|!--)"), "SVG"),
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"\0\0\0\x0cJXL |\xff\x0a"), "JPEG XL"),
    (re.compile(rb"\0\0[\1\2]\0"), "icon"),
    (re.compile(rb"8BPS"), "Photoshop"),
)
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF 6.0, section 15
_JPEG_SCAN = b"\xff\xda"
_MOST_SCANS, _MOST_SCANNED = 100, 400_000_000
"""A progressive JPEG has some ten scans; each is a pass over all of its pixels."""
_DRAFT_SIDE = 1024
"""A JPEG is decoded to a half, a quarter or an eighth, but not below this shorter side."""
_LARGEST_SIDE = 4096
_SMALL_PNG = 1 << 13
_LARGE_PIXELS = 16_000_000
_one_large = threading.Lock()
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ACROSS = {_TURNS[number] for number in (5, 6, 7, 8)}


@dataclass(frozen=True, slots=True)
class Picture:
    """Grey pixels (h, w), and the width and height of the upright original.

    They differ where a large picture was reduced while it was decoded.
    """

    grey: NDArray[np.uint8]
    original: tuple[int, int]


def open_picture(body: bytes, limits: Limits) -> Picture:
    """The pixels of one picture file.

    Raises :class:`Malformed` for damage and for what is no picture, :class:`UnsupportedType` for
    another picture format, :class:`TooLarge` for a size over the limits, judged from the header.
    """
    if not body:
        raise Malformed("the picture is empty")
    kind = _recognise(body)
    try:
        return _decode(body, kind, limits)
    except Fault:
        raise
    except Exception as error:  # the decoders fail in dozens of ways on damaged bytes
        raise Malformed(f"the {kind} picture is damaged or cut short") from error


def is_picture(body: bytes) -> bool:
    """Whether this begins as a picture file of one of the formats."""
    return any(pattern.match(body) for pattern, _ in _KINDS)


def is_small_png(body: bytes) -> bool:
    """Whether this is a PNG of 28x28 by its header, with no more in it than that takes."""
    return (
        len(body) <= _SMALL_PNG
        and body.startswith(b"\x89PNG\r\n\x1a\n")
        and body[16:24] == b"\0\0\0\x1c\0\0\0\x1c"
    )


def _recognise(body: bytes) -> str:
    for pattern, kind in _KINDS:
        if pattern.match(body):
            return kind
    for pattern, kind in _OTHERS:
        if pattern.match(body):
            raise UnsupportedType(f"{kind} pictures are not read here; {FORMATS} are")
    raise Malformed(f"not a picture: its first bytes are not those of {FORMATS}")


def _decode(body: bytes, kind: str, limits: Limits) -> Picture:
    picture, original, held = _smaller(body, kind, limits)
    grey = to_grey(picture)
    turn = _TURNS.get(held)
    if turn is not None:
        grey = grey.transpose(turn)
        if turn in _ACROSS:
            original = original[::-1]
    return Picture(pixels(grey), original)


def _smaller(body: bytes, kind: str, limits: Limits) -> tuple[Image.Image, tuple[int, int], int]:
    """The picture no larger than is worked on, its size before, and how the camera was held.

    The whole of a large one is gone when this is done, and no two of them are there at a time.
    """
    if kind == "WebP":
        frame = webp.first_frame(body)
        _check_size(frame.canvas, limits)
        with _alone(frame.canvas):
            picture = not_larger(webp.decoded(frame), _LARGEST_SIDE)
        return picture, frame.canvas, orientation(frame.exif)
    file = needed(body, kind)
    with _READERS[kind](io.BytesIO(file.body)) as whole:
        _check_size(whole.size, limits)
        original = most = whole.size
        if whole.mode in {"I", "F"}:
            raise Invalid("the picture has 32 bits a pixel; at most 16 are read")
        if kind == "TIFF":
            _check_tiles(whole, limits)
        if kind == "JPEG":
            scans = _scans(file.body, original)
            whole.draft("L", (_DRAFT_SIDE, _DRAFT_SIDE))  # decodes brightness alone, and reduced
            most = whole.size if scans == 1 else original
        with _alone(most):
            whole.load()
            picture = not_larger(whole, _LARGEST_SIDE)
            if picture is not whole:
                whole.close()
    return picture, original, file.held


def _alone(size: tuple[int, int]) -> AbstractContextManager[object]:
    """Keeps others as large from being decoded meanwhile, each in up to half a gigabyte."""
    return _one_large if size[0] * size[1] > _LARGE_PIXELS else nullcontext()


def _scans(jpeg: bytes, size: tuple[int, int]) -> int:
    """How often a JPEG goes over its pixels, all of which are held where that is more than once."""
    scans = jpeg.count(_JPEG_SCAN)
    if scans > _MOST_SCANS:
        raise Malformed(f"the JPEG picture has more than {_MOST_SCANS} scans")
    if scans * size[0] * size[1] > _MOST_SCANNED:
        raise TooLarge(
            f"the picture is {size[0]}x{size[1]} in {scans} scans; "
            f"at most {_MOST_SCANNED:,} pixels are read in all scans together"
        )
    return scans


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width <= 0 or height <= 0:
        raise Malformed(f"the picture is {width}x{height}: it has no pixels")
    if max(size) > limits.picture_side or width * height > limits.picture_pixels:
        raise TooLarge(
            f"the picture is {width}x{height}; at most {limits.picture_side:,} a side and "
            f"{limits.picture_pixels:,} pixels are read"
        )


def _check_tiles(picture: ImageFile.ImageFile, limits: Limits) -> None:
    """Refuses tiles over the limits: libtiff holds a whole one, however small the picture."""
    tags = getattr(picture, "tag_v2", {})
    width, length = tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1)
    if not isinstance(width, int) or not isinstance(length, int):
        raise Malformed("the TIFF picture's tiles have no size")
    _check_size((width, length), limits)
