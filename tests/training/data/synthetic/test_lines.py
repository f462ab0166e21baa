from __future__ import annotations

import numpy as np

from training.data.synthetic import lines

RANDOM = np.random.default_rng(0)


def test_scribbles_do_not_leave_the_field() -> None:
    """The rest of a scribble that is cut by the border could be a digit."""
    pictures = lines.scribbles(200, RANDOM)
    rim = np.ones((28, 28), bool)
    rim[1:-1, 1:-1] = False
    assert pictures[:, rim].max() < 64


def test_a_shape_has_three_to_five_corners_or_is_a_heart() -> None:
    triangle, rectangle, rhombus, pentagon, heart = (
        lines.shape(kind, np.random.default_rng(0)) for kind in lines.SHAPES
    )
    shapes = triangle, rectangle, rhombus, pentagon
    assert [len(corners) for corners in shapes] == [3, 4, 4, 5]
    for corners in (triangle, rectangle, pentagon):
        np.testing.assert_allclose(np.linalg.norm(corners, axis=1), 1)
    sides = np.linalg.norm(rectangle - np.roll(rectangle, 1, axis=0), axis=1)
    np.testing.assert_allclose(sides[:2], sides[2:])
    assert 0.45 < sides.min() / sides.max() <= 1
    assert np.abs(heart).max() < 1.5
