"""The rules by which one form is chosen among those that were measured."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.onnx_import import strangers
from training.onnx_import.answers import recognise, to_probabilities
from training.onnx_import.detect import Form, best_first, moved
from training.onnx_import.layouts import Layout
from training.onnx_import.options import SCALES, Answer
from training.onnx_import.pixels import Pixels

RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(0, 4, (50, 10))
SOFT = to_probabilities(LOGITS, "logits")


def form(
    scale: int, accuracy: float, losses: np.ndarray, answer: Answer = "logits", output: str = "y"
) -> Form:
    pixels = Pixels(SCALES[scale], inverted=False)
    layout = Layout((784,), None)
    mean = float(losses.mean())
    return Form(layout, pixels, output, answer, accuracy, mean, len(losses), losses)


def test_the_lowest_loss_is_taken_where_chance_may_have_parted_the_accuracies() -> None:
    losses = RANDOM.exponential(0.1, 2000)
    sure, right, poor = (
        form(0, 0.981, losses * 5),
        form(1, 0.979, losses),
        form(2, 0.95, losses / 5),
    )
    assert best_first([sure, right, poor], errors=2) == [right, sure]


def test_a_likelier_scale_is_taken_where_chance_may_have_parted_the_losses() -> None:
    losses = RANDOM.exponential(0.1, 2000)
    noise = RANDOM.normal(0, 0.05, 2000)
    noise -= noise.mean() - 0.001
    likely, rare = form(2, 0.97, losses + noise), form(5, 0.97, losses)
    assert likely.loss > rare.loss
    assert best_first([rare, likely], errors=2)[0] is likely
    better = form(5, 0.97, losses - 0.02)
    assert best_first([better, likely], errors=2)[0] is better


def test_of_outputs_that_say_the_same_the_probabilities_are_taken() -> None:
    losses = RANDOM.exponential(0.1, 2000)
    logits, ready = form(0, 0.97, losses), form(0, 0.97, losses + 1e-8, "probabilities", "p")
    assert best_first([logits, ready], errors=2)[0] is ready


def test_images_are_measured_where_the_model_has_not_seen_them() -> None:
    """Each is moved by one pixel, up, down, left or right; the others of its pixels stay."""
    images = strangers.dataset().train_images[:64]
    for before, after in zip(images, moved(images), strict=True):
        ways = [np.roll(before, step, axis) for axis in (0, 1) for step in (-1, 1)]
        assert any((after == way).all() for way in ways)
        assert (after != before).any()


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        (LOGITS, "logits"),
        (SOFT, "probabilities"),
        (SOFT.astype(np.float16), "probabilities"),
        (np.log(SOFT), "log-probabilities"),
        (np.log(SOFT).astype(np.float16), "log-probabilities"),
        (1 / (1 + np.exp(-LOGITS)), "scores"),
        (np.zeros((3, 10)), "scores"),
        (-np.abs(LOGITS), "logits"),
    ],
)
def test_the_form_of_an_answer_is_recognised_and_its_digits_are_kept(
    values: np.ndarray, answer: str
) -> None:
    found = recognise(values)
    assert found == answer
    probabilities = to_probabilities(values, found)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (probabilities.argmax(axis=1) == values.argmax(axis=1)).all()
