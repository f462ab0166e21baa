"""Separate ink from background, for dark ink on light and for light ink on dark.

Otsu's threshold finds the plain background of a scan. That of a photo varies with the light: a
morphological closing (Serra 1982) removes all that is as narrow as a stroke, and follows shadows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]
Polarity = Literal["dark on light", "light on dark"]

_LEAST_BACKGROUND = 0.28  # the least share of the pixels that a plain background covers
_NOISY, _MOST_SMOOTHING = 15, 2
_SMALL = 64  # a picture with a shorter side below this has no noise finer than its strokes
_DOT, _DITHERED = 24, 0.005  # contrast of a dot to its neighbours; share of dots in a dithering
_DARKEST_BACKGROUND = 40  # the brightness of a darker one does not show how much light falls on it


@dataclass(frozen=True, slots=True)
class Ink:
    """The amount of ink at each pixel (h, w), 0 to 255."""

    polarity: Polarity
    amount: Grey
    noise: float  # the amount that noise alone reaches on bare background
    is_plain: bool = False  # the background is of one grey value, so faint ink is no shadow


def ink_on_plain_background(grey: Grey) -> Iterator[Ink]:
    """Yields the ink for each side of Otsu's threshold that can be a plain background."""
    of_grey = histogram(grey)
    threshold = otsu_threshold(of_grey)
    if threshold is None:
        return
    for is_light in (True, False):
        side = np.where((np.arange(256) > threshold) == is_light, of_grey, 0)
        cumulative = np.cumsum(side) / side.sum()
        low, background, high = (int(np.searchsorted(cumulative, q)) for q in (0.2, 0.5, 0.8))
        other = of_grey - side
        contrast = abs(int((other * np.arange(256)).sum() / other.sum()) - background)
        # Around a digit that fills its picture only the border pixels may show the background.
        if side.sum() < _LEAST_BACKGROUND * grey.size or high - low > 0.25 * contrast:
            low, background, high = np.percentile(border_pixels(grey), (20, 50, 80)).astype(int)
            if side[background] == 0 or high - low > 0.25 * contrast:
                continue
        depth = np.int16(background) - grey if is_light else grey - np.int16(background)
        amount = np.clip(depth, 0, 255).astype(np.uint8)
        polarity: Polarity = "dark on light" if is_light else "light on dark"
        yield Ink(polarity, amount, noise(amount), is_plain=True)


def ink_on_uneven_background(grey: Grey, widest_stroke: float) -> Iterator[Ink]:
    """Yields the ink under uneven light, first as dark ink, then as light ink."""
    # Whatever is wider than widest_stroke pixels in all directions counts as background.
    window = max(3, round(widest_stroke))
    window -= 1 - window % 2  # an even window would shift the result by a pixel
    paper = erode(dilate(grey, window), window)
    # A shadow darkens the paper and the ink in one proportion, so their ratio stays.
    ratio = (paper - grey) * (255 / np.maximum(paper, _DARKEST_BACKGROUND).astype(np.float32))
    yield _above_level("dark on light", ratio.astype(np.uint8))
    board = dilate(erode(grey, window), window)
    yield _above_level("light on dark", grey - board)


def _above_level(polarity: Polarity, amount: Grey) -> Ink:
    """Subtracts the level of bare background, because a closing follows the peaks of noise."""
    cumulative = np.cumsum(histogram(amount)) / amount.size
    level = np.minimum(amount, np.uint8(np.searchsorted(cumulative, 0.4)))
    above = amount - level
    return Ink(polarity, above, noise(above))


def histogram(grey: Grey) -> NDArray[np.int64]:
    """Returns the number of pixels of each value, (256,)."""
    return np.array(Image.fromarray(grey).histogram(), np.int64)


def border_pixels(array: NDArray[Any]) -> NDArray[Any]:
    """Returns the outermost pixels of (h, w), the corners twice."""
    return np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])


def otsu_threshold(histogram: NDArray[np.int64]) -> int | None:
    """Returns the highest value of the lower class (Otsu 1979), None for a single value."""
    low, all_ = np.cumsum(histogram).astype(np.float64), float(histogram.sum())
    weighted, high = np.cumsum(histogram * np.arange(len(histogram))), all_ - low
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (weighted[-1] * low / all_ - weighted) ** 2 / (low * high)
    variance[(low == 0) | (high == 0)] = -1
    best = variance.max()
    if best < 0:
        return None
    at = np.flatnonzero(variance >= best * (1 - 1e-9))
    return int(at[0] + at[-1]) // 2


def denoise(grey: Grey) -> Grey:
    """Smooths a noisy or dithered picture (h, w), at most twice, by a binomial filter of 3x3."""
    for _ in range(_MOST_SMOOTHING):
        if noise(grey) < _NOISY and not _is_dithered(grey):
            break
        wide = np.pad(grey, 1, mode="edge").astype(np.uint16)
        rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
        grey = ((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:] + 8) >> 4).astype(np.uint8)
    return grey


def _is_dithered(grey: Grey) -> bool:
    """Whether dots represent greys, as in a fax or a GIF of two colours."""
    if min(grey.shape) < _SMALL:
        return False
    dots = _peaks(grey)[1:-1]
    if np.count_nonzero(dots) > _DITHERED * dots.size:  # in few pictures, which saves the columns
        dots &= _peaks(grey.T).T[:, 1:-1]
    return bool(np.count_nonzero(dots) > _DITHERED * dots.size)


def _peaks(grey: Grey) -> NDArray[np.bool_]:
    """Returns which pixels (h, w - 2) are lighter or darker than both neighbours in their row."""
    middle, left, right = grey[:, 1:-1], grey[:, :-2], grey[:, 2:]
    lightest, darkest = np.maximum(left, right), np.minimum(left, right)
    lighter, darker = np.maximum(middle, lightest) - lightest, darkest - np.minimum(middle, darkest)
    return np.asarray((lighter > _DOT) | (darker > _DOT))


def noise(grey: Grey) -> float:
    """Returns five standard deviations of the noise, from the median difference of neighbours."""
    if min(grey.shape) < _SMALL:  # a small picture may consist of strokes' edges
        return 0.0
    one, other = grey[:, 2:], grey[:, :-2]
    cumulative = np.cumsum(histogram(np.maximum(one, other) - np.minimum(one, other)))
    median = int(np.searchsorted(cumulative, cumulative[-1] / 2))
    return 5 * 1.05 * median  # the median of a normal difference is 0.954 standard deviations


def erode(grey: Grey, window: int) -> Grey:
    """Returns the minimum over a square window around each pixel."""
    return ~dilate(~grey, window)


def dilate(grey: Grey, window: int) -> Grey:
    """Returns the maximum over a square window around each pixel."""
    for _ in range(2):  # axis by axis, over a span that doubles in each step
        padded = np.pad(grey, ((window // 2, window - 1 - window // 2), (0, 0)), mode="edge")
        span = 1
        while span < window:
            step = min(span, window - span)
            padded = np.maximum(padded[:-step], padded[step:])
            span += step
        grey = padded.T
    return grey
