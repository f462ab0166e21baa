"""MNIST's test digits, and models to explain them with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from service.api.evaluate import mnist_test
from service.reasons.training_images import TrainingImages
from service.types import Images, Labels

DATA = Path(__file__).parents[3] / "training/mnist"


@cache
def labelled() -> tuple[Images, Labels]:
    return mnist_test(DATA)


def digits(count: int, first: int = 0) -> Images:
    """Some images of MNIST's test set, (count, 28, 28)."""
    return labelled()[0][first : first + count]


@cache
def training_images() -> TrainingImages:
    return TrainingImages.load(DATA)
