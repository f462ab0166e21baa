"""Names what ``models import`` detects, and holds what the user sets instead. Needs no onnx."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Answer = Literal["probabilities", "scores", "log-probabilities", "logits"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
INKS = LIGHT, DARK = ("light on dark", "dark on light")
# The axes of one image; the axis of the batch comes before them.
LAYOUTS = {"NCHW": (1, 28, 28), "NHWC": (28, 28, 1), "flat": (784,), "rows": (28, 28)}


@dataclass(frozen=True, slots=True)
class Scale:
    """Computes (pixel / 255 - mean) / deviation; None stands for each image's own value."""

    name: str
    mean: float | None
    deviation: float | None


RAW = Scale("0..255", 0, 1 / 255)
# 0.1307 and 0.3081 are the mean and deviation of MNIST's training pixels; the examples of PyTorch
# use them. Common scales come first: the first of two equally good ones wins.
SCALES = (
    Scale("0..1", 0, 1),
    RAW,
    Scale("standardised", 0.1307, 0.3081),
    Scale("-1..1", 0.5, 0.5),
    Scale("-0.5..0.5", 0.5, 1),
    Scale("per image", None, None),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user sets; the import detects what is None. Converts to JSON by ``asdict``."""

    layout: str | None = None
    scale: str | None = None
    ink: str | None = None
    output: str | None = None
    answer: Answer | None = None


def scale_of(text: str) -> Scale:
    """Returns the scale of this name, or of MEAN,DEVIATION; ValueError for anything else."""
    for scale in SCALES:
        if scale.name == text:
            return scale
    mean, deviation = (float(part) for part in text.split(","))
    if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
        raise ValueError(text)
    return Scale(text, mean, deviation)
