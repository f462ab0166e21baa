"""The shapes, names and limits that every part of the service uses."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 28
PIXELS = SIDE * SIDE

PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"))
"""The endings of the picture files that the commands look for in folders."""

INPUT, OUTPUT = "image", "probabilities"
"""The names of the input and the output of every model file."""

Images = NDArray[np.uint8]
"""Shape (n, 28, 28), C-contiguous, 0 = background, 255 = full ink; possibly read-only."""
Labels = NDArray[np.int64]  # shape (n,), the true digit of each image, 0 to 9
Probabilities = NDArray[np.float32]  # shape (n, 10), each row sums to 1


def unbounded(_amount: int, _what: str) -> AbstractContextManager[None]:
    """Holds room for the pixels of a picture where nobody else needs any."""
    return nullcontext()


def free(_size: int) -> None:
    """Charges nobody for bytes that a body becomes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest request that an endpoint accepts; the defaults are those of ``/predict``."""

    images: int = 4096
    body_bytes: int = 16 << 20
    picture_pixels: int = 64_000_000
    picture_side: int = 16_384
    hold_pixels: Callable[[int, str], AbstractContextManager[None]] = unbounded
    """Holds room for so many bytes of pixels, of what messages call a picture."""
    charge: Callable[[int], None] = free
    """Called with the size of each part that is inflated. Raises a fault if that is too much."""
