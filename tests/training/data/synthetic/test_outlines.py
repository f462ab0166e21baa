from __future__ import annotations

import numpy as np
import pytest

from training.data.synthetic import lines


def test_a_ring_holds_more_than_the_dot_or_the_slash_of_a_zero() -> None:
    """The middle of every picture has ink of more than one place."""
    pictures = lines.filled_outlines(200, np.random.default_rng(0))
    assert pictures.shape == (200, 28, 28)
    rows, columns = np.mgrid[:28, :28] - 13.5
    middle = np.hypot(rows, columns) < 6
    inked = (pictures > 40) & middle
    assert (inked.sum(axis=(1, 2)) >= 4).mean() > 0.95


@pytest.mark.parametrize("power", [2, 4])
def test_an_outline_goes_round_the_middle(power: float) -> None:
    points = lines.ring(power, np.random.default_rng(1))
    assert points.shape == (60, 2)
    assert (np.abs(points).max(axis=0) > 0.85).all()
    turned = np.unwrap(np.arctan2(points[:, 1], points[:, 0]))
    assert 5.5 < abs(turned[-1] - turned[0]) < 7
