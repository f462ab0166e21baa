"""How fast this machine is, for tests that bound the processor time of one piece of work."""

from __future__ import annotations

from functools import cache
from time import process_time

import numpy as np
from PIL import Image, ImageFilter

_FAST_S = 0.061
"""Seconds that the work takes on the machine for which the bounds were set."""


@cache
def slowness() -> float:
    """How many times longer than there a fixed piece of work takes here; at least 1."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 500), np.uint8))
    times = []
    for _ in range(5):
        start = process_time()
        noise.filter(ImageFilter.MedianFilter(5))
        times.append(process_time() - start)
    return max(1.0, min(times) / _FAST_S)
