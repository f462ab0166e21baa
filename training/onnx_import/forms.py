"""What classifiers expect and return: layout, scale and ink of images, and kinds of answers.

The command line reads it, so that it needs no onnx.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.types import Images, Probabilities

Answer = Literal["probabilities", "logits"]
INKS = LIGHT, DARK = ("light on dark", "dark on light")
# The axes of one image; the axis of the batch comes before them.
LAYOUTS = {"NCHW": (1, 28, 28), "NHWC": (28, 28, 1), "flat": (784,), "rows": (28, 28)}
WHOLE = "0..255"
# Mean and deviation of pixels from 0 to 1, which the scale subtracts and divides by; 0.1307 and
# 0.3081 are those of MNIST's training pixels. Of two equally good scales the first one wins.
SCALES = {
    "0..1": (0.0, 1.0),
    WHOLE: (0.0, 1 / 255),
    "standardised": (0.1307, 0.3081),
    "-1..1": (0.5, 0.5),
    "-0.5..0.5": (0.5, 1.0),
}
NEAR = 1e-2  # rounding in float32, and in the 8 bits of a quantized output
LEAST_SCORE = 1e-7  # avoids 0 / 0 for ten scores of 0


@dataclass(frozen=True, slots=True)
class Input:
    """The form in which a model expects images; ``batch`` None stands for any batch size."""

    layout: str
    batch: int | None
    scale: str = WHOLE
    ink: str = LIGHT

    @property
    def shape(self) -> str:
        """The shape in words, such as ``[n,1,28,28]``."""
        return f"[{','.join(map(str, (self.batch or 'n', *LAYOUTS[self.layout])))}]"

    def factor_and_offset(self) -> tuple[np.float32, np.float32]:
        """Returns the two numbers for which pixel * factor + offset is what the model expects."""
        mean, deviation = scale_of(self.scale)
        factor, offset = 1 / (255 * deviation), -mean / deviation
        if self.ink == DARK:  # 255 - pixel
            factor, offset = -factor, offset + 255 * factor
        return np.float32(factor), np.float32(offset)

    def array(self, images: Images) -> NDArray[np.float32]:
        """Converts images (n, 28, 28) uint8 to what the model expects, in float32."""
        factor, offset = self.factor_and_offset()
        pixels: NDArray[np.float32] = images.astype(np.float32) * factor + offset
        return pixels.reshape(-1, *LAYOUTS[self.layout])


@dataclass(frozen=True, slots=True)
class Form:
    """One way to use a model, its accuracy, and the mean cross-entropy over so many images."""

    input: Input = field(repr=False)
    output: str
    answer: Answer
    accuracy: float
    loss: float
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Returns the part of the card that describes this form."""
        form = {"layout": self.input.shape, "scale": self.input.scale, "ink": self.input.ink}
        names = ("answer", "accuracy", "loss", "images")
        return {**form, "output": printable(self.output), **{n: getattr(self, n) for n in names}}


def scale_of(text: str) -> tuple[float, float]:
    """Returns mean and deviation of a scale, by name or as MEAN,DEVIATION; else ValueError."""
    if text in SCALES:
        return SCALES[text]
    mean, deviation = (float(part) for part in text.split(","))
    if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
        raise ValueError(text)
    return mean, deviation


def recognise(values: NDArray[Any]) -> Answer:
    """Returns what rows (n, 10) are; ten sigmoids are probabilities, log-probabilities logits."""
    return "probabilities" if values.min() >= -NEAR and values.max() <= 1 + NEAR else "logits"


def to_probabilities(values: NDArray[Any], answer: Answer) -> Probabilities:
    """Converts rows of ten numbers (n, 10) to probabilities (n, 10) float32 that sum to 1."""
    rows: NDArray[np.float32] = values.astype(np.float32)
    if answer == "probabilities":
        rows = np.maximum(rows, np.float32(0)) + np.float32(LEAST_SCORE)
    else:
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def printable(text: str, longest: int = 100) -> str:
    """Returns the text of a file or a library without control characters, cut to a length."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut)
