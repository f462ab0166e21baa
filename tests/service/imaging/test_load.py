"""Picture files to grey pixels: bit for bit where they are grey, and never trusted."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from service.errors import Malformed, TooLarge, UnsupportedType
from service.imaging.load import open_picture
from service.types import Limits
from tests.service.decode.samples import LIMITS, digits, encode, picture

# What Pillow warns of is ignored in service; pytest would make errors of it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def read(body: bytes, limits: Limits = LIMITS) -> NDArray[np.uint8]:
    """The pixels of a picture."""
    return open_picture(body, limits).grey


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("PNG", {"optimize": True}),
        ("BMP", {}),
        ("GIF", {}),
        ("WebP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_deflate"}),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
@pytest.mark.parametrize("index", [0, 1, 77])
def test_lossless_grey_is_taken_bit_for_bit(
    kind: str, options: dict[str, Any], mode: str, index: int
) -> None:
    if kind == "WebP" and mode == "L":
        mode = "RGB"  # WebP has no grey
    grey = read(picture(kind, mode, index, **options))
    assert grey.dtype == np.uint8
    assert np.array_equal(grey, digits()[index])


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("WebP", "RGB")]
)
def test_lossy_pictures_come_close(kind: str, mode: str) -> None:
    grey = read(picture(kind, mode, quality=95)).astype(int)
    assert np.abs(grey - digits()[0]).mean() < 4


def test_every_grey_value_survives_a_png() -> None:
    ramp = (np.arange(784) % 256).astype(np.uint8).reshape(28, 28)
    assert np.array_equal(read(encode(Image.fromarray(ramp), "PNG")), ramp)


def test_a_faint_picture_is_no_scaled_array() -> None:
    faint = (digits()[0] > 127).astype(np.uint8)
    assert np.array_equal(read(encode(Image.fromarray(faint), "PNG")), faint)


@pytest.mark.parametrize("kind", ["GIF", "WebP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind: str) -> None:
    frames = [Image.fromarray(digits()[index]).convert("RGB") for index in range(3)]
    options = {"lossless": True} if kind == "WebP" else {}
    body = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(read(body), digits()[0])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 100}),
        ("WebP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.parametrize("held", range(1, 9))
def test_a_picture_is_turned_as_the_camera_was_held(
    kind: str, options: dict[str, Any], held: int
) -> None:
    image = Image.fromarray(digits()[0][:, :21])
    exif = Image.Exif()
    exif[0x0112] = held
    body = encode(image.convert("RGB"), kind, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(body)))
    grey = read(body).astype(int)
    assert grey.shape == (upright.height, upright.width)
    assert np.abs(grey - np.asarray(upright.convert("L"))).max() <= (kind == "JPEG")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
        (b"\0\0\0\x1cftypavif" + bytes(50), "AVIF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\1\0\1\0", "icon"),
        (b"\xff\x0a" + bytes(9), "JPEG XL"),
    ],
)
def test_another_format_is_named_and_those_read_are_listed(body: bytes, kind: str) -> None:
    with pytest.raises(
        UnsupportedType, match=f"{kind} pictures are not read here; PNG, JPEG, WebP"
    ):
        read(body)


@pytest.mark.parametrize(
    "body", [b"x", b"no picture at all", b"P5 28 28 255\n" + bytes(784), b"\x89PNG", bytes(784)]
)
def test_what_is_no_picture_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match="not a picture: its first bytes"):
        read(body)


def test_an_empty_picture_is_malformed() -> None:
    with pytest.raises(Malformed, match="empty"):
        read(b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_a_truncated_picture_is_malformed(kind: str, part: float) -> None:
    whole = picture(kind, "RGB")
    with pytest.raises(Malformed, match=f"the {kind} picture is"):
        read(whole[: max(14, int(len(whole) * part))])


@pytest.mark.parametrize("compression", ["raw", "jpeg", "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("lost", [1, 100])
def test_a_tiff_that_lacks_its_last_bytes_is_malformed(compression: str, lost: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "TIFF", compression=compression)
    assert read(file.getvalue()).shape == (200, 300)
    with pytest.raises(Malformed, match="cut short"):
        read(file.getvalue()[:-lost])


def test_a_png_ends_where_it_ends() -> None:
    for spoilt in (picture()[:-1], picture()[:-12], picture() + b"PK\3\4 polyglot"):
        with pytest.raises(Malformed, match="cut short or has data after its end"):
            read(spoilt)


def test_a_png_with_a_wrong_checksum_is_malformed() -> None:
    body = bytearray(picture())
    body[45] ^= 1
    with pytest.raises(Malformed, match="the PNG picture is damaged"):
        read(bytes(body))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of_size(width: int, height: int) -> bytes:
    """A small file that says it is large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000_000), 9))
        + chunk(b"IEND", b"")
    )


