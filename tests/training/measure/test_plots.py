from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.measure import plots

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)


def epoch(loss: float, validation: float | None = 0.1) -> dict[str, Any]:
    accuracy = None if validation is None else 1 - validation
    held_out = {"validation_loss": validation, "validation_accuracy": accuracy}
    return {"loss": loss, "accuracy": 1 - loss, **held_out}


def kept(*epochs: int) -> list[dict[str, float]]:
    return [{"epoch": each, "share": 1 / len(epochs)} for each in epochs]


def mistakes(count: int) -> list[dict[str, Any]]:
    return [{"index": i, "label": 4, "digit": 9, "confidence": 0.9} for i in range(count)]


DRAWINGS: dict[str, Callable[[Path], None]] = {
    "ten epochs": lambda p: plots.training_curve(
        [epoch(0.5 / n) for n in range(1, 11)], kept(8), p
    ),
    "one epoch": lambda p: plots.training_curve([epoch(0.5)], kept(1), p),
    "nothing held out": lambda p: plots.training_curve([epoch(0.5, None)] * 2, kept(1, 2), p),
    "nothing wrong": lambda p: plots.training_curve([epoch(0.0, 0.0), epoch(0.0, 0.0)], kept(2), p),
    "confusions": lambda p: plots.confusion_matrix((np.eye(10, dtype=int) * 90 + 1).tolist(), p),
    "no confusions": lambda p: plots.confusion_matrix((np.eye(10, dtype=int) * 90).tolist(), p),
    "an empty set": lambda p: plots.confusion_matrix(np.zeros((10, 10), int).tolist(), p),
    "twenty mistakes": lambda p: plots.worst_mistakes(mistakes(20), IMAGES, p),
    "three mistakes": lambda p: plots.worst_mistakes(mistakes(3), IMAGES, p),
    "no mistakes": lambda p: plots.worst_mistakes([], IMAGES, p),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_a_small_png_and_the_same_each_time(name: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    DRAWINGS[name](first)
    DRAWINGS[name](second)
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 100_000
    with Image.open(first) as picture:
        assert picture.format == "PNG"
        assert 300 <= picture.width <= 1000
        assert len(picture.convert("L").getcolors() or []) > 2  # something is drawn


def test_drawing_needs_no_display_and_leaves_matplotlibs_global_state_alone() -> None:
    code = "import sys, training.measure.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=True)
