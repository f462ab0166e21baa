"""The rules that choose one form among those that were measured."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.onnx_import import exported
from training.onnx_import.detect import Form, best_first, shifted
from training.onnx_import.formats import Pixels, Shape, recognise, to_probabilities
from training.onnx_import.options import LIGHT, SCALES, Answer

RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(0, 4, (50, 10))
SOFT = to_probabilities(LOGITS, "logits")


def form(scale: int, accuracy: float, losses: np.ndarray, answer: Answer = "logits") -> Form:
    return Form(Shape("flat", None), Pixels(SCALES[scale], LIGHT), "y", answer, accuracy, losses)


def test_the_lowest_loss_wins_where_chance_explains_the_difference_of_the_accuracies() -> None:
    losses = RANDOM.exponential(0.1, 2000)
    sure, right = form(0, 0.981, losses * 5), form(1, 0.979, losses)
    poor = form(2, 0.95, losses / 5)
    assert best_first([sure, right, poor], errors=2) == [right, sure]


def test_a_more_common_scale_wins_where_chance_explains_the_difference_of_the_losses() -> None:
    losses = RANDOM.exponential(0.1, 2000)
    noise = RANDOM.normal(0, 0.05, 2000)
    noise -= noise.mean() - 0.001
    common, rare = form(2, 0.97, losses + noise), form(5, 0.97, losses)
    assert common.loss > rare.loss
    assert best_first([rare, common], errors=2)[0] is common
    better = form(5, 0.97, losses - 0.02)
    assert best_first([better, common], errors=2)[0] is better


def test_each_image_is_shifted_by_one_pixel() -> None:
    images = exported.dataset().train_images[:64]
    for before, after in zip(images, shifted(images), strict=True):
        ways = [np.roll(before, step, axis) for axis in (0, 1) for step in (-1, 1)]
        assert any((after == way).all() for way in ways)
        assert (after != before).any()


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        (LOGITS, "logits"),
        (SOFT, "probabilities"),
        (SOFT.round(3), "probabilities"),
        (np.log(SOFT), "log-probabilities"),
        (1 / (1 + np.exp(-LOGITS)), "scores"),
        (np.zeros((3, 10)), "scores"),
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
