"""Picture files to grey pixels: lossless grey bit for bit, and hostile files within bounds."""

from __future__ import annotations

import io
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from service.errors import Malformed, TooLarge, UnsupportedType
from service.imaging.load import open_picture
from service.types import Limits
from tests.service.decode.samples import LIMITS, digits, encode, picture
from tests.service.imaging.files import (
    bmp_of_size,
    gif_of_size,
    jpeg_of_size,
    png_of_size,
    tiff_of_pixels,
    tiff_of_size,
    webp_of_size,
)

# The service ignores Pillow's warnings; pytest would turn them into errors.
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
def test_lossless_grey_is_decoded_bit_for_bit(
    kind: str, options: dict[str, Any], mode: str
) -> None:
    if kind == "WebP" and mode == "L":
        mode = "RGB"  # WebP has no grey
    for index in (0, 1, 77):
        grey = read(picture(kind, mode, index, **options))
        assert grey.dtype == np.uint8
        assert np.array_equal(grey, digits()[index])


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("WebP", "RGB")]
)
def test_lossy_pictures_come_close(kind: str, mode: str) -> None:
    grey = read(picture(kind, mode, quality=95)).astype(int)
    assert np.abs(grey - digits()[0]).mean() < 4


def test_values_0_and_1_are_not_scaled() -> None:
    faint = (digits()[0] > 127).astype(np.uint8)
    assert np.array_equal(read(encode(Image.fromarray(faint), "PNG")), faint)


@pytest.mark.parametrize("kind", ["GIF", "WebP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind: str) -> None:
    frames = [Image.fromarray(digits()[index]).convert("RGB") for index in range(3)]
    options = {"lossless": True} if kind == "WebP" else {}
    body = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(read(body), digits()[0])


def test_the_first_frame_of_a_webp_is_placed_on_its_canvas() -> None:
    expected = np.zeros((28, 28), np.uint8)
    expected[6:14, 10:18] = 255
    assert np.array_equal(read(webp_of_size(28, 28, (10, 6))), expected)
    with pytest.raises(Malformed):
        read(webp_of_size(28, 28, (22, 6)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "TIFF"])
def test_the_exif_orientation_is_applied(kind: str) -> None:
    image = Image.fromarray(digits()[0][:, :21]).convert("RGB")
    options = {"lossless": True} if kind == "WebP" else {"quality": 100}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        body = encode(image, kind, exif=exif, **options)
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(body)))
        opened = open_picture(body, LIMITS)
        assert opened.original == opened.grey.shape[::-1] == upright.size
        difference = opened.grey.astype(int) - np.asarray(upright.convert("L"))
        assert np.abs(difference).max() <= (kind == "JPEG")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
        (b"\0\0\0\x1cftypavif" + bytes(50), "AVIF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_the_message_names_an_unsupported_format_and_the_supported_ones(
    body: bytes, kind: str
) -> None:
    with pytest.raises(UnsupportedType, match=f"{kind} pictures are not supported; send PNG, JPEG"):
        read(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *((body, "not a picture: its first bytes") for body in (b"x", b"\x89PNG", bytes(784))),
        (b"P5 28 28 255\n" + bytes(784), "not a picture: its first bytes"),
        (b"", "empty"),
        (picture()[:-1], "cut short or has data after its end"),
        (picture()[:-12], "cut short or has data after its end"),
        (picture() + b"PK\3\4 polyglot", "cut short or has data after its end"),
        (picture()[:45] + bytes((picture()[45] ^ 1,)) + picture()[46:], "the PNG picture is dam"),
        *(
            (make(*size), "no pixels|damaged")
            for make in (png_of_size, bmp_of_size, tiff_of_size, jpeg_of_size)
            for size in ((0, 0), (0, 28), (28, 0))
        ),
    ],
)
def test_other_bytes_and_damaged_pictures_are_malformed(body: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        read(body)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_a_truncated_picture_is_malformed(kind: str, part: float) -> None:
    whole = picture(kind, "RGB")
    with pytest.raises(Malformed, match=f"the {kind} picture is"):
        read(whole[: max(14, int(len(whole) * part))])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("lost", [1, 100])
def test_a_tiff_without_its_last_bytes_is_malformed(compression: str, lost: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8)
    whole = encode(Image.fromarray(noise), "TIFF", compression=compression)
    assert read(whole).shape == (200, 300)
    with pytest.raises(Malformed, match="cut short"):
        read(whole[:-lost])


@pytest.mark.parametrize(
    ("make", "size"),
    [
        *((png_of_size, size) for size in ((16_000, 16_000), (16_385, 28), (28, 20_000))),
        *((make, (16_000, 16_000)) for make in (jpeg_of_size, webp_of_size)),
        *((make, (5000, 4000)) for make in (bmp_of_size, gif_of_size, tiff_of_size, webp_of_size)),
    ],
)
def test_a_large_size_in_the_header_is_rejected_before_anything_is_decoded(
    make: Callable[[int, int], bytes], size: tuple[int, int]
) -> None:
    body = make(*size)
    start = time.thread_time()
    tracemalloc.start()
    with pytest.raises(TooLarge, match=f"the picture is ({size[0]}x{size[1]}|too large); at most"):
        read(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    assert time.thread_time() - start < 0.1


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "LA", "RGB", "RGBA"])
def test_the_limits_are_settings_and_the_same_for_every_mode(mode: str) -> None:
    body = encode(Image.new(mode, (160, 40)), "PNG")
    assert read(body, Limits(picture_pixels=6400, picture_side=160)).shape == (40, 160)
    for limits in (Limits(picture_pixels=6399), Limits(picture_side=159)):
        with pytest.raises(TooLarge, match="at most"):
            read(body, limits)


def test_the_scans_of_a_large_jpeg_are_counted() -> None:
    small, large = (Image.new("RGB", (side, side), "grey") for side in (4000, 7000))
    assert read(encode(small, "JPEG", progressive=True)).shape == (2000, 2000)
    with pytest.raises(TooLarge, match="scans"):
        read(encode(large, "JPEG", progressive=True))


def test_a_tile_larger_than_the_limits_is_rejected() -> None:
    """libtiff allocates a whole tile, however small the picture is."""
    with pytest.raises(TooLarge, match="30000x30000"):
        read(tiff_of_pixels((322, 4, 1, 30_000), (323, 4, 1, 30_000)))


def test_pictures_are_decoded_on_several_threads_at_once() -> None:
    bodies = [picture(kind, "RGB", n) for n in range(8) for kind in ("PNG", "BMP", "GIF")]
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(read, bodies * 5))
    for n, image in enumerate(images):
        assert np.array_equal(image, digits()[n % 24 // 3])


def test_no_file_of_a_picture_stays_open(recwarn: pytest.WarningsRecorder) -> None:
    read(picture())
    assert list(recwarn) == []
