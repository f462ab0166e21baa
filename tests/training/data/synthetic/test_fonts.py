from __future__ import annotations

import string

import numpy as np
import pytest
from PIL import Image

from training.data.synthetic import fonts


@pytest.mark.parametrize("size", [(80, 10), (10, 80), (1, 1), (40, 40)])
def test_the_normal_form_is_20_pixels_about_the_centre_of_mass(size: tuple[int, int]) -> None:
    picture = Image.new("L", (200, 200))
    picture.paste(255, (30, 90, 30 + size[0], 90 + size[1]))
    field = fonts.normal_form(picture)
    rows, columns = np.nonzero(field)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for places in (rows, columns):
        assert places.mean() == pytest.approx(13.5, abs=0.51)


def test_letters_are_the_alphabet_but_what_is_written_like_a_digit() -> None:
    letters = set(fonts.LETTERS) & set(string.ascii_letters)
    assert not letters & set(fonts.LOOK_ALIKES)
    assert letters | set(fonts.LOOK_ALIKES) == set(string.ascii_letters)
