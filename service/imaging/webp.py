"""The first frame of a WebP file (RFC 9649), decoded by libwebp, which Pillow brings along.

Pillow's own reader takes each file for an animation and holds its canvas four times, a gigabyte
for 64 megapixels; while it copies one of them, no other thread moves for a quarter of a second.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, _webp

from service.errors import Malformed

_MOST_PIECES = 10_000
_ANIMATED, _ALPHA, _NOTE = b"ANMF", b"ALPH", b"EXIF"
_LOSSY, _LOSSLESS = b"VP8 ", b"VP8L"
_FRAME_HEADER = 16
_ALPHA_FLAG = 0x10

_decode = ctypes.CDLL(_webp.__file__).WebPDecodeRGBAInto  # lets other threads run meanwhile
_decode.restype = ctypes.c_void_p
_decode.argtypes = (
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as a file of its own, and where on the picture it is."""

    file: bytes
    size: tuple[int, int]
    has_alpha: bool
    canvas: tuple[int, int]
    corner: tuple[int, int] = (0, 0)
    exif: bytes = b""


def first_frame(body: bytes) -> Frame:
    """The first frame of a file, from its headers alone.

    Raises :class:`Malformed` for none, and for one that is not where the picture is; IndexError or
    struct.error may tell damage.
    """
    canvas: tuple[int, int] | None = None
    corner = 0, 0
    image: dict[bytes, memoryview] = {}
    exif = b""
    for name, data in _chunks(memoryview(body), 12):
        if name == b"VP8X":
            canvas = _int(data[4:7]) + 1, _int(data[7:10]) + 1
        elif name == _ANIMATED and not image:
            corner = 2 * _int(data[:3]), 2 * _int(data[3:6])
            image = dict(_chunks(data, _FRAME_HEADER))
        elif name in (_ALPHA, _LOSSY, _LOSSLESS):
            image.setdefault(name, data)
        elif name == _NOTE:
            exif = bytes(data)
    size, has_alpha = _size(image)
    canvas = canvas or size
    if any(at + side > most for at, side, most in zip(corner, size, canvas, strict=True)):
        raise Malformed("the WebP picture's frame is not within it")
    return Frame(_file(image, size), size, has_alpha, canvas, corner, exif)


def decoded(frame: Frame) -> Image.Image:
    """The picture with the frame on it, in the mode RGBX, or RGBA where parts may be transparent.

    Raises :class:`Malformed`.
    """
    width, height = frame.size
    pixels = np.empty((height, width, 4), np.uint8)
    room = pixels.ctypes.data, pixels.nbytes, pixels.strides[0]
    if not _decode(frame.file, len(frame.file), *room):
        raise Malformed("the WebP picture is damaged or cut short")
    mode = "RGBA" if frame.has_alpha else "RGBX"
    picture = Image.frombuffer(mode, frame.size, pixels, "raw", mode, 0, 1)
    if frame.size == frame.canvas:
        return picture
    whole = Image.new("RGBA", frame.canvas)
    whole.paste(picture.convert("RGBA"), frame.corner)
    return whole


def _chunks(data: memoryview, at: int) -> Iterator[tuple[bytes, memoryview]]:
    """The names and the contents of the chunks from ``at`` on."""
    for _ in range(_MOST_PIECES):
        name, size = bytes(data[at : at + 4]), _int(data[at + 4 : at + 8])
        if len(name) < 4:
            break
        yield name, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _size(image: dict[bytes, memoryview]) -> tuple[tuple[int, int], bool]:
    """A frame's width and height, and whether it may be transparent in parts."""
    if _LOSSY in image:
        wide, high = struct.unpack_from("<HH", image[_LOSSY], 6)
        return (wide & 0x3FFF, high & 0x3FFF), _ALPHA in image
    if _LOSSLESS not in image:
        raise Malformed("the WebP picture has no pixels")
    (bits,) = struct.unpack_from("<I", image[_LOSSLESS], 1)
    return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), bool(bits >> 28 & 1)


def _file(image: dict[bytes, memoryview], size: tuple[int, int]) -> bytes:
    """A still picture of the chunks of a frame."""
    chunks: list[tuple[bytes, bytes | memoryview]] = []
    if _LOSSY not in image:
        chunks.append((_LOSSLESS, image[_LOSSLESS]))
    else:
        if _ALPHA in image:
            sides = (side - 1 for side in size)
            canvas = b"".join(side.to_bytes(3, "little") for side in sides)
            chunks.append((b"VP8X", struct.pack("<I", _ALPHA_FLAG) + canvas))
            chunks.append((_ALPHA, image[_ALPHA]))
        chunks.append((_LOSSY, image[_LOSSY]))
    parts: list[bytes | memoryview] = [b"WEBP"]
    for name, data in chunks:
        parts += [name, struct.pack("<I", len(data)), data, bytes(len(data) % 2)]
    length = sum(map(len, parts))
    return b"".join([b"RIFF", struct.pack("<I", length), *parts])


def _int(data: memoryview) -> int:
    return int.from_bytes(data, "little")
