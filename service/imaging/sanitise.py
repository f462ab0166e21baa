"""Bounds what a picture file makes its decoder do before the first pixel.

A file may be made of a million empty pieces, or of texts and profiles that unpack to a thousand
times their size; the decoders take each into their hands, piece by piece, in Python. Here a file is
gone through once, at little cost: what makes no pixels is left out or counted.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from service.errors import Malformed, TooLarge, UnsupportedType
from service.imaging.tiff import first_picture

_MOST_PIECES = 10_000
"""Chunks, segments or blocks of a file: a PNG of 16 MiB has some 2,000."""
_MOST_SEGMENTS = 500
"""Segments of a JPEG that tell how to decode it; a progressive one has some thirty."""
_MOST_FILL = 1 << 16
"""Bytes between two segments of a JPEG."""
_MOST_TAGS = 512
"""Tags of a camera's note that are looked at."""
_MOST_RUN_LENGTHS, _MOST_RUN_PIXELS = 256 << 10, 1 << 20
"""Bytes and pixels of a BMP with run lengths, whose decoder takes them one by one."""

_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_SCAN = 0xDA
_OTHER_FRAMES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}
_EXIF, _ADOBE, _JFIF = 0xE1, 0xEE, 0xE0
_NO_PIXELS = {*range(0xE0, 0xF0), 0xFE} - {_ADOBE, _JFIF}
_ALONE = {0x01, *range(0xD0, 0xD9)}
_GIF_IMAGE, _GIF_EXTENSION, _GIF_CONTROL = 0x2C, 0x21, b"\xf9\4"
_ORIENTATION, _SHORT = 0x0112, 3
_RUN_LENGTHS = {1, 2}


@dataclass(frozen=True, slots=True)
class Needed:
    """What its decoder needs of a file, and how the camera was held, 1 to 8."""

    body: bytes
    held: int = 1


def needed(body: bytes, kind: str) -> Needed:
    """What is needed of the file ``body`` of the format ``kind``.

    Raises :class:`Malformed` for a file of too many pieces and for one that breaks off between
    them, :class:`TooLarge` for a form that is too dear, :class:`UnsupportedType` for a rare one;
    IndexError or struct.error may tell damage.
    """
    if kind == "PNG":
        return _png(body)
    if kind == "JPEG":
        return _jpeg(body)
    if kind == "GIF":
        return _gif(body)
    if kind == "TIFF":
        return Needed(*first_picture(body))
    _check_bmp(body)
    return Needed(body)


def _png(body: bytes) -> Needed:
    """The chunks that make pixels (W3C PNG, third edition), and nothing after them."""
    view = memoryview(body)
    kept, at, name, exif = [view[:8]], 8, b"", b""
    for _ in range(_MOST_PIECES):
        name = body[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(body[at : at + 4])
        if name in _PNG_PIXELS:
            kept.append(view[at:end])
        elif name == b"eXIf":
            exif = body[at + 8 : end - 4]
        at = end
        if name == b"IEND" or at >= len(body):
            break
    else:
        raise Malformed(f"the PNG picture has more than {_MOST_PIECES:,} chunks")
    if name != b"IEND" or at != len(body):
        raise Malformed("the PNG picture is cut short or has data after its end")
    return Needed(b"".join(kept), orientation(exif))


def _jpeg(body: bytes) -> Needed:
    """The segments that make pixels (ITU-T T.81, annex B), of the others the camera's note."""
    view = memoryview(body)
    kept, at, exif = [view[:2]], 2, b""
    count = 0
    while (marker := _MARKER.search(body, at, at + _MOST_FILL)) is not None:
        code, start = marker[0][1], marker.start()
        if code == _SCAN:
            kept.append(view[start:])
            break
        at = start + 2
        if code not in _ALONE:
            at += int.from_bytes(body[at : at + 2])
        if code in _OTHER_FRAMES:
            raise UnsupportedType(
                "JPEG pictures are read that are baseline or progressive and Huffman-coded"
            )
        if code in _NO_PIXELS:
            if code == _EXIF and not exif and body.startswith(b"Exif\0\0", start + 4):
                exif = body[start + 10 : at]
        else:
            kept.append(view[start:at])
        count += 1
        if count > _MOST_PIECES or len(kept) > _MOST_SEGMENTS:
            raise Malformed("the JPEG picture has more segments than any has")
    return Needed(b"".join(kept), orientation(exif))


def _gif(body: bytes) -> Needed:
    """The first image (GIF89a, section 20) and which of its colours is transparent.

    Of all other blocks before it nothing is kept; what follows it is never read.
    """
    blocks, at = 0, 13
    if body[10] & 0x80:
        at += 3 << (body[10] & 7) + 1
    head, control = body[:at], b""
    while body[at] != _GIF_IMAGE:
        if body[at] == _GIF_EXTENSION:
            if body[at + 1 : at + 3] == _GIF_CONTROL:
                # No word of what comes after the frame, for which Pillow takes memory at once.
                is_transparent = body[at + 3] & 1
                control = bytes((*b"!\xf9\4", is_transparent, 0, 0, body[at + 6], 0))
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
    return Needed(b"".join((head, control, memoryview(body)[at:])))


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
