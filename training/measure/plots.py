"""Draws a card's figures as PNG files: the learning curves and the mistakes.

Each function needs no display, and writes equal bytes for equal figures.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from service.types import Images

TRAINING, VALIDATION = "#4878a8", "#c44e30"
COLUMNS = 5
MOST_MISTAKES = 20


def draw(card: Mapping[str, Any], test_images: Images, folder: Path) -> None:
    """Draws the figures of a trained version's card into ``folder``."""
    training, test = card["training"], card["test"]
    training_curve(training["epochs"], training["kept"], folder / "training_curve.png")
    confusion_matrix(test["confusion_matrix"], folder / "confusion_matrix.png")
    worst_mistakes(test["mistakes"], test_images, folder / "worst_mistakes.png")


def training_curve(
    epochs: Sequence[Mapping[str, Any]], kept: Sequence[Mapping[str, float]], path: Path
) -> None:
    """Draws loss and error by epoch, in training and validation, and marks the kept epochs."""
    figure = _figure(8, 3.2)
    loss, error = figure.subplots(1, 2)
    _curves(loss, epochs, "loss", lambda value: value)
    _curves(error, epochs, "accuracy", lambda value: 100 * (1 - value))
    loss.set_title("loss", loc="left")
    error.set_title("images wrong, %", loc="left")
    error.legend(frameon=False)
    for axes in (loss, error):
        for each in kept:
            axes.axvline(each["epoch"], color="black", linewidth=0.8, linestyle=":")
        axes.set_xlabel("epoch")
    _save(figure, path)


def confusion_matrix(matrix: Sequence[Sequence[int]], path: Path) -> None:
    """Draws how often the model took each digit (rows) for each (columns); colours mistakes."""
    counts = np.asarray(matrix)
    mistakes = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    figure = _figure(6, 5.6)
    axes = figure.subplots()
    most = max(int(mistakes.max()), 10)
    # The square root keeps single mistakes visible beside the most frequent ones.
    axes.imshow(mistakes, cmap="OrRd", norm=PowerNorm(0.5, 0, most))
    for (label, digit), count in np.ndenumerate(counts):
        if count:
            color = "white" if label != digit and count > 0.6 * most else "black"
            axes.text(digit, label, str(count), ha="center", va="center", color=color, fontsize=8)
    digits = range(len(counts))
    axes.set(xticks=digits, yticks=digits, xlabel="read as", ylabel="true digit")
    axes.tick_params(length=0)
    axes.set_title(f"{int(mistakes.sum())} of {int(counts.sum())} images wrong", loc="left")
    _save(figure, path)


def worst_mistakes(mistakes: Sequence[Mapping[str, Any]], images: Images, path: Path) -> None:
    """Draws the most confident mistakes in ``images`` (n, 28, 28), with both digits."""
    shown = mistakes[:MOST_MISTAKES]
    rows = max(1, -(-len(shown) // COLUMNS))
    figure = _figure(7, 0.5 + 1.7 * rows)
    figure.suptitle("the most confident mistakes" if shown else "no mistakes")
    grid: Any = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, mistake in zip(grid.flat, shown, strict=False):
        axes.imshow(images[mistake["index"]], cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(
            f"read as {mistake['digit']}, is a {mistake['label']}\n"
            f"{mistake['confidence']:.1%}, image {mistake['index']}",
            fontsize=8,
        )
    _save(figure, path)


def _curves(axes: Axes, epochs: Sequence[Mapping[str, Any]], name: str, scale: Any) -> None:
    numbers = range(1, len(epochs) + 1)
    for key, label, color in (
        (name, "training", TRAINING),
        (f"validation_{name}", "validation", VALIDATION),
    ):
        values = [epoch.get(key) for epoch in epochs]
        if any(value is not None for value in values):
            # A logarithmic axis has no 0: the curve has a gap there.
            points = [np.nan if value is None else scale(value) or np.nan for value in values]
            axes.plot(numbers, points, color=color, label=label, marker=".", linewidth=1.2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)


def _figure(width_inches: float, height_inches: float) -> Figure:
    return Figure((width_inches, height_inches), dpi=100, layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    # Without the version of matplotlib, which would change the bytes.
    figure.savefig(path, format="png", metadata={"Software": None}, pil_kwargs={"optimize": True})
