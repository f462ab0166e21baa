"""Picture files written byte by byte, with sizes, tags and runs that no encoder would write."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from tests.service.decode.samples import digits, encode, picture

TiffTag = tuple[int, int, int, int]  # number, type, count, and value or offset


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of_size(width: int, height: int, depth: int = 8) -> bytes:
    """A small PNG that declares a size, and holds up to 10 MB of black pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min((width * depth // 8 + 1) * height, 10_000_000)), 9)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def bmp_of_size(width: int, height: int) -> bytes:
    """A BMP that declares a size and has no pixels."""
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, width, height, 1, 24, *[0] * 6)


def gif_of_size(width: int, height: int) -> bytes:
    """A GIF with a canvas of a size."""
    file = bytearray(picture("GIF"))
    file[6:10] = struct.pack("<HH", width, height)
    return bytes(file)


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG that declares a size."""
    file = bytearray(picture("JPEG"))
    place = file.index(b"\xff\xc0") + 5
    file[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(file)


def tiff(size: tuple[int, int], *tags: TiffTag, after: int = 0) -> bytes:
    """The header of a grey TIFF, and its one directory; ``after`` is the offset of the next."""
    least = dict(zip((256, 257, 258, 259, 262), (*size, 8, 1, 1), strict=True))
    given = {tag for tag, *_ in tags if tag > 257}
    all_tags = [*((tag, 4, 1, n) for tag, n in least.items() if tag not in given), *tags]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in all_tags)
    return b"II*\0" + struct.pack("<IH", 8, len(all_tags)) + entries + struct.pack("<I", after)


def tiff_of_size(width: int, height: int) -> bytes:
    """A TIFF that declares a size."""
    return tiff((width, height), (273, 4, 1, 8), (277, 4, 1, 1), (279, 4, 1, 9))


def tiff_of_pixels(*tags: TiffTag, after: int = 0) -> bytes:
    """A whole TIFF with the pixels of a digit, and further tags."""
    strip = [(273, 4, 1, 1000), (277, 3, 1, 1), (279, 4, 1, 784)]
    return tiff((28, 28), *strip, *tags, after=after).ljust(1000, b"\0") + bytes(digits()[0])


def bmp_of_runs(codes: bytes, side: int) -> bytes:
    """A BMP of a square with run lengths of 8 bits."""
    header = struct.pack("<IHHI", 54 + 1024 + len(codes), 0, 0, 54 + 1024)
    fields = 40, side, side, 1, 8, 1, len(codes), 0, 0, 256, 0
    return b"BM" + header + struct.pack("<IiiHHIIiiII", *fields) + bytes(1024) + codes


def webp_of_size(width: int, height: int, corner: tuple[int, int] = (0, 0)) -> bytes:
    """An animation with a canvas of a size and one white frame of 8x8."""
    frame = encode(Image.new("RGB", (8, 8), "white"), "WebP", lossless=True)
    at = b"".join((side // 2).to_bytes(3, "little") for side in corner)
    data = at + b"\7\0\0" * 2 + bytes(4) + frame[12:]
    size = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + size
    chunks += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    chunks += b"ANMF" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
