"""The words for what a model may want, and what the user fixes of it. Needs no onnx."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Answer = Literal["probabilities", "scores", "log-probabilities", "logits"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
INKS = ("light on dark", "dark on light")
# What is done to images where the model wants larger ones.
Size = Literal["kept", "padded", "resized"]
SIZES: tuple[Size, ...] = get_args(Size)
# The axes of one image of 28 x 28 pixels; the batch's comes before them.
LAYOUTS = {"NCHW": (1, 28, 28), "NHWC": (28, 28, 1), "flat": (784,), "rows": (28, 28)}


@dataclass(frozen=True, slots=True)
class Scale:
    """(pixel / divisor - mean) / deviation; mean and deviation None are each image's own."""

    name: str
    divisor: float
    mean: float | None = 0
    deviation: float | None = 1

    @property
    def whole(self) -> bool:
        """Whether it leaves the pixels whole numbers, as an integer input needs them."""
        return (self.divisor, self.mean, self.deviation) == (1, 0, 1)


# 0.1307 and 0.3081 are the mean and deviation of MNIST's training pixels: PyTorch's and MindSpore's
# examples use them. 0.5 and 0.5 bring the pixels to -1..1.
SCALES = (
    Scale("0..1", 255),
    Scale("0..255", 1),
    Scale("standardised", 255, 0.1307, 0.3081),
    Scale("-1..1", 255, 0.5, 0.5),
    Scale("-0.5..0.5", 255, 0.5, 1),
    Scale("per image", 255, None, None),
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user fixes; None is for the measurement to find.

    Holds names only, so that it can be sent to another process as JSON.
    """

    layout: str | None = None
    size: Size | None = None
    scale: str | None = None
    ink: str | None = None
    output: str | None = None
    answer: Answer | None = None

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> Wishes:
        """The wishes among these values."""
        return cls(**{name: named[name] for name in cls.__slots__})


def scale_of(text: str) -> Scale:
    """The scale called ``text``, or the one of ``MEAN,DEVIATION`` of pixels from 0 to 1.

    Raises:
        ValueError: there is none.
    """
    for scale in SCALES:
        if scale.name == text:
            return scale
    mean, deviation = (float(part) for part in text.split(","))
    if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
        raise ValueError(text)
    return Scale(text, 255, mean, deviation)
