"""Bound what a hostile file costs before Pillow decodes its first pixel.

Pillow parses chunks, segments, blocks and tags in Python, one by one, and converts every number in
them. 16 MiB can hold a million empty chunks, or texts and colour profiles that unpack to gigabytes.
"""

import io
import re
import struct
from contextlib import suppress

from PIL import Image

from service.errors import Malformed, UnsupportedType

_MOST_CHUNKS = 10_000  # a PNG of 16 MiB has some 2,000 chunks, a JPEG some 30 segments
_MOST_FILL_BYTES = 1 << 16  # between two segments of a JPEG
_MOST_READS = 60_000  # a TIFF of 16 megapixels has up to 4,000 strips, a GIF some ten blocks
_MOST_EXIF_BYTES = 1 << 16
_MOST_TAGS, _MOST_TAG_VALUES = 512, 20_000  # the largest tag of a TIFF has a value for each strip

_PNG_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_SCAN, _EXIF = 0xDA, 0xE1
_METADATA = {*range(0xE1, 0xF0), 0xFE} - {0xEE}  # Adobe's 0xEE says how colours are stored
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_RARE_FRAMES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}  # lossless, hierarchical, arithmetic
_ORIENTATION = 0x0112
_BYTE_TYPES = {1, 2, 6, 7}  # Pillow does not convert the values of tags of these types


class CountedFile(io.BytesIO):
    """A file that raises :class:`Malformed` after 60,000 reads: Pillow reads parts one by one."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads up to ``size`` bytes."""
        self._reads += 1
        if self._reads > _MOST_READS:
            raise Malformed("the picture consists of more blocks than any picture needs")
        return super().read(size)


def sanitise(body: bytes, kind: str) -> tuple[bytes, bytes]:
    """Returns the file, a PNG or JPEG without its metadata, and the Exif data of these two.

    Raises Malformed for too many or cut parts, UnsupportedType for a rare JPEG.
    """
    if kind == "PNG":
        return _strip_png(body)
    if kind == "JPEG":
        return _strip_jpeg(body)
    if kind == "TIFF":
        _check_tiff_tags(body)
    at, count = 12, 0
    while kind == "WebP" and at < len(body):  # chunks (RFC 9649), of which libwebp makes a list
        size = int.from_bytes(body[at + 4 : at + 8], "little")
        at, count = at + 8 + size + size % 2, count + 1
        if count > _MOST_CHUNKS:
            raise Malformed(f"the WebP picture has more than {_MOST_CHUNKS:,} chunks")
    return body, b""


def _strip_png(body: bytes) -> tuple[bytes, bytes]:
    """Keeps the chunks that affect pixels (W3C PNG, third edition)."""
    view = memoryview(body)
    kept, exif, at = [view[:8]], b"", 8
    for _ in range(_MOST_CHUNKS):
        name = body[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(body[at : at + 4])
        if name in _PNG_PIXEL_CHUNKS:
            kept.append(view[at:end])
        elif name == b"eXIf":
            exif = body[at + 8 : end - 4]
        at = end
        if name == b"IEND" or at >= len(body):
            if name != b"IEND" or at != len(body):
                raise Malformed("the PNG picture is cut short or has data after its end")
            return b"".join(kept), exif
    raise Malformed(f"the PNG picture has more than {_MOST_CHUNKS:,} chunks")


def _strip_jpeg(body: bytes) -> tuple[bytes, bytes]:
    """Keeps the segments that affect pixels (ITU-T T.81, annex B)."""
    view = memoryview(body)
    kept, exif, at = [view[:2]], b"", 2
    for _ in range(_MOST_CHUNKS):
        marker = _MARKER.search(body, at, at + _MOST_FILL_BYTES)
        if marker is None:
            break
        code, start = marker[0][1], marker.start()
        if code == _SCAN:
            return b"".join((*kept, view[start:])), exif
        if code in _RARE_FRAMES:
            raise UnsupportedType("JPEG pictures must be baseline or progressive, Huffman-coded")
        at = start + 2
        if code not in _WITHOUT_LENGTH:
            at += int.from_bytes(body[at : at + 2])
        if code not in _METADATA:
            kept.append(view[start:at])
        elif code == _EXIF and not exif and body.startswith(b"Exif\0\0", start + 4):
            exif = body[start + 4 : at]
    raise Malformed(f"the JPEG picture is cut short or has more than {_MOST_CHUNKS:,} segments")


def _check_tiff_tags(body: bytes) -> None:
    """Counts the tags of the first directory, and their values (TIFF 6.0, section 2)."""
    order = "<" if body.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "4xI", body)
    (count,) = struct.unpack_from(order + "H", body, at)
    if count > _MOST_TAGS:
        raise Malformed(f"the TIFF picture has more than {_MOST_TAGS} tags")
    end = at + 2 + 12 * count
    if end + 4 > len(body):  # the offset of the next directory ends it
        raise Malformed("the TIFF picture is cut short")
    for _, kind, values in struct.iter_unpack(order + "HHI4x", body[at + 2 : end]):
        if values > _MOST_TAG_VALUES and kind not in _BYTE_TYPES:
            raise Malformed(f"a tag of the TIFF picture has more than {_MOST_TAG_VALUES:,} values")


def orientation(exif: bytes) -> int:
    """Returns the orientation in Exif data (Exif 3.0, section 4.6.5), 1 to 8; 1 if damaged."""
    if not exif:
        return 1
    note = Image.Exif()
    value: object = 1
    with suppress(Exception):  # Pillow raises dozens of types on damaged bytes
        note.load(exif[:_MOST_EXIF_BYTES])
        value = note.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
