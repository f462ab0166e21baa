"""Finds out what a stranger's model wants, by feeding it labelled images in every likely form.

Accuracy alone does not tell the scale: many networks read digits ten times too bright as well as
before, only too sure of themselves. Among forms whose accuracies chance may have parted, the
lowest cross-entropy decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.decode import Images
from service.decode.labelled import Labels
from service.scores import DIGITS, score
from training.adopt import AdoptError
from training.adopt.answers import recognise, to_probabilities
from training.adopt.pixels import Pixels
from training.adopt.stranger import Layout, Stranger
from training.adopt.wishes import INKS, LAYOUTS, SCALES, Answer, Wishes, scale_of

# Less is the accuracy of a coin: none of the forms is right.
LEAST_ACCURACY = 0.5
# Images for every form, then for those that are still in the running.
FIRST, SECOND = 256, 2048
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

    def as_dict(self) -> dict[str, Any]:
        """The form kept in the card."""
        return {
            "layout": str(self.layout),
            "scale": self.pixels.scale.name,
            "ink": self.pixels.ink,
            "output": self.output,
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
    ways = [(layout, Pixels(s, ink)) for layout in layouts for s in scales for ink in inks]
    if not ways:
        raise AdoptError(f"its input is {stranger.dtype}: whole pixels from 0 to 255 fit, no scale")

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
    """The forms that chance may have parted from the most accurate one, lowest loss first.

    ``errors`` is how many standard errors of the accuracy that is.
    """
    best = max(forms, key=lambda form: form.accuracy)
    noise = errors * float(np.sqrt(best.accuracy * (1 - best.accuracy) / best.images))
    close = [form for form in forms if form.accuracy >= best.accuracy - noise]
    # Of outputs that say the same, the one that needs the least made of it.
    return sorted(close, key=lambda form: (round(form.loss, 4), form.answer != "probabilities"))


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
            scores = score(to_probabilities(values, answer), labels)
            assert scores.accuracy is not None
            assert scores.loss is not None
            figures = (scores.accuracy, scores.loss, scores.count)
            found.append(Form(layout, pixels, output, answer, *figures))
    return found


def wished(layouts: Sequence[Layout], wishes: Wishes) -> list[Layout]:
    """The layouts that the user allows.

    Raises:
        AdoptError: none of them.
    """
    if wishes.layout is None:
        return list(layouts)
    wanted = LAYOUTS[wishes.layout]
    fitting = [layout for layout in layouts if layout.image == wanted]
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
        try:
            outputs = stranger.run(
                np.zeros((3, 28, 28), np.uint8), Pixels(SCALES[1], False), layout
            )
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
