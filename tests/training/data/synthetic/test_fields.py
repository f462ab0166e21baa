from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from service.types import Images
from training.data.synthetic import fields


@pytest.mark.parametrize("draw", [fields.textures, fields.noise, fields.flat])
def test_a_field_has_no_middle_and_is_of_many_levels(
    draw: Callable[[int, np.random.Generator], Images],
) -> None:
    pictures = draw(400, np.random.default_rng(0)).astype(float)
    middle, whole = pictures[:, 7:21, 7:21].mean(axis=(1, 2)), pictures.mean(axis=(1, 2))
    assert abs(middle.mean() - whole.mean()) < 6
    assert whole.std() > 20
