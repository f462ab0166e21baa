"""What a model expects: the numbers of each scale, and the meaning of outputs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.onnx_import import exported
from training.onnx_import.forms import (
    DARK,
    INKS,
    LIGHT,
    Input,
    recognise,
    scale_of,
    to_probabilities,
)

IMAGES = exported.dataset().test_images[:5].copy()
IMAGES[3], IMAGES[4] = 0, 255
RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(0, 4, (50, 10))
SOFT = to_probabilities(LOGITS, "logits")


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("0..1", 0, 1),
        ("0..255", 0, 255),
        ("standardised", -0.4242, 2.8215),
        ("-1..1", -1, 1),
        ("-0.5..0.5", -0.5, 0.5),
        ("0.5,0.25", -2, 2),
    ],
)
def test_a_scale_brings_black_and_white_to_the_ends_of_its_range(
    name: str, lowest: float, highest: float
) -> None:
    light, dark = (Input("rows", None, name, ink).array(IMAGES) for ink in (LIGHT, DARK))
    assert (light[3].max(), light[4].min()) == pytest.approx((lowest, highest), abs=1e-4)
    np.testing.assert_allclose(dark[[3, 4]], light[[4, 3]], atol=1e-6)


@pytest.mark.parametrize("ink", INKS)
def test_whole_pixels_stay_whole(ink: str) -> None:
    pixels = Input("rows", None, "0..255", ink).array(IMAGES)
    assert (pixels == (IMAGES if ink == LIGHT else 255 - IMAGES)).all()


@pytest.mark.parametrize("text", ["bright", "1", "1,2,3", "nan,1", "0,0", "0,-1", "0,inf", ""])
def test_a_text_that_is_no_scale_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        scale_of(text)


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        (LOGITS, "logits"),
        (SOFT, "probabilities"),
        (SOFT.round(3), "probabilities"),
        (np.log(SOFT), "logits"),
        (1 / (1 + np.exp(-LOGITS)), "probabilities"),
        (np.zeros((3, 10)), "probabilities"),
        (-np.abs(LOGITS), "logits"),
    ],
)
def test_the_meaning_of_an_output_is_recognised_and_its_digits_stay(
    values: np.ndarray, answer: str
) -> None:
    found = recognise(values)
    assert found == answer
    probabilities = to_probabilities(values, found)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (probabilities.argmax(axis=1) == values.argmax(axis=1)).all()
