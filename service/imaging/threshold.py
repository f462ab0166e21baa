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
from PIL import Image

Grey = NDArray[np.uint8]
Polarity = Literal["dark on light", "light on dark"]

_LEAST_GROUND = 0.28
"""The least share of a plain ground in the picture."""
_NOISY, _MOST_SMOOTHING = 15, 2
_SMALL = 64
"""A picture with a shorter side below this has no noise that is finer than its strokes."""
_DOT, _DOTTED = 24, 0.005
"""How far a dot differs from all four pixels around it; the share of dots in a dithered picture."""
_DARKEST_GROUND = 40
"""Below this grey value a ground's own brightness says nothing about the light on it."""


@dataclass(frozen=True, slots=True)
class Ink:
    """How much ink is where: 0 for bare ground to 255, of the picture's shape."""

    polarity: Polarity
    amount: Grey
    noise: float
    """What bare ground shows of ink by chance."""
    is_plain: bool = False
    """Whether the ground is of one grey value, so that faint ink is not mistaken for a shade."""


def ink_on_plain_ground(grey: Grey) -> Iterator[Ink]:
    """The ink where the ground is of one grey value: the one or the other side of Otsu's threshold.

    Of a digit that fills its frame the outermost pixels alone may show the ground. Nothing where
    neither side is ground.
    """
    histogram = counts(grey)
    threshold = otsu_threshold(histogram)
    if threshold is None:
        return
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    for is_light in (True, False):
        side = histogram.copy()
        side[: threshold + 1] *= not is_light
        side[threshold + 1 :] *= is_light
        values = np.arange(256)
        share = np.cumsum(side) / side.sum()
        low, ground, high = (int(np.searchsorted(share, part)) for part in (0.2, 0.5, 0.8))
        other = histogram - side
        contrast = abs(int((other * values).sum() / other.sum()) - ground)
        if side.sum() < _LEAST_GROUND * grey.size or high - low > 0.25 * contrast:
            low, ground, high = (int(part) for part in np.percentile(rim, (20, 50, 80)))
            if side[ground] == 0 or high - low > 0.25 * contrast:
                continue
        depth = np.int16(ground) - grey if is_light else grey - np.int16(ground)
        amount = np.clip(depth, 0, 255).astype(np.uint8)
        polarity: Polarity = "dark on light" if is_light else "light on dark"
        yield Ink(polarity, amount, noise(amount), is_plain=True)


def ink_on_uneven_ground(grey: Grey, widest_stroke: float) -> Iterator[Ink]:
    """The ink under uneven light: first as dark ink, then as light.

    ``widest_stroke`` is in pixels; what is wider in all directions is taken for ground.
    """
    window = max(3, round(widest_stroke))
    window -= 1 - window % 2  # an even one would move all that is closed by a pixel
    paper = sliding(sliding(grey, window, np.maximum), window, np.minimum)
    # A shadow takes from the paper and from the ink in one proportion: their ratio stays.
    ratio = (paper - grey) * (255 / np.maximum(paper, _DARKEST_GROUND).astype(np.float32))
    yield _above_level("dark on light", ratio.astype(np.uint8))
    board = sliding(sliding(grey, window, np.minimum), window, np.maximum)
    yield _above_level("light on dark", grey - board)


def counts(grey: Grey) -> NDArray[np.int64]:
    """How many pixels there are of each value, (256,)."""
    return np.array(Image.fromarray(grey).histogram(), np.int64)


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


def without_grain(grey: Grey) -> Grey:
    """A noisy picture less its grain; one without noise as it is, with its thinnest lines."""
    for _ in range(_MOST_SMOOTHING):
        if noise(grey) < _NOISY and not _is_dithered(grey):
            break
        grey = _smoothed(grey)
    return grey


def _is_dithered(grey: Grey) -> bool:
    """Whether greys are told by dots, as in a picture of two colours, of a fax or a GIF."""
    if min(grey.shape) < _SMALL:
        return False
    dots = _peaks(grey)[1:-1]
    most = _DOTTED * dots.size
    if np.count_nonzero(dots) <= most:  # most pictures: no need to look down the columns too
        return False
    return bool(np.count_nonzero(dots & _peaks(grey.T).T[:, 1:-1]) > most)


def _peaks(grey: Grey) -> NDArray[np.bool_]:
    """Which pixels (h, w - 2) are lighter than both beside them in their row, or darker."""
    middle, left, right = grey[:, 1:-1], grey[:, :-2], grey[:, 2:]
    lightest, darkest = np.maximum(left, right), np.minimum(left, right)
    peaks: NDArray[np.bool_] = np.maximum(middle, lightest) - lightest > _DOT
    peaks |= darkest - np.minimum(middle, darkest) > _DOT
    return peaks


def _smoothed(grey: Grey) -> Grey:
    """Each pixel averaged with its neighbours, 1-2-1."""
    wide = np.pad(grey, 1, mode="edge").astype(np.uint16)
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    both = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    smooth: Grey = ((both + 8) >> 4).astype(np.uint8)
    return smooth


def noise(grey: Grey) -> float:
    """Five deviations of the pixels' noise, from how neighbours but one differ (their median).

    0 for a small picture, which may be edges of strokes all over.
    """
    if min(grey.shape) < _SMALL:
        return 0.0
    one, other = grey[:, 2:], grey[:, :-2]
    upto = np.cumsum(counts(np.maximum(one, other) - np.minimum(one, other)))
    middle = int(np.searchsorted(upto, upto[-1] / 2))
    return 5 * 1.05 * middle  # the median of a normal difference is 0.954 of the deviation


def _above_level(polarity: Polarity, amount: Grey) -> Ink:
    """Takes the level of bare ground off: closing rides on the crests of the noise."""
    share = np.cumsum(counts(amount)) / amount.size
    level = np.minimum(amount, np.uint8(np.searchsorted(share, 0.4)))
    above = amount - level
    return Ink(polarity, above, noise(above))


def sliding(grey: Grey, window: int, least_or_most: np.ufunc) -> Grey:
    """``np.minimum`` or ``np.maximum`` over a square window, by doubling its size."""
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
