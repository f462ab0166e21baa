"""Bounds what a picture file makes its decoder do before the first pixel.

A file may be made of a million empty pieces, or of texts and profiles that unpack to a thousand
times their size; the decoders take each into their hands, piece by piece, in Python. Here a file is
gone through once, at little cost: what makes no pixels is left out or counted.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from service.errors import Malformed, TooLarge

_MOST_PIECES = 10_000
"""Chunks, segments or blocks of a file: a PNG of 16 MiB has some 2,000."""
_MOST_SEGMENTS = 500
"""Segments of a JPEG that tell how to decode it; a progressive one has some thirty."""
_MOST_FILL = 1 << 16
"""Bytes between two segments of a JPEG."""
_MOST_TAGS, _MOST_VALUES = 512, 20_000
"""Tags of a TIFF, and numbers in one of them: at most a strip for each row."""
_MOST_RUN_LENGTHS, _MOST_RUN_PIXELS = 256 << 10, 1 << 20
"""Bytes and pixels of a BMP with run lengths, whose decoder takes them one by one."""

_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_SCAN = 0xDA
_EXIF, _ADOBE, _JFIF = 0xE1, 0xEE, 0xE0
_NO_PIXELS = {*range(0xE0, 0xF0), 0xFE} - {_ADOBE, _JFIF}
_ALONE = {0x01, *range(0xD0, 0xD9)}
_GIF_IMAGE, _GIF_EXTENSION = 0x2C, 0x21
_BYTES = {1, 2, 6, 7}  # types of a TIFF's tags whose values are not taken apart
_ORIENTATION, _SHORT = 0x0112, 3
_RUN_LENGTHS = {1, 2}


@dataclass(frozen=True, slots=True)
class Needed:
    """What its decoder needs of a file, and the camera's note, as Exif, in it."""

    body: bytes
    exif: bytes = b""


def needed(body: bytes, kind: str) -> Needed:
    """What is needed of the file ``body`` of the format ``kind``.

    Raises :class:`Malformed` for a file of too many pieces and for one that breaks off between
    them, :class:`TooLarge` for a form that is too dear; IndexError or struct.error may tell damage.
    """
    if kind == "PNG":
        return _png(body)
    if kind == "JPEG":
        return _jpeg(body)
    if kind == "GIF":
        _check_gif(body)
    elif kind == "TIFF":
        _check_tiff(body)
    elif kind == "BMP":
        _check_bmp(body)
    return Needed(body)


def _png(body: bytes) -> Needed:
    """The chunks that make pixels (W3C PNG, third edition), and nothing after them."""
    kept, at, name, exif = [body[:8]], 8, b"", b""
    for _ in range(_MOST_PIECES):
        name = body[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(body[at : at + 4])
        if name in _PNG_PIXELS:
            kept.append(body[at:end])
        elif name == b"eXIf":
            exif = body[at + 8 : end - 4]
        at = end
        if name == b"IEND" or at >= len(body):
            break
    else:
        raise Malformed(f"the PNG picture has more than {_MOST_PIECES:,} chunks")
    if name != b"IEND" or at != len(body):
        raise Malformed("the PNG picture is cut short or has data after its end")
    return Needed(b"".join(kept), exif)


def _jpeg(body: bytes) -> Needed:
    """The segments that make pixels (ITU-T T.81, annex B), of the others the camera's note."""
    kept, at, exif = [body[:2]], 2, b""
    count = 0
    while (marker := _MARKER.search(body, at, at + _MOST_FILL)) is not None:
        code, start = marker[0][1], marker.start()
        if code == _SCAN:
            kept.append(body[start:])
            break
        at = start + 2
        if code not in _ALONE:
            at += int.from_bytes(body[at : at + 2])
        if code in _NO_PIXELS:
            if code == _EXIF and not exif and body.startswith(b"Exif\0\0", start + 4):
                exif = body[start + 10 : at]
        else:
            kept.append(body[start:at])
        count += 1
        if count > _MOST_PIECES or len(kept) > _MOST_SEGMENTS:
            raise Malformed("the JPEG picture has more segments than any has")
    return Needed(b"".join(kept), exif)


def _check_gif(body: bytes) -> None:
    """Counts the blocks before the first image (GIF89a, section 23)."""
    blocks, at = 0, 13
    if body[10] & 0x80:
        at += 3 << (body[10] & 7) + 1
    while at < len(body) and body[at] != _GIF_IMAGE:
        if body[at] == _GIF_EXTENSION:
            at += 2
            while size := body[at]:
                at += 1 + size
                blocks += 1
                if blocks > _MOST_PIECES:
                    break
        at += 1
        blocks += 1
        if blocks > _MOST_PIECES:
            raise Malformed(
                f"the GIF picture has more than {_MOST_PIECES:,} blocks before its image"
            )


def _check_tiff(body: bytes) -> None:
    """Counts the first directory's tags and the numbers in each (TIFF 6.0, section 2; BigTIFF)."""
    for tag, form, count in _tags(body):
        if form not in _BYTES and count > _MOST_VALUES:
            raise Malformed(f"the TIFF picture's tag {tag} has more than {_MOST_VALUES:,} values")


def _tags(tiff: bytes) -> Iterator[tuple[int, int, int]]:
    order = "<" if tiff.startswith(b"II") else ">"
    if tiff[2:4] in (b"+\0", b"\0+"):
        (at,) = struct.unpack_from(order + "Q", tiff, 8)
        number, entry = "Q", "HHQ8x"
    else:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        number, entry = "H", "HHI4x"
    (count,) = struct.unpack_from(order + number, tiff, at)
    if count > _MOST_TAGS:
        raise Malformed(f"the TIFF picture has more than {_MOST_TAGS} tags")
    start, size = at + struct.calcsize("<" + number), struct.calcsize("<" + entry)
    return struct.iter_unpack(order + entry, tiff[start : start + count * size])


def _check_bmp(body: bytes) -> None:
    """Bounds a BMP with run lengths by its header, BITMAPINFOHEADER or a longer one."""
    size, width, height, compression = struct.unpack_from("<Iii4xI", body, 14)
    if size < 40 or compression not in _RUN_LENGTHS:
        return
    if len(body) > _MOST_RUN_LENGTHS or abs(width * height) > _MOST_RUN_PIXELS:
        raise TooLarge(
            f"a BMP with run lengths is read up to {_MOST_RUN_LENGTHS:,} bytes and "
            f"{_MOST_RUN_PIXELS:,} pixels"
        )


def orientation(exif: bytes) -> int:
    """How the camera was held, 1 to 8, from its note (Exif 3.0, section 4.6.5); 1 where none is.

    A broken note is no note: the pixels are whole.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, at)
        entries = exif[at + 2 : at + 2 + 12 * min(count, _MOST_TAGS)]
        for tag, form, _, value in struct.iter_unpack(order + "HHIH2x", entries):
            if (tag, form) == (_ORIENTATION, _SHORT):
                return int(value)
    except struct.error:
        pass
    return 1
