"""Parts the ink from the ground it stands on, for dark ink on light and for light on dark.

Two ways. A scan or a canvas has a plain ground: one grey value, told from the ink's by Otsu's
threshold. A photo's ground changes from place to place under shadows and uneven light; there it is
whatever remains when everything narrower than a stroke can be is filled in (morphological closing,
Serra 1982), which follows even the hard edge of a shadow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Polarity = Literal["dark on light", "light on dark"]

WIDEST_STROKE = 0.34
"""The widest a stroke may be, as a share of the picture's shorter side."""
_DARKEST_GROUND = 40
"""Below this grey value a ground's own brightness says nothing about the light on it."""


@dataclass(frozen=True, slots=True)
class Ink:
    """How much ink is where: 0 for bare ground to 255, of the picture's shape."""

    polarity: Polarity
    amount: Grey
    noise: float
    """What bare ground shows of ink at most, but for one pixel in some ten thousand."""


def ink_on_plain_ground(grey: Grey) -> Ink | None:
    """The ink where the ground is of one grey value, or None where it is not.

    The ground is the side of Otsu's threshold that most of the border lies on.
    """
    histogram = np.bincount(grey.ravel(), minlength=256)
    threshold = otsu_threshold(histogram)
    if threshold is None:
        return None
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    is_light = np.count_nonzero(border > threshold) * 2 > len(border)
    side = histogram.copy()
    side[: threshold + 1] *= not is_light
    side[threshold + 1 :] *= is_light
    values = np.arange(256)
    share = np.cumsum(side) / side.sum()
    low, ground, high = (int(np.searchsorted(share, part)) for part in (0.02, 0.5, 0.98))
    other = histogram - side
    contrast = abs(int((other * values).sum() / other.sum()) - ground)
    if side.sum() < 0.5 * grey.size or high - low > 0.3 * contrast:
        return None
    level = np.int16(ground)
    depth = level - grey if is_light else grey - level
    amount = np.clip(depth, 0, 255).astype(np.uint8)
    spread = ground - low if is_light else high - ground
    return Ink("dark on light" if is_light else "light on dark", amount, 1.5 * spread)


def ink_on_uneven_ground(grey: Grey) -> Iterator[Ink]:
    """The ink under uneven light: first as dark ink, then as light."""
    smooth = smoothed(grey)
    window = max(3, round(WIDEST_STROKE * min(grey.shape)))
    paper = _sliding(_sliding(smooth, window, np.maximum), window, np.minimum)
    # A shadow takes from the paper and from the ink in one proportion: their ratio stays.
    ratio = (paper - smooth) * (255 / np.maximum(paper, _DARKEST_GROUND).astype(np.float32))
    yield _above_noise("dark on light", ratio.astype(np.uint8))
    board = _sliding(_sliding(smooth, window, np.minimum), window, np.maximum)
    yield _above_noise("light on dark", smooth - board)


def otsu_threshold(histogram: NDArray[np.int64]) -> int | None:
    """The value up to which the lower of two classes goes (Otsu 1979), None for one value alone."""
    total = np.cumsum(histogram)
    weighted = np.cumsum(histogram * np.arange(len(histogram)))
    low, all_ = total.astype(np.float64), float(total[-1])
    high = all_ - low
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (weighted[-1] * low / all_ - weighted) ** 2 / (low * high)
    apart[(low == 0) | (high == 0)] = -1
    best = apart.max()
    if best < 0:
        return None
    at = np.flatnonzero(apart >= best * (1 - 1e-9))
    return int(at[0] + at[-1]) // 2


def smoothed(grey: Grey) -> Grey:
    """The picture less its finest noise: each pixel averaged with its neighbours, 1-2-1."""
    wide = np.pad(grey, 1, mode="edge").astype(np.uint16)
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    both = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    smooth: Grey = ((both + 8) >> 4).astype(np.uint8)
    return smooth


def _above_noise(polarity: Polarity, amount: Grey) -> Ink:
    """Takes the level of bare ground off: closing rides on the crests of the noise."""
    share = np.cumsum(np.bincount(amount.ravel(), minlength=256)) / amount.size
    middle, upper = (int(np.searchsorted(share, part)) for part in (0.4, 0.7))
    level = np.minimum(amount, np.uint8(middle))
    return Ink(polarity, amount - level, 6.0 * (upper - middle))


def _sliding(grey: Grey, window: int, least_or_most: np.ufunc) -> Grey:
    """The least or most over a square window, by doubling: log2(window) steps an axis."""
    before, after = window // 2, window - 1 - window // 2
    for axis in (0, 1):
        pads = [(before, after) if axis == a else (0, 0) for a in (0, 1)]
        found = np.pad(grey, pads, mode="edge")
        span = 1
        while span < window:
            step = min(span, window - span)
            head = [slice(None, -step) if axis == a else slice(None) for a in (0, 1)]
            tail = [slice(step, None) if axis == a else slice(None) for a in (0, 1)]
            found = least_or_most(found[tuple(head)], found[tuple(tail)])
            span += step
        grey = found
    return grey
