from __future__ import annotations

import numpy as np

from tests.training.digits import few
from training.measure.robustness import non_digits

DIGITS = few(40).train_images
RANDOM = np.random.default_rng(0)


def test_a_doodle_is_filled_or_hatched_inside_its_curve() -> None:
    hatched, filled = (non_digits.doodles(40, RANDOM)[half::2] for half in (0, 1))
    assert filled.mean() > hatched.mean()
    for doodle in (*hatched, *filled):
        assert doodle[10:18, 10:18].max() > 127
        assert doodle[0].max() == doodle[:, 0].max() == 0
