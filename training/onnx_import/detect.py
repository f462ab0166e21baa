"""Detects what a model expects, by running it on labelled images in every likely form.

Accuracy alone does not tell the scales apart: many networks classify digits that are ten times too
bright as well as before, but with wrong probabilities. Where chance explains the difference between
accuracies, the lowest cross-entropy decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.answer.scores import DIGITS, SMALLEST_PROBABILITY
from service.types import Images, Labels
from training.errors import TrainingError
from training.onnx_import.formats import Original, Pixels, Shape, recognise, to_probabilities
from training.onnx_import.options import INKS, LIGHT, RAW, SCALES, Answer, Options, scale_of
from training.onnx_import.read import printable

# No form fits a model that classifies fewer digits than this right.
LEAST_ACCURACY = 0.5
# The number of images for every form, and for the forms that may be the best.
FIRST, SECOND = 256, 2048
# Two ways to compute one loss in float32 differ by less.
SAME_LOSS = 1e-4
# Replaces infinity, and fits into float32.
LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Form:
    """One way to use a model, its accuracy, and the cross-entropy of each image."""

    shape: Shape
    pixels: Pixels
    output: str
    answer: Answer
    accuracy: float
    losses: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def loss(self) -> float:
        """The mean cross-entropy."""
        return float(self.losses.mean())

    def as_dict(self) -> dict[str, Any]:
        """Returns the part of the card that describes this form."""
        return {
            "layout": str(self.shape),
            "scale": self.pixels.scale.name,
            "ink": self.pixels.ink,
            "output": printable(self.output),
            "answer": self.answer,
            "accuracy": self.accuracy,
            "loss": self.loss,
            "images": len(self.losses),
        }


def detect(
    original: Original,
    shapes: Sequence[Shape],
    images: Images,
    labels: Labels,
    *,
    options: Options,
    progress: Callable[[float], None],
) -> list[Form]:
    """Measures every form of input and output; returns the best one first, then by accuracy.

    Raises :class:`TrainingError` if it does not run or is right on too few images.
    """
    scales = [scale_of(options.scale)] if options.scale else list(SCALES)
    if np.issubdtype(original.dtype, np.integer):
        scales = [scale for scale in scales if scale == RAW]
    if not scales:
        raise TrainingError(f"its input is {original.dtype}; the only scale is --scale {RAW.name}")
    inks = [ink for ink in INKS if options.ink in (None, ink)]
    inputs = [
        (shape, Pixels(scale, ink))
        for shape, scale, ink in product(running(original, shapes), scales, inks)
    ]

    def measured(inputs: Sequence[tuple[Shape, Pixels]], count: int, before: float) -> list[Form]:
        found: list[Form] = []
        for index, (shape, pixels) in enumerate(inputs):
            outputs = original.run(images[:count], pixels, shape)
            found += [
                Form(shape, pixels, name, *_measure(values, options.answer, labels[:count]))
                for name, values in outputs.items()
                if values.shape[1] == DIGITS
            ]
            progress(before + (index + 1) / len(inputs) / 2)
        if not found:
            raise TrainingError(f"it returns {DIGITS} numbers an image for some batch sizes only")
        return found

    forms = measured(inputs, FIRST, before=0)
    kept = list(dict.fromkeys((form.shape, form.pixels) for form in best_first(forms, errors=4)))
    better = measured(kept, SECOND, before=0.5)
    best = best_first(better, errors=2)[0]
    if best.accuracy < LEAST_ACCURACY:
        raise TrainingError(
            f"it classifies {best.accuracy:.1%} of {len(best.losses)} images right at best "
            f"({best.shape}, {best.pixels.scale.name}, {best.pixels.ink}); if its pixels have "
            "another scale, set --scale MEAN,DEVIATION"
        )
    others = [form for form in forms if (form.shape, form.pixels) not in kept]
    others += [form for form in better if form is not best]
    return [best, *sorted(others, key=lambda form: -form.accuracy)]


def best_first(forms: Sequence[Form], errors: float) -> list[Form]:
    """Returns the forms that are as accurate as the best one but for chance, the one to use first.

    Chance explains ``errors`` standard errors. First comes the lowest loss, or the most common
    scale whose loss is not significantly larger ("per image" is close to "standardised").
    """
    best = max(forms, key=lambda form: form.accuracy)
    noise = errors * float(np.sqrt(best.accuracy * (1 - best.accuracy) / len(best.losses)))
    close = [form for form in forms if form.accuracy >= best.accuracy - noise]
    lowest = min(close, key=lambda form: form.loss)

    def rank(form: Form) -> tuple[bool, int, bool, float]:
        difference = form.losses - lowest.losses
        by_chance = 2 * difference.std() / np.sqrt(len(difference)) + SAME_LOSS
        scale = form.pixels.scale
        order = SCALES.index(scale) if scale in SCALES else 0
        converted = form.answer != "probabilities"
        return bool(difference.mean() > by_chance), order, converted, form.loss

    return sorted(close, key=rank)


def shifted(images: Images, seed: int = 0) -> Images:
    """Returns the images (n, 28, 28), each shifted by one pixel in a random direction.

    On images that the model has memorised, the loss would prefer the most confident scale.
    """
    choices = np.random.default_rng(seed).integers(0, 4, len(images))
    steps = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])[choices]
    pairs = zip(images, steps, strict=True)
    return np.stack([np.roll(image, step, (0, 1)) for image, step in pairs])


def running(original: Original, shapes: Sequence[Shape]) -> list[Shape]:
    """Returns the shapes for which the model returns ten numbers an image.

    Some files declare a free batch axis but take one image only: a batch of 1 is the second try.
    """
    single = [Shape(shape.layout, 1) for shape in shapes if shape.batch is None]
    found: dict[str, Shape] = {}
    failures: list[str] = []
    for shape in [*shapes, *single]:
        if shape.layout in found:
            continue
        try:
            outputs = original.run(np.zeros((3, 28, 28), np.uint8), Pixels(RAW, LIGHT), shape)
        except TrainingError as error:
            failures.append(str(error))
            continue
        if any(values.shape[1] == DIGITS for values in outputs.values()):
            found[shape.layout] = shape
        else:
            counts = ", ".join(f"{v.shape[1]} ({name})" for name, v in outputs.items())
            failures.insert(0, f"it returns {counts or 'no'} numbers an image; expected {DIGITS}")
    if not found:
        raise TrainingError(failures[0])
    return list(found.values())


def _measure(
    raw: NDArray[Any], answer: Answer | None, labels: Labels
) -> tuple[Answer, float, NDArray[np.float64]]:
    """Returns what the values (n, 10) of an output are, their accuracy and losses (n,)."""
    values = np.nan_to_num(raw.astype(np.float64), nan=0, posinf=LARGEST, neginf=-LARGEST)
    answer = answer or recognise(values)
    probabilities = to_probabilities(values, answer)
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.clip(chosen, SMALLEST_PROBABILITY, 1))
    return answer, float((probabilities.argmax(axis=1) == labels).mean()), losses
