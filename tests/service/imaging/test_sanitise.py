"""The parts of a picture file are bounded before a decoder parses them one by one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import process_time

import numpy as np
import pytest
from PIL import Image

from service.errors import Fault, Malformed, TooLarge, UnsupportedType
from service.imaging.load import open_picture
from service.imaging.sanitise import orientation, sanitise
from tests.pace import slowness
from tests.service.decode.samples import LIMITS, digits, encode, picture
from tests.service.imaging.files import TiffTag, bmp_of_runs, chunk, tiff, tiff_of_pixels

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
MEGABYTES = 15 << 20
DISPOSED = b"!\xf9\4\x08\0\0\0\0"  # a control block of GIF: dispose to the background


def filled(piece: bytes) -> bytes:
    return piece * (MEGABYTES // len(piece))


def inserted(kind: str, at: int, parts: bytes) -> bytes:
    return picture(kind)[:at] + parts + picture(kind)[at:]


png_with, jpeg_with = partial(inserted, "PNG", 33), partial(inserted, "JPEG", 2)


def gif_with(blocks: bytes) -> bytes:
    flags = picture("GIF")[10]
    return inserted("GIF", 13 + (3 << (flags & 7) + 1) * (flags >> 7), blocks)


def tiff_with(*tags: TiffTag) -> bytes:
    return tiff((28, 28), *tags) + bytes(MEGABYTES)


def tiff_with_exif(shorts: int) -> bytes:
    body = tiff_of_pixels((34665, 4, 1, 2000)).ljust(2000, b"\0")
    directory = struct.pack("<HHHIII", 1, 37500, 3, shorts, 2100, 0)
    return (body + directory).ljust(2100, b"\0") + bytes(2 * shorts)


def jpeg_of_scans(count: int, side: int) -> bytes:
    whole = encode(Image.new("L", (side, side), 99), "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * count + b"\xff\xd9"


def webp_with(chunks: bytes) -> bytes:
    whole = picture("WebP", "RGB", lossless=True)
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\x1b\0\0" * 2 + chunks + whole[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_with_huge_frame(side: int) -> bytes:
    """A GIF whose frame is much larger than its canvas and is disposed to the background."""
    whole = bytearray(gif_with(DISPOSED))
    at = whole.index(DISPOSED) + len(DISPOSED)
    whole[at + 5 : at + 9] = struct.pack("<HH", side, side)
    return bytes(whole)


PROFILE = b"a\0\0" + zlib.compress(bytes(1_000_000), 9)
MANY_PARTS: dict[str, Callable[[], bytes]] = {
    "PNG, empty chunks": lambda: png_with(filled(chunk(b"abCd", b""))),
    "PNG, empty chunks of pixels": lambda: png_with(filled(chunk(b"IDAT", b""))),
    "PNG, profiles": lambda: png_with(chunk(b"iCCP", PROFILE) * 9000),
    "PNG, texts": lambda: png_with(chunk(b"zTXt", PROFILE) * 9000),
    "JPEG, comments": lambda: jpeg_with(filled(b"\xff\xfe\0\2")),
    "JPEG, tables": lambda: jpeg_with(filled(b"\xff\xc4\0\2")),
    "JPEG, notes": lambda: jpeg_with(filled(b"\xff\xe1\0\x0aExif\0\0II")),
    "JPEG, fill bytes": lambda: jpeg_with(filled(b"\xff")),
    "JPEG, junk": lambda: jpeg_with(filled(b"\xff\0")),
    "JPEG, 80 scans": lambda: jpeg_of_scans(80, 4000),
    "GIF, empty comments": lambda: gif_with(filled(b"!\xfe\0")),
    "GIF, one comment": lambda: gif_with(b"!\xfe" + filled(b"\1a") + b"\0"),
    "GIF, junk": lambda: gif_with(filled(b"\0")),
    "GIF, a huge frame": lambda: gif_with_huge_frame(9_000),
    "TIFF, tags": lambda: tiff_with(*((1000 + n, 4, 1, 1) for n in range(60_000))),
    "TIFF, strips": lambda: tiff_with((273, 4, 1 << 20, 99), (278, 4, 1, 1), (279, 4, 1 << 20, 99)),
    "TIFF, tiles": lambda: tiff_with((322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 1 << 20, 99)),
    "TIFF, numbers in tags": lambda: tiff_with(*((40_000 + n, 3, 20_000, 99) for n in range(380))),
    "TIFF, numbers in Exif tags": lambda: tiff_with_exif(MEGABYTES // 2),
    "WebP, empty chunks": lambda: webp_with(filled(b"abcd\0\0\0\0")),
    "WebP, empty frames": lambda: webp_with(filled(b"ANMF\0\0\0\0")),
    "BMP, runs of one": lambda: bmp_of_runs(filled(b"\1\7"), 4000),
    "BMP, empty jumps": lambda: bmp_of_runs(b"\1\7" + filled(b"\0\2\0\0"), 28),
    "BMP, ends of line": lambda: bmp_of_runs(b"\1\7\0\0" * 8000, 8000),
}


@pytest.mark.alone
@pytest.mark.parametrize("name", MANY_PARTS)
def test_a_file_of_many_parts_takes_less_than_100_ms(name: str) -> None:
    body = MANY_PARTS[name]()
    times = []
    for _ in range(3):
        start = process_time()
        with suppress(Malformed, TooLarge):
            assert open_picture(body, LIMITS).grey.shape == (28, 28)
        times.append(process_time() - start)
    assert min(times) < 0.1 * slowness()


def test_metadata_is_dropped() -> None:
    assert sanitise(png_with(chunk(b"tEXt", b"Title\0seven")), "PNG") == (picture(), b"")
    comment, note = b"\xff\xfe\0\4hm", b"\xff\xe1\0\x0eExif\0\0II*\0\0\0"
    body, exif = sanitise(jpeg_with(comment + note), "JPEG")
    assert (body, exif) == (picture("JPEG"), note[4:])
    assert sanitise(jpeg_with(note + comment), "JPEG") == (body, exif)


@pytest.mark.parametrize(
    "body",
    [
        tiff_of_pixels(),
        tiff_of_pixels(after=8),  # a circle of directories
        tiff_of_pixels((34665, 4, 1, 8), (34853, 4, 1, 8), (330, 4, 1, 8)),
        tiff_of_pixels((700, 1, 0xFFFFFFFF, 8), (34675, 7, 0xFFFFFFFF, 8)),
        tiff_of_pixels(*[(256, 4, 1, 28)] * 50),
        tiff_with_exif(2**20),
    ],
)
def test_odd_tags_do_not_change_the_pixels_of_a_tiff(body: bytes) -> None:
    assert np.array_equal(open_picture(body, LIMITS).grey, digits()[0])


@pytest.mark.parametrize("compression", [6, 7, 32809, 34676, 34677, 34925, 50000, 50001])
def test_rare_compressions_of_tiff_are_unsupported(compression: int) -> None:
    body = tiff_of_pixels((259, 4, 1, compression))
    with pytest.raises(UnsupportedType, match="CCITT, LZW, Deflate"):
        open_picture(body, LIMITS)


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xC9, 0xCA, 0xCB, 0xCF])
def test_lossless_and_arithmetic_jpegs_are_unsupported(frame: int) -> None:
    body = picture("JPEG").replace(b"\xff\xc0", bytes((0xFF, frame)))
    with pytest.raises(UnsupportedType, match="baseline or progressive"):
        open_picture(body, LIMITS)


def test_a_frame_of_a_gif_larger_than_the_limit_is_rejected() -> None:
    with pytest.raises(TooLarge, match="9000x9000"):
        open_picture(gif_with_huge_frame(9_000), LIMITS)
    assert np.array_equal(open_picture(gif_with(DISPOSED), LIMITS).grey, digits()[0])


def test_a_damaged_tiff_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    whole = picture("TIFF", compression="tiff_lzw")
    for at in range(8, 700, 3):
        with suppress(Fault):
            open_picture(whole[:at] + b"\xff\xff" + whole[at + 2 :], LIMITS)
    with pytest.raises(Malformed):
        open_picture(tiff_with((277, 3, 1, 99)), LIMITS)
    assert caplog.records == []


def test_run_lengths_of_a_small_bmp_are_read() -> None:
    codes = b"".join(b"\x1c" + bytes([n]) + b"\0\0" for n in range(28)) + b"\0\1"
    body = bytearray(bmp_of_runs(codes, 28))
    body[54 : 54 + 1024] = b"".join(bytes([n, n, n, 0]) for n in range(256))
    expected = np.repeat(np.arange(28, dtype=np.uint8)[::-1], 28).reshape(28, 28)
    assert np.array_equal(open_picture(bytes(body), LIMITS).grey, expected)


@pytest.mark.parametrize("order", "<>")
def test_the_orientation_is_in_the_exif_data(order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    for turned in range(1, 9):
        exif[0x010F], exif[0x0112] = "A camera's maker", turned
        assert orientation(exif.tobytes()) == turned


def test_exif_data_that_are_cut_off_count_as_none() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = exif.tobytes()
    turns = [orientation(whole[:length]) for length in range(len(whole) + 1)]
    assert turns == sorted(turns)
    assert (turns[0], turns[-1], set(turns)) == (1, 6, {1, 6})
    assert orientation(b"II*\0\xff\xff\xff\xff" + bytes(20)) == 1
