"""What a picture file is made of is bounded before a decoder takes it piece by piece."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from time import process_time

import numpy as np
import pytest
from PIL import Image

from service.decode import Limits
from service.errors import Malformed, TooLarge
from service.picture.container import needed, orientation
from service.picture.open import open_picture
from tests.service.decode.samples import digits, encode, picture

MEGABYTES = 15 << 20


def filled(piece: bytes) -> bytes:
    return piece * (MEGABYTES // len(piece))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(chunks: bytes) -> bytes:
    return picture()[:33] + chunks + picture()[33:]


def jpeg_with(segments: bytes) -> bytes:
    return picture("JPEG")[:2] + segments + picture("JPEG")[2:]


def gif_with(blocks: bytes) -> bytes:
    whole = picture("GIF")
    at = 13 + (3 << (whole[10] & 7) + 1) * (whole[10] >> 7)
    return whole[:at] + blocks + whole[at:]


def tiff_with(*tags: tuple[int, int, int, int]) -> bytes:
    least = [(256, 4, 1, 28), (257, 4, 1, 28), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1)]
    entries = [struct.pack("<HHII", *tag) for tag in [*least, *tags]]
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(MEGABYTES)


def bmp_of_runs(codes: bytes, side: int, compression: int = 1) -> bytes:
    size = 54 + 1024 + len(codes)
    header = struct.pack("<IHHI", size, 0, 0, 54 + 1024)
    fields = 40, side, side, 1, 4 * (3 - compression), compression, len(codes), 0, 0, 256, 0
    return b"BM" + header + struct.pack("<IiiHHIIiiII", *fields) + bytes(1024) + codes


PROFILE = b"a\0\0" + zlib.compress(bytes(1_000_000), 9)
MANY_PIECES: dict[str, Callable[[], bytes]] = {
    "PNG, empty chunks": lambda: png_with(filled(chunk(b"abCd", b""))),
    "PNG, empty chunks of pixels": lambda: png_with(filled(chunk(b"IDAT", b""))),
    "PNG, profiles": lambda: png_with(chunk(b"iCCP", PROFILE) * 9000),
    "PNG, texts": lambda: png_with(chunk(b"zTXt", PROFILE) * 9000),
    "JPEG, comments": lambda: jpeg_with(filled(b"\xff\xfe\0\2")),
    "JPEG, tables": lambda: jpeg_with(filled(b"\xff\xc4\0\2")),
    "JPEG, notes": lambda: jpeg_with(filled(b"\xff\xe1\0\x0aExif\0\0II")),
    "JPEG, fill bytes": lambda: jpeg_with(filled(b"\xff")),
    "JPEG, junk": lambda: jpeg_with(filled(b"\xff\0")),
    "GIF, empty comments": lambda: gif_with(filled(b"!\xfe\0")),
    "GIF, one comment": lambda: gif_with(b"!\xfe" + filled(b"\1a") + b"\0"),
    "GIF, junk": lambda: gif_with(filled(b"\0")),
    "TIFF, tags": lambda: tiff_with(*((1000 + n, 4, 1, 1) for n in range(60_000))),
    "TIFF, strips": lambda: tiff_with((273, 4, 1 << 20, 99), (278, 4, 1, 1), (279, 4, 1 << 20, 99)),
    "TIFF, tiles": lambda: tiff_with((322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 1 << 20, 99)),
    "BMP, runs of one": lambda: bmp_of_runs(filled(b"\1\7"), 4000),
    "BMP, empty jumps": lambda: bmp_of_runs(b"\1\7" + filled(b"\0\2\0\0"), 28),
    "BMP, ends of line": lambda: bmp_of_runs(b"\1\7\0\0" * 8000, 8000),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", MANY_PIECES)
def test_a_file_of_many_pieces_takes_less_than_100_ms(name: str) -> None:
    body = MANY_PIECES[name]()
    times = []
    for _ in range(3):
        start = process_time()
        with suppress(Malformed, TooLarge):
            assert open_picture(body, Limits()).grey.shape == (28, 28)
        times.append(process_time() - start)
    assert min(times) < 0.1


def test_what_makes_no_pixels_is_left_out() -> None:
    assert needed(png_with(chunk(b"tEXt", b"Title\0seven")), "PNG").body == picture()
    comment, note = b"\xff\xfe\0\4hm", b"\xff\xe1\0\x0eExif\0\0II*\0\0\0"
    assert needed(jpeg_with(comment + note), "JPEG") == needed(jpeg_with(note + comment), "JPEG")
    assert len(needed(jpeg_with(comment + note), "JPEG").body) == len(picture("JPEG"))
    assert needed(jpeg_with(note), "JPEG").exif == b"II*\0\0\0"


def test_run_lengths_of_a_small_bmp_are_read() -> None:
    codes = b"".join(b"\x1c" + bytes([n]) + b"\0\0" for n in range(28)) + b"\0\1"
    body = bytearray(bmp_of_runs(codes, 28))
    body[54 : 54 + 1024] = b"".join(bytes([n, n, n, 0]) for n in range(256))
    expected = np.repeat(np.arange(28, dtype=np.uint8)[::-1], 28).reshape(28, 28)
    assert np.array_equal(open_picture(bytes(body), Limits()).grey, expected)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_how_the_camera_was_held_is_in_its_note(turned: int, order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F], exif[0x0112] = "A camera's maker", turned
    assert orientation(exif.tobytes()) == turned
    body = encode(Image.fromarray(digits()[0][:, :20]), "JPEG", exif=exif.tobytes())
    assert open_picture(body, Limits()).original == ((20, 28) if turned < 5 else (28, 20))


@pytest.mark.parametrize("length", range(40))
def test_a_broken_note_is_no_note(length: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert orientation(exif.tobytes()[:length]) in (1, 6)
    assert orientation(b"II*\0\xff\xff\xff\xff" + bytes(length)) == 1
