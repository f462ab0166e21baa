"""The pictures beside a card are small, the same for the same figures, and bear odd runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.plots import confusion_matrix, training_curve, worst_mistakes

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)


def epoch(loss: float, validation: float | None = 0.1) -> dict[str, Any]:
    accuracy = None if validation is None else 1 - validation
    return {
        "loss": loss,
        "accuracy": 1 - loss,
        "validation_loss": validation,
        "validation_accuracy": accuracy,
    }


def mistakes(count: int) -> list[dict[str, Any]]:
    return [{"index": i, "label": 4, "digit": 9, "confidence": 0.9} for i in range(count)]


DRAWINGS: dict[str, Callable[[Path], None]] = {
    "ten epochs": lambda p: training_curve([epoch(0.5 / n) for n in range(1, 11)], 8, p),
    "one epoch": lambda p: training_curve([epoch(0.5)], 1, p),
    "nothing held out": lambda p: training_curve([epoch(0.5, None), epoch(0.4, None)], 2, p),
    "nothing wrong": lambda p: training_curve([epoch(0.0, 0.0), epoch(0.0, 0.0)], 2, p),
    "confusions": lambda p: confusion_matrix((np.eye(10, dtype=int) * 90 + 1).tolist(), p),
    "no confusions": lambda p: confusion_matrix((np.eye(10, dtype=int) * 90).tolist(), p),
    "an empty set": lambda p: confusion_matrix(np.zeros((10, 10), int).tolist(), p),
    "twenty mistakes": lambda p: worst_mistakes(mistakes(20), IMAGES, p),
    "three mistakes": lambda p: worst_mistakes(mistakes(3), IMAGES, p),
    "no mistakes": lambda p: worst_mistakes([], IMAGES, p),
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


def test_other_figures_give_another_drawing(tmp_path: Path) -> None:
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    confusion_matrix((np.eye(10, dtype=int) * 90).tolist(), first)
    confusion_matrix((np.eye(10, dtype=int) * 90 + 1).tolist(), second)
    assert first.read_bytes() != second.read_bytes()


def test_drawing_needs_no_display_and_leaves_matplotlibs_global_state_alone() -> None:
    code = "import sys, training.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
