"""The rules that choose one form among those that were measured."""

from __future__ import annotations

import numpy as np

from tests.training.onnx_import import exported
from training.onnx_import.detect import best_of
from training.onnx_import.forms import Form, Input
from training.onnx_import.pipeline import samples


def form(accuracy: float, loss: float) -> Form:
    return Form(Input("flat", None), "y", "logits", accuracy, loss, 2000)


def test_the_lowest_loss_wins_where_chance_explains_the_difference_of_the_accuracies() -> None:
    sure, right, poor = form(0.981, 0.5), form(0.979, 0.1), form(0.95, 0.02)
    assert best_of([sure, right, poor]) is right


def test_of_forms_with_the_same_loss_the_first_wins() -> None:
    common, rare = form(0.97, 0.1001), form(0.97, 0.1)
    assert best_of([common, rare]) is common
    assert best_of([rare, common]) is rare


def test_each_image_that_is_measured_on_is_shifted_by_one_pixel() -> None:
    dataset = exported.dataset()
    known = {image.tobytes() for image in dataset.train_images}
    for image in samples(dataset)[0][::32]:
        assert image.tobytes() not in known
        assert {np.roll(image, step, axis=1).tobytes() for step in (-1, 1)} & known
