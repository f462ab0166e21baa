"""What a caller gets to see of the model's input."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from service.decode.pictures import render_previews
from service.imaging.components import Box
from service.imaging.load import encode_png
from service.imaging.pipeline import Seen
from tests.service.decode.samples import digits


def test_the_png_is_the_image_bit_for_bit() -> None:
    for image in (digits()[0], digits()[1][::-1], np.zeros((28, 28), np.uint8)):
        file = Image.open(io.BytesIO(encode_png(image)))
        assert (file.format, file.mode, file.size) == ("PNG", "L", (28, 28))
        assert np.array_equal(np.asarray(file), image)


def test_a_picture_has_a_box_and_a_polarity_but_an_array_has_no_box() -> None:
    found = render_previews(digits()[:2], None)
    found += render_previews(digits()[:1], [Seen(digits()[0], "dark on light", Box(5, 6, 70, 80))])
    ends = [("as given", None), ("as given", None), ("dark on light", [5, 6, 70, 80])]
    assert [(one["polarity"], one["box"]) for one in found] == ends
    png = base64.b64decode(found[1]["png"], validate=True)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), digits()[1])


def test_the_stroke_width_is_in_pixels_of_the_image() -> None:
    bars = np.zeros((3, 28, 28), np.uint8)
    bars[0, 4:24, 13:15] = bars[1, 4:24, 11:17] = 255
    thin, thick, none = (one["stroke_width"] for one in render_previews(bars, None))
    assert 2 < thin < 2.5
    assert 5 < thick < 7
    assert none == 0
