"""Finds out what a stranger's model wants, by feeding it labelled images in every likely form.

Accuracy alone does not tell the scale: many networks read digits ten times too bright as well as
before, only too sure of themselves. Among forms whose accuracies chance may have parted, the lowest
cross-entropy decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.answer.scores import DIGITS, SMALLEST_PROBABILITY
from service.types import Images, Labels, Probabilities
from training.onnx_import import AdoptError, printable
from training.onnx_import.answers import recognise, to_probabilities
from training.onnx_import.layouts import Layout
from training.onnx_import.options import INKS, SCALES, SIZES, Answer, Size, Wishes, scale_of
from training.onnx_import.original import Stranger
from training.onnx_import.pixels import Pixels

# Less is the accuracy of a coin: none of the forms is right.
LEAST_ACCURACY = 0.5
# Images for every form, then for those that are still in the running.
FIRST, SECOND = 256, 2048
# What float32 makes of one loss in two ways to say the same.
SAME_LOSS = 1e-4
# Stands for infinity: float32 holds it.
MOST = 1e30

Way = tuple[Layout, Pixels]


@dataclass(frozen=True, slots=True)
class Form:
    """One way to use the model, and how well it reads ``images`` images that way."""

    layout: Layout
    pixels: Pixels
    output: str
    answer: Answer
    accuracy: float
    loss: float
    images: int
    losses: NDArray[np.float64] = field(repr=False, compare=False)
    """Each image's cross-entropy."""

    def as_dict(self) -> dict[str, Any]:
        """The form kept in the card."""
        return {
            "layout": str(self.layout),
            "size": self.pixels.size,
            "scale": self.pixels.scale.name,
            "ink": self.pixels.ink,
            "output": printable(self.output),
            "answer": self.answer,
            "accuracy": self.accuracy,
            "loss": self.loss,
            "images": self.images,
        }


def guess(
    stranger: Stranger, layouts: Sequence[Layout], images: Images, labels: Labels, wishes: Wishes
) -> list[Form]:
    """Every form that was measured, the one to use first, then by accuracy.

    Raises:
        AdoptError: the model does not run, gives no ten numbers an image, or reads no digits.
    """
    scales = [scale_of(wishes.scale)] if wishes.scale else list(SCALES)
    inks = [ink == INKS[1] for ink in INKS if wishes.ink in (None, ink)]
    if np.issubdtype(stranger.dtype, np.integer):
        scales = [scale for scale in scales if scale.whole]
    if not scales:
        raise AdoptError(f"its input is {stranger.dtype}: whole pixels from 0 to 255 fit, no scale")
    ways = [
        (layout, Pixels(scale, ink, size, layout.side))
        for layout in layouts
        for size in _sizes(layout, wishes)
        for scale in scales
        for ink in inks
    ]

    forms = _measure(stranger, ways, images[:FIRST], labels[:FIRST], wishes)
    if not forms:
        raise AdoptError(f"it gives {DIGITS} numbers an image for some batches only")
    close = best_first(forms, errors=4)
    if len(images) > FIRST:
        kept = list(dict.fromkeys((form.layout, form.pixels) for form in close))
        forms = [form for form in forms if (form.layout, form.pixels) not in kept]
        better = _measure(stranger, kept, images, labels, wishes)
        close = best_first(better, errors=2)
        forms += better
    best = close[0]
    if best.accuracy < LEAST_ACCURACY:
        raise AdoptError(
            f"it reads {best.accuracy:.1%} of {best.images} images right at best "
            f"({best.layout}, {best.pixels.scale.name}, {best.pixels.ink}): no form fits it"
        )
    return [best, *sorted((f for f in forms if f is not best), key=lambda f: -f.accuracy)]