def webp_of_size(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    data = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    data += b"VP8L" + struct.pack("<I", 60) + b"\x2f" + bytes(59)
    return b"RIFF" + struct.pack("<I", len(data)) + data


def bmp_of_size(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, width, height, 1, 24, *[0] * 6)


def gif_of_size(width: int, height: int) -> bytes:
    file = bytearray(picture("GIF"))
    file[6:10] = struct.pack("<HH", width, height)
    return bytes(file)


def tiff_of_size(width: int, height: int) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, 9)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def jpeg_of_size(width: int, height: int) -> bytes:
    file = bytearray(picture("JPEG"))
    place = file.index(b"\xff\xc0") + 5
    file[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(file)


@pytest.mark.parametrize(
    "make", [png_of_size, webp_of_size, bmp_of_size, gif_of_size, tiff_of_size, jpeg_of_size]
)
@pytest.mark.parametrize("size", [(16_000, 16_000), (16_385, 28), (28, 20_000)])
def test_a_large_size_in_the_header_is_refused_before_anything_is_decoded(
    make: Callable[[int, int], bytes], size: tuple[int, int]
) -> None:
    body = make(*size)
    start = time.thread_time()
    tracemalloc.start()
    with pytest.raises(TooLarge, match=f"the picture is {size[0]}x{size[1]}; at most"):
        read(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    assert time.thread_time() - start < 0.1


def test_the_limits_are_settings() -> None:
    body = picture()
    read(body, Limits(picture_pixels=784, picture_side=28))
    for limits in (Limits(picture_pixels=783), Limits(picture_side=27)):
        with pytest.raises(TooLarge):
            read(body, limits)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "LA", "RGB", "RGBA"])
def test_the_limits_are_the_same_for_every_form_of_colour(mode: str) -> None:
    limits = Limits(picture_pixels=6400)
    assert read(encode(Image.new(mode, (160, 40)), "PNG"), limits).shape == (40, 160)
    with pytest.raises(TooLarge, match="at most"):
        read(encode(Image.new(mode, (161, 40)), "PNG"), limits)


@pytest.mark.parametrize(("side", "fails"), [(4000, False), (7000, True)])
def test_the_scans_of_a_large_jpeg_are_counted(side: int, fails: bool) -> None:
    body = encode(Image.new("RGB", (side, side), "grey"), "JPEG", progressive=True)
    if fails:
        with pytest.raises(TooLarge, match="scans"):
            read(body)
    else:
        assert read(body).shape == (2000, 2000)


@pytest.mark.parametrize("make", [png_of_size, bmp_of_size, tiff_of_size, jpeg_of_size])
@pytest.mark.parametrize("size", [(0, 0), (0, 28), (28, 0)])
def test_a_picture_without_pixels_is_malformed(
    make: Callable[[int, int], bytes], size: tuple[int, int]
) -> None:
    with pytest.raises(Malformed):
        read(make(*size))


def test_a_tile_larger_than_the_limits_is_refused() -> None:
    """libtiff takes memory for a whole tile, however small the picture."""
    tags = [(256, 28), (257, 28), (258, 8), (259, 5), (262, 1), (277, 1),
            (322, 30_000), (323, 30_000), (324, 8), (325, 99)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    body = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(200)
    with pytest.raises(TooLarge, match="30000x30000"):
        read(body)


def test_a_bomb_in_a_text_chunk_stays_bounded() -> None:
    whole = picture()
    bomb = chunk(b"zTXt", b"name\0\0" + zlib.compress(bytes(100_000_000), 9))
    tracemalloc.start()
    with suppress(Malformed):
        assert np.array_equal(read(whole[:33] + bomb + whole[33:]), digits()[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 << 20


def test_text_in_a_png_changes_nothing() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "drawn by hand")
    assert np.array_equal(read(picture(pnginfo=info)), digits()[0])


def test_a_picture_is_read_in_any_thread_at_once() -> None:
    bodies = [picture(kind, "RGB", n) for n in range(8) for kind in ("PNG", "BMP", "GIF")]
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(read, bodies * 5))
    for n, image in enumerate(images):
        assert np.array_equal(image, digits()[n % 24 // 3])


def test_nothing_of_a_picture_is_kept_open(recwarn: pytest.WarningsRecorder) -> None:
    read(picture())
    assert list(recwarn) == []
