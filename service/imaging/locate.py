"""Locate the digit among the connected components of the ink.

Each component has a score from its edges, its ink and its place. The digit is the best one with its
fragments nearby, such as the bar of a 5 or the parts of a stroke with gaps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.imaging import frames
from service.imaging.components import Box, Components, Ints, Mask, connected_components
from service.imaging.threshold import Grey, Ink, dilate, histogram, noise, otsu_threshold

Floats = NDArray[np.float64]

FAINTEST_INK = 12  # of 255; a pixel with at most this much is background
_MOST_BORDER, _MOST_BORDER_FILLED = 0.25, 0.4
"""The share of the border that a tightly cropped digit covers at most, and the share for one that
touches all four sides, as shadows seldom do."""
_FAINTER = 3  # fainter ink, which may be a shadow, must score better than bold ink by this factor
_LEAST_SHARPNESS = 0.1  # of a fragment, as a share of the digit's; a shadow has less
_MOST_RUNS, _MOST_FAINT_RUNS, _MOST_UNRULED_RUNS = 60_000, 10_000, 15_000
"""A mask of bold or of faint ink with more runs, or with more without its lines, is a texture."""
_DOT, _WIDEST_DOT, _DOT_DISTANCE = 0.7, 3, 0.4
"""The shorter and longer side of a dot in stroke widths; its distance in heights of the digit."""
_FRAME_FACTOR, _SOLID_FACTOR, _BORDER_FACTOR = 1e-6, 0.1, 0.3
"""Factors on the scores of frames, which are all edge, of blocks, and of ink at the border."""
_EDGE_REACH = 5  # the gradient of a line extends over this many pixels
_SPECK = 0.01  # the longer side of a speck is less, in shorter sides of the picture


@dataclass(frozen=True, slots=True)
class Candidate:
    """A digit that was found in one reading of the background."""

    mask: Mask
    box: Box
    score: float
    is_stroke: bool  # it consists of strokes that are clear of the border
    is_solid: bool  # it is a block or a frame: a stain, the sheet itself, an empty box of a form
    at_border: bool  # it covers more of the picture's border than a digit does
    share: float  # of the picture's total gradient, in it and in components like it
    threshold: int  # the mask holds the pixels with more ink than this
    others: int  # the number of other components that could be digits


class TextureError(Exception):
    """The ink has more components than writing, with any reading of the background."""


def find_digit(ink: Ink, gradient: Grey, expected: Box | None = None) -> Candidate | None:
    """Returns the digit in ``ink``, None if there is none; TextureError if all is a texture."""
    best: Candidate | None = None
    steps = thresholds(ink)
    for threshold in steps:
        mask = ink.amount > threshold
        is_faint = not ink.is_plain and threshold != steps[0]
        most = _MOST_FAINT_RUNS if is_faint else _MOST_RUNS
        unruled = frames.remove_ruled_lines(mask) if _count_runs(mask) <= most else None
        if unruled is None or _count_runs(unruled) > _MOST_UNRULED_RUNS:
            if best is None and not is_faint:
                raise TextureError
            break
        found = _best_candidate(ink, gradient, unruled, threshold, expected)
        if ink.is_plain:
            best = found or best
            if unruled is mask:  # only ruled lines make it necessary to ignore faint strokes
                break
        elif found and (best is None or found.score > _FAINTER * best.score):
            best = found
    return best


def _count_runs(mask: Mask) -> int:
    return int(np.count_nonzero(mask[:, 1:] > mask[:, :-1]))


def gradient_of(grey: Grey) -> Grey:
    """Returns the largest gradient above the noise within a pixel of each pixel (h, w)."""
    # Strokes have steep edges, shadows do not. Half of an edge lies outside of the stroke's mask.
    wide = np.pad(grey, 1, mode="edge").astype(np.int16)
    horizontal = np.abs(wide[1:-1, 2:] - wide[1:-1, :-2])
    vertical = np.abs(wide[2:, 1:-1] - wide[:-2, 1:-1])
    steep = np.maximum(horizontal, vertical)
    floor = np.int16(max(4, noise(grey) / 2))
    above: Grey = (np.maximum(steep, floor) - floor).astype(np.uint8)
    return dilate(above, 3)


def thresholds(ink: Ink) -> list[int]:
    """Returns the thresholds to try: first above lines and shadows, then above noise alone."""
    floor = round(max(FAINTEST_INK, ink.noise))
    of_amount = histogram(ink.amount)
    of_amount[: floor + 1] = 0
    bold = otsu_threshold(of_amount)
    if bold is None:
        return [floor] if of_amount.any() else []
    return [max(floor, bold // 2), bold] if ink.is_plain else [bold, floor]


@dataclass(frozen=True, slots=True)
class Scored:
    """The n components of a mask with their features, (n,) each."""

    components: Components
    score: Floats
    solid: Mask  # blocks and frames
    border: Floats  # the share of the picture's border pixels that each covers
    share: Floats  # of the picture's total gradient, without frames
    sharpness: Floats  # the mean gradient along the outline
    breadth: Floats  # the stroke width, in pixels


def score_components(ink: Ink, gradient: Grey, mask: Mask, expected: Box | None = None) -> Scored:
    """Scores the components of ``mask`` (h, w) by outline, ink, place and shape."""
    components = connected_components(mask)
    give_way()
    wide = np.pad(mask, 1, mode="edge")
    outline = mask & ~(wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:])
    total = components.sums(gradient)
    length = np.maximum(1, components.sums(outline.view(np.uint8)))
    sharpness = components.sums(gradient * outline) / length
    border, frame = frames.border_share(components), frames.frame_components(components)
    breadth = 2 * components.area / length
    solid = frames.solid_components(components, border, breadth) | frame
    boldness = components.sums(ink.amount) / np.maximum(1, components.area)
    score = total * sharpness * boldness * _place_factor(components, expected)
    score *= np.where(frame, _FRAME_FACTOR, np.where(solid, _SOLID_FACTOR, 1)) * (1 - border) ** 2
    if not ink.is_plain:
        score[border > 0] *= _BORDER_FACTOR
    score[components.long_side < max(3, _SPECK * min(mask.shape))] = 0
    outside = int(gradient.sum(dtype=np.int64))
    if frame.any():  # the edges of a frame extend beyond its pixels
        around = dilate(components.mask(frame).view(np.uint8), _EDGE_REACH)
        outside -= int((gradient * around).sum(dtype=np.int64))
    share = total / max(1, outside)
    return Scored(components, score, solid, border, share, sharpness, breadth)


def _best_candidate(
    ink: Ink, gradient: Grey, mask: Mask, threshold: int, expected: Box | None
) -> Candidate | None:
    scored = score_components(ink, gradient, mask, expected)
    give_way()
    components, score, border = scored.components, scored.score, scored.border
    if not score.any():
        return None
    best = int(score.argmax())
    is_solid = bool(scored.solid[best])
    eligible = (score > 0) & ((border == 0) | (border[best] > 0)) & (~scored.solid | is_solid)
    sharp = scored.sharpness > _LEAST_SHARPNESS * scored.sharpness[best]
    chosen = _with_fragments(components, eligible & sharp, best)
    box = components.box(chosen)
    place = _place_factor(components, expected)  # another digit counts wherever it is
    others = score * place[best] > 0.25 * score[best] * place
    others &= 2 * components.long_side > max(box.width, box.height)
    others |= _dots(scored, best)
    others[chosen] = False
    fills = box == (0, 0, *mask.shape[::-1])
    most_border = (_MOST_BORDER_FILLED if fills else _MOST_BORDER) if ink.is_plain else 0.0
    at_border = bool(border[best] > most_border)
    return Candidate(
        components.mask(chosen),
        box,
        float(score[chosen].sum()),
        not is_solid and not at_border,
        is_solid,
        at_border,
        float(scored.share[eligible & ~scored.solid].sum()),
        threshold,
        int(np.count_nonzero(others)),
    )


def _place_factor(components: Components, expected: Box | None) -> Floats:
    """Returns a factor for the distance from the centre and the overlap with ``expected``, (n,)."""
    height, width = components.shape
    across = (components.left + components.right) / width - 1
    down = (components.top + components.bottom) / height - 1
    factor: Floats = 1 / (1 + across**2 + down**2)
    if expected is not None:
        left, right = np.maximum(components.left, expected.left), expected.right
        top, bottom = np.maximum(components.top, expected.top), expected.bottom
        inside = np.maximum(np.minimum(components.right, right) - left, 0)
        inside *= np.maximum(np.minimum(components.bottom, bottom) - top, 0)
        factor *= np.minimum(1, inside / (components.width * components.height)) ** 2
    return factor


def _dots(scored: Scored, digit: int) -> Mask:
    """Returns which components are dots above or below the digit, as in a question mark."""
    # A dot is as broad as the strokes, and nearer to them than another line of writing.
    components, breadth = scored.components, scored.breadth[digit]
    left, right = components.left, components.right
    top, bottom = components.top, components.bottom
    is_dot = (components.short_side > _DOT * breadth) & (components.short_side >= 3)
    is_dot &= components.long_side < _WIDEST_DOT * breadth
    is_dot &= np.minimum(right, right[digit]) - np.maximum(left, left[digit]) > 0.5 * (right - left)
    gap = np.maximum(top - bottom[digit], top[digit] - bottom)
    is_dot &= (gap >= 0) & (gap < _DOT_DISTANCE * components.height[digit])
    return np.asarray(is_dot & (scored.sharpness > 0.5 * scored.sharpness[digit]))


def _with_fragments(components: Components, eligible: Mask, best: int) -> Ints:
    """Returns the best component and its fragments within or close by, but no other digit."""
    chosen = np.arange(len(components)) == best
    large = components.area > 0.01 * components.area[best]
    while True:
        box = components.box(chosen)
        reach = 0.12 * max(box.width, box.height)
        gap_x = np.maximum(components.left - box.right, box.left - components.right)
        gap_y = np.maximum(components.top - box.bottom, box.top - components.bottom)
        beside = (gap_x > -0.2 * components.width) & (components.height > 0.6 * box.height)
        close = (gap_x < reach) & (gap_y < reach) & large & eligible & ~beside
        if not (close & ~chosen).any():
            return np.flatnonzero(chosen)
        chosen |= close
