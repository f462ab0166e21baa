"""Sheets and frames are no strokes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from service.imaging.components import connected_components
from service.imaging.frames import frame_components
from service.imaging.load import open_picture
from service.imaging.pipeline import Seen, preprocess
from tests.corpus.digits import mnist
from tests.service.decode.samples import LIMITS, encode


def seen_in(image: Image.Image) -> Seen:
    return preprocess(open_picture(encode(image, "PNG"), LIMITS))


def form(count: int, filled: int | None) -> Image.Image:
    """Boxes side by side, dark on light, one of them with a digit."""
    image = Image.new("L", (20 + 110 * count, 140), 245)
    pen = ImageDraw.Draw(image)
    for left in range(20, 20 + 110 * count, 110):
        pen.rectangle((left, 20, left + 90, 120), outline=90, width=3)
    if filled is not None:
        ink = Image.fromarray((mnist(1, seed=7)[0].ink * 255).astype(np.uint8))
        ink.thumbnail((60, 60))
        image.paste(20, (35 + 110 * filled, 38), ink)
    return image


@pytest.mark.parametrize(("count", "filled"), [(1, 0), (2, 1), (5, 0), (5, 3)])
def test_a_digit_in_a_box_of_a_form_is_found(count: int, filled: int) -> None:
    seen = seen_in(form(count, filled))
    assert seen.box is not None
    left, top, width, height = seen.box
    assert 30 + 110 * filled < left < left + width < 105 + 110 * filled
    assert 30 < top < top + height < 110
    assert seen.doubts == ()


@pytest.mark.parametrize("is_light", [False, True])
@pytest.mark.parametrize("index", range(5))
def test_a_blurred_digit_is_found_within_a_sharp_frame(index: int, is_light: bool) -> None:
    """The frame is bolder, larger and sharper than the digit, and so is the empty area inside."""
    ink = Image.fromarray((mnist(5, seed=3)[index].ink * 255).astype(np.uint8))
    ink.thumbnail((110, 110))
    image = Image.new("L", (400, 300))
    image.paste(ink, (140, 90))
    image = image.filter(ImageFilter.GaussianBlur(8))
    ImageDraw.Draw(image).rectangle((5, 5, 394, 294), outline=255, width=10)
    seen = seen_in(image if is_light else Image.fromarray(255 - np.asarray(image)))
    assert seen.polarity == ("light on dark" if is_light else "dark on light")
    assert seen.box is not None
    left, top, width, height = seen.box
    assert 110 < left < left + width < 280
    assert 60 < top < top + height < 230
    assert "not a digit" not in seen.doubts


def test_an_empty_box_is_no_digit() -> None:
    assert "not a digit" in seen_in(form(1, None)).doubts


@pytest.mark.parametrize("angle", [0, 5, 30])
@pytest.mark.parametrize("width", [2, 12])
def test_a_turned_frame_is_a_frame(angle: int, width: int) -> None:
    image = Image.new("L", (300, 300))
    ImageDraw.Draw(image).rectangle((80, 60, 220, 240), outline=255, width=width)
    components = connected_components(np.asarray(image.rotate(angle)) > 127)
    assert frame_components(components).tolist() == [True]


@pytest.mark.parametrize("thinner", [1, 9])
def test_no_training_digit_is_a_frame(thinner: int) -> None:
    for shape in mnist(60, seed=5, subset="train"):
        bold = Image.fromarray((shape.ink * 255).astype(np.uint8))
        ink = np.asarray(bold.filter(ImageFilter.MinFilter(thinner)))
        assert not frame_components(connected_components(np.pad(ink > 127, 20))).any()


@pytest.mark.parametrize("sign", ["?", "!", "i"])
def test_a_stroke_with_a_dot_is_doubted(sign: str) -> None:
    image = Image.new("L", (200, 260), 240)
    ImageDraw.Draw(image).text((70, 30), sign, 20, ImageFont.load_default(180.0))
    assert "several digits" in seen_in(image).doubts


def test_dirt_below_a_digit_is_no_dot() -> None:
    image = Image.new("L", (200, 260), 240)
    pen = ImageDraw.Draw(image)
    pen.line([(60, 40), (140, 40), (90, 180)], 20, 14, joint="curve")
    pen.ellipse((96, 200, 101, 205), 20)
    assert seen_in(image).doubts == ()