def best_first(forms: Sequence[Form], errors: float) -> list[Form]:
    """The forms that chance may have parted from the most accurate one, the one to use first.

    ``errors`` is how many standard errors of the accuracy that is. Of them, the one with the
    lowest loss is used, or the likeliest whose loss is no larger than chance would make it: an
    image's own mean and deviation, say, are nearly those of all images.
    """
    best = max(forms, key=lambda form: form.accuracy)
    noise = errors * float(np.sqrt(best.accuracy * (1 - best.accuracy) / best.images))
    close = [form for form in forms if form.accuracy >= best.accuracy - noise]
    surest = min(close, key=lambda form: form.loss)

    def rank(form: Form) -> tuple[bool, int, bool, float]:
        larger = form.losses - surest.losses
        by_chance = 2 * larger.std() / np.sqrt(len(larger)) + SAME_LOSS
        scale = form.pixels.scale
        likeliness = SCALES.index(scale) if scale in SCALES else 0
        plain = form.answer == "probabilities"
        return bool(larger.mean() > by_chance), likeliness, not plain, form.loss

    return sorted(close, key=rank)


def moved(images: Images, seed: int = 0) -> Images:
    """The images, each moved by one pixel: unlike those that a model may know by heart.

    On images it has learnt, a network is never wrong, and the surer the lower its loss.
    """
    ways = np.random.default_rng(seed).integers(0, 4, len(images))
    moves = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])[ways]
    return np.stack(
        [np.roll(image, move, (0, 1)) for image, move in zip(images, moves, strict=True)]
    )


def _measure(
    stranger: Stranger, ways: Sequence[Way], images: Images, labels: Labels, wishes: Wishes
) -> list[Form]:
    """A form for each way and each output with ten numbers an image."""
    found = []
    for layout, pixels in ways:
        for output, raw in stranger.run(images, pixels, layout).items():
            if raw.shape[1] != DIGITS:
                continue
            values = np.nan_to_num(raw.astype(np.float64), nan=0, posinf=MOST, neginf=-MOST)
            answer = wishes.answer or recognise(values)
            right, losses = _judge(to_probabilities(values, answer), labels)
            figures = (float(right.mean()), float(losses.mean()), len(labels))
            found.append(Form(layout, pixels, output, answer, *figures, losses))
    return found


def _judge(
    probabilities: Probabilities, labels: Labels
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each image is read right, and its cross-entropy, clipped as in the scores."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.clip(chosen, SMALLEST_PROBABILITY, 1))
    return probabilities.argmax(axis=1) == labels, losses


def _sizes(layout: Layout, wishes: Wishes) -> list[Size]:
    """How images come to the layout's size."""
    if layout.side == 28:
        return ["kept"]
    return [size for size in SIZES if size != "kept" and wishes.size in (None, size)]


def wished(layouts: Sequence[Layout], wishes: Wishes) -> list[Layout]:
    """The layouts that the user allows.

    Raises:
        AdoptError: none of them.
    """
    if wishes.layout is None:
        return list(layouts)
    fitting = [layout for layout in layouts if layout.kind == wishes.layout]
    if not fitting:
        found = ", ".join(map(str, layouts))
        raise AdoptError(f"layout {wishes.layout} does not fit its input; {found} does")
    return fitting


def running(stranger: Stranger, layouts: Sequence[Layout]) -> list[Layout]:
    """The layouts that run and give ten numbers an image.

    An axis said to be free is not always: then one image at a time is tried.

    Raises:
        AdoptError: none does.
    """
    alone = [Layout(layout.image, 1) for layout in layouts if layout.batch is None]
    found: list[Layout] = []
    failures: list[str] = []
    for layout in [*layouts, *alone]:
        if any(layout.image == other.image for other in found):
            continue
        blank = Pixels(SCALES[1], False, _sizes(layout, Wishes())[0], layout.side)
        try:
            outputs = stranger.run(np.zeros((3, 28, 28), np.uint8), blank, layout)
        except AdoptError as error:
            failures.append(str(error))
            continue
        if any(values.shape[1] == DIGITS for values in outputs.values()):
            found.append(layout)
        else:
            counts = ", ".join(f"{v.shape[1]} ({name})" for name, v in outputs.items())
            failures.insert(0, f"it gives {counts or 'no'} numbers an image; want {DIGITS}")
    if not found:
        raise AdoptError(failures[0])
    return found
