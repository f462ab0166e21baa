"""The one directory of a TIFF file that makes its first picture (TIFF 6.0, section 2; BigTIFF).

All else is left out: notes, profiles, directories within directories, further pictures. Pillow
would take each number in them into its hands, up to eight million in 16 MiB, for seconds in which
no other thread moves.
"""

from __future__ import annotations

import ctypes
import re
import struct
from dataclasses import dataclass

from PIL import _imaging

from service.errors import Malformed, UnsupportedType

_MOST_TAGS, _MOST_VALUES = 512, 20_000
"""Tags in a directory, and numbers in one of them: at most a strip for each row."""

_COMPRESSION, _ORIENTATION = 259, 274
_JPEG, _JPEG_SCAN = 7, b"\xff\xda"
_RARE_JPEG = re.compile(rb"\xff[\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]")  # lossless or arithmetic
_COMPRESSIONS = {1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946}
_READ = "uncompressed ones and CCITT, LZW, JPEG, Deflate and PackBits"
_PIXELS = {
    *(256, 257, 258, _COMPRESSION, 262, 266, 273, 277, 278, 279, 284, 292, 293),
    *(317, 320, 322, 323, 324, 325, 338, 339, 347, 529, 530, 531, 532),
}
"""What tells how to decode: sizes, strips, tiles, bits, colours, and what the codecs ask for."""
_BYTES = {1, 2, 6, 7}  # types of tags whose values are not taken apart
_WHOLE = {3: "H", 4: "I", 16: "Q"}  # types of tags, as struct names them
_PARTS = ((273, 279), (324, 325))  # where the strips or the tiles are, and their lengths in bytes


def _silence() -> None:
    """Lets libtiff, which Pillow brings along, write nothing of strangers' files to our stderr."""
    set_handler = getattr(ctypes.CDLL(_imaging.__file__), "TIFFSetErrorHandler", None)
    if set_handler is not None:
        set_handler(None)


_silence()


def first_picture(body: bytes) -> tuple[bytes, int]:
    """The file with a directory of what makes pixels alone, and how the camera was held, 1 to 8.

    Raises :class:`Malformed` for a directory of too much, :class:`UnsupportedType` for a rare
    compression; KeyError, ValueError and struct.error may tell damage.
    """
    order = "<" if body.startswith(b"II") else ">"
    is_big = body[2:4] in (b"+\0", b"\0+")
    offset, number, entry = ("Q", "Q", "HHQ8s") if is_big else ("I", "H", "HHI4s")
    header = 16 if is_big else 8
    pointer = header - struct.calcsize("<" + offset)
    (at,) = struct.unpack_from(order + offset, body, pointer)
    (count,) = struct.unpack_from(order + number, body, at)
    if count > _MOST_TAGS:
        raise Malformed(f"the TIFF picture has more than {_MOST_TAGS} tags")
    start, size = at + struct.calcsize("<" + number), struct.calcsize("<" + entry)
    end = start + count * size + struct.calcsize("<" + offset)
    if end > len(body):
        raise Malformed("the TIFF picture is cut short")
    kept: dict[int, _Tag] = {}
    held = 1
    for tag, form, values, value in struct.iter_unpack(
        order + entry, body[start : start + count * size]
    ):
        if tag == _ORIENTATION:
            held = _Tag(form, values, value).number(order)
        if tag in _PIXELS:
            kept.setdefault(tag, _Tag(form, values, value))
    _check(body, order, kept)
    directory = struct.pack(order + number, len(kept)) + b"".join(
        struct.pack(order + entry, tag, one.form, one.values, one.value)
        for tag, one in sorted(kept.items())
    )
    # In the place of the old one, which is as long: a file that is cut short must stay so.
    rest = memoryview(body)[end:]
    return b"".join((memoryview(body)[:at], directory.ljust(end - at, b"\0"), rest)), held


def _check(body: bytes, order: str, tags: dict[int, _Tag]) -> None:
    """Refuses more numbers than any picture has, rare compressions, and JPEGs of several scans."""
    for number, tag in tags.items():
        if tag.form not in _BYTES and tag.values > _MOST_VALUES:
            raise Malformed(
                f"the TIFF picture's tag {number} has more than {_MOST_VALUES:,} values"
            )
    compression = tags[_COMPRESSION].number(order) if _COMPRESSION in tags else 1
    if compression not in _COMPRESSIONS:
        raise UnsupportedType(f"TIFF pictures of this compression are not read here; {_READ} are")
    if compression != _JPEG:
        return
    for starts, sizes in _PARTS:
        if starts not in tags:
            continue
        lengths = tags[sizes].numbers(body, order)
        if sum(lengths) > len(body):
            raise Malformed("the TIFF picture's parts are larger than the file")
        for at, length in zip(tags[starts].numbers(body, order), lengths, strict=True):
            is_rare = _RARE_JPEG.search(body, at, at + length)
            if is_rare or body.count(_JPEG_SCAN, at, at + length) != 1:
                raise Malformed(
                    "the TIFF picture's JPEG parts are not of one scan each, Huffman-coded"
                )


@dataclass(frozen=True, slots=True)
class _Tag:
    """An entry of a directory: the type, how many values, and those or where they are."""

    form: int
    values: int
    value: bytes

    def number(self, order: str) -> int:
        """The first value, where it is a whole number; else 0."""
        code = _WHOLE.get(self.form)
        return int(struct.unpack_from(order + code, self.value)[0]) if code else 0

    def numbers(self, body: bytes, order: str) -> tuple[int, ...]:
        """The values. Raises KeyError for others than whole numbers, struct.error for damage."""
        form = f"{order}{self.values}{_WHOLE[self.form]}"
        if struct.calcsize(form) <= len(self.value):
            return struct.unpack_from(form, self.value)
        (at,) = struct.unpack(order + ("I" if len(self.value) == 4 else "Q"), self.value)
        return struct.unpack_from(form, body, at)
