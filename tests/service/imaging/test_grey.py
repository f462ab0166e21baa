"""Every mode of colour becomes grey, grey itself bit for bit, and transparency a background."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import Invalid
from service.imaging.load import open_picture
from tests.service.decode.samples import LIMITS, digits, encode


def read(body: bytes) -> NDArray[np.uint8]:
    """The pixels of a picture."""
    return open_picture(body, LIMITS).grey


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8(kind: str) -> None:
    wide = digits()[0].astype(np.uint16) * 257
    assert np.array_equal(read(encode(Image.fromarray(wide), kind)), digits()[0])
    dim = np.full((28, 28), 128, np.uint16)  # half a step of 257: rounds up from 128.5 on
    assert read(encode(Image.fromarray(dim), kind)).max() == 0
    assert read(encode(Image.fromarray(dim + 1), kind)).min() == 1


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_1_bit_is_black_and_white(kind: str) -> None:
    ink = digits()[0] > 127
    assert np.array_equal(read(encode(Image.fromarray(ink), kind)), ink * np.uint8(255))


@pytest.mark.parametrize(
    ("kind", "mode", "options", "most"),
    [
        ("PNG", "LA", {}, 1),
        ("PNG", "RGBA", {}, 1),
        ("WebP", "RGBA", {"lossless": True, "exact": True}, 1),
        ("WebP", "RGBA", {"exact": True}, 40),
    ],
)
def test_white_ink_on_transparency_gets_a_black_background(
    kind: str, mode: str, options: dict[str, Any], most: int
) -> None:
    ink = Image.new(mode, (28, 28), (255,) * (len(mode) - 1) + (0,))
    ink.putalpha(Image.fromarray(digits()[0]))
    grey = read(encode(ink, kind, **options)).astype(int)
    assert np.abs(grey - digits()[0]).max() <= most


def test_a_transparent_colour_of_a_palette_becomes_black() -> None:
    image = Image.fromarray(digits()[0]).convert("P")
    image.putpalette([255] * 768)
    grey = read(encode(image, "PNG", transparency=0))
    assert np.array_equal(grey > 0, np.asarray(image) > 0)


def test_colour_becomes_luma() -> None:
    for colour, grey in {"red": 76, "lime": 150, "blue": 29}.items():
        shown = read(encode(Image.new("RGB", (28, 28), colour), "PNG"))
        assert set(shown.ravel()) == {grey}


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "LA", "RGB", "RGBA"])
def test_bands_of_a_large_picture_are_reduced_like_the_whole(mode: str) -> None:
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (301, 4999), np.uint8))
    wide = Image.fromarray(np.asarray(noise).astype(np.uint16) * 257)
    image = wide if mode == "I;16" else noise.convert(mode)
    whole = noise if mode == "I;16" else image.convert("L") if mode in "1P" else image
    expected = np.asarray(whole.reduce(2).convert("L"))
    assert np.abs(read(encode(image, "PNG")).astype(int) - expected).max() <= 1


def test_32_bits_a_pixel_are_invalid() -> None:
    for mode in ("I", "F"):
        with pytest.raises(Invalid, match="32 bits a pixel"):
            read(encode(Image.new(mode, (28, 28)), "TIFF"))
