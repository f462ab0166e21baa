"""What a caller is shown of what the model saw."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from service.imaging.pipeline import Seen
from service.imaging.preview import png, shown
from tests.service.decode.samples import digits


def opened(told: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(told["png"], validate=True)))


def test_the_png_is_the_image_bit_for_bit() -> None:
    for image in (digits()[0], digits()[1][::-1], np.zeros((28, 28), np.uint8)):
        file = Image.open(io.BytesIO(png(image)))
        assert (file.format, file.mode, file.size) == ("PNG", "L", (28, 28))
        assert np.array_equal(np.asarray(file), image)


def test_an_array_is_as_given_and_has_no_box() -> None:
    told = shown(digits()[:2], None)
    assert [(one["polarity"], one["box"]) for one in told] == [("as given", None)] * 2
    assert np.array_equal(np.asarray(opened(told[1])), digits()[1])


def test_a_picture_tells_its_box_and_polarity() -> None:
    seen = [Seen(digits()[0], "dark on light", (5, 6, 70, 80))]
    told = shown(digits()[:1], seen)[0]
    assert (told["polarity"], told["box"]) == ("dark on light", [5, 6, 70, 80])


def test_the_stroke_s_width_is_in_pixels_of_the_image() -> None:
    bars = np.zeros((3, 28, 28), np.uint8)
    bars[0, 4:24, 13:15] = 255
    bars[1, 4:24, 11:17] = 255
    thin, thick, none = (one["stroke_width"] for one in shown(bars, None))
    assert 2 < thin < 2.5
    assert 5 < thick < 7
    assert none == 0
