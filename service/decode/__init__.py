"""Body bytes to ``uint8`` images: one module a format, pure functions, no HTTP and no files.

Strangers send these bytes, so every function here gives an array or raises a
:class:`service.errors.Fault`, never anything else, and allocates in proportion to the bytes that
are there, never to what a header promises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 28
PIXELS = SIDE * SIDE

Images = NDArray[np.uint8]
"""Shape (n, 28, 28), C-contiguous, 0 = background, 255 = full ink; it may be read-only."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may hold; the defaults are those of ``/predict``."""

    images: int = 4096
    body_bytes: int = 16 << 20
    picture_pixels: int = 64_000_000
    picture_side: int = 16_384
