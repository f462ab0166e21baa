"""The first frame of a WebP file, as Pillow's own reader gives it."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import Malformed
from service.imaging.load import open_picture
from tests.service.decode.samples import LIMITS, digits, encode


def read(body: bytes) -> NDArray[np.uint8]:
    """The pixels of a picture."""
    return open_picture(body, LIMITS).grey


def as_pillow_reads(body: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB").convert("L"))


@pytest.mark.parametrize("lossless", [True, False])
def test_colour_in_a_webp_is_read_as_pillow_reads_it(lossless: bool) -> None:
    colours = np.random.default_rng(3).integers(0, 256, (50, 71, 3)).astype(np.uint8)
    body = encode(Image.fromarray(colours), "WebP", lossless=lossless)
    assert np.array_equal(read(body), as_pillow_reads(body))


@pytest.mark.parametrize("lossless", [True, False])
def test_the_transparent_in_a_webp_shows_the_black_background(lossless: bool) -> None:
    ink = Image.new("RGBA", (28, 28), (255, 255, 255, 0))
    ink.putalpha(Image.fromarray(digits()[0]))
    grey = read(encode(ink, "WebP", lossless=lossless, exact=True)).astype(int)
    assert np.abs(grey - digits()[0]).mean() < 2


def webp_with_frame(corner: tuple[int, int], frame: bytes, duration: bytes = bytes(4)) -> bytes:
    """An animation of 28x28 with one frame, of 8x8."""
    at = b"".join((side // 2).to_bytes(3, "little") for side in corner)
    data = at + (b"\7\0\0" * 2) + duration + frame[12:]
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + b"\x1b\0\0" * 2
    chunks += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    chunks += b"ANMF" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def test_the_first_frame_of_a_webp_lies_where_it_lies() -> None:
    frame = encode(Image.new("RGB", (8, 8), "white"), "WebP", lossless=True)
    expected = np.zeros((28, 28), np.uint8)
    expected[6:14, 10:18] = 255
    assert np.array_equal(read(webp_with_frame((10, 6), frame)), expected)
    with pytest.raises(Malformed, match="not within it"):
        read(webp_with_frame((22, 6), frame))
