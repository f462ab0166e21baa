"""Finds the digit among the parts of the ink: what is bold, whole and clear of the frame.

A photo holds more than its digit: the paper's edge, the desk, specks, the next digit. Each part is
weighed by its edges; what touches the frame or is a solid block weighs little. Around the heaviest
part, what is near enough to belong to it is taken along: the bar of a 5, the pieces of a stroke
that the pen skipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.imaging.components import Mask, Parts, Whole, connected_parts
from service.imaging.frames import is_frame, is_solid, on_frame
from service.imaging.ruled_lines import without_rules
from service.imaging.threshold import Grey, Ink, counts, noise, otsu_threshold, sliding

Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels."""

FAINTEST_INK = 12
"""Ink below this amount, of 255, is no ink."""
_FLAT = 4
_MOST_FRAMED, _MOST_OF_ALL_SIDES = 0.25, 0.4
"""A digit that is cut out tightly covers no more of the picture's outermost pixels than this.

It may be more where it touches all four sides, as shadows seldom do.
"""
_FAINTER = 3
"""How much more has to speak for fainter ink, which may be shade, than for bold."""
_LEAST_EDGE = 0.1
"""A piece of a digit has an outline so steep at least, in those of the digit; a shade has not."""
_MOST_RUNS, _MOST_UNRULED = 60_000, 15_000
"""Unbroken stretches of ink in all rows, with lines and without; more are a texture."""
_MOST_FAINT = 10_000
"""Such stretches of the faintest ink; more are grain."""
_DOT, _WIDEST_DOT, _DOT_APART = 0.7, 3, 0.4
"""The least and most sides of a dot, in breadths of a stroke; how far off in heights of a digit."""
_OF_FRAME = 1e-6
"""What speaks for a frame, which is all edges, as a share of what would for strokes."""
_REACH = 5
"""How far a line's edges reach, in pixels, its own among them; they are taken around each pixel."""
_SPECK = 0.01
"""A part whose longer side is below this share of the picture's shorter is a speck."""


@dataclass(frozen=True, slots=True)
class Found:
    """A digit: its pixels, where they are, and how much speaks for it."""

    mask: Mask
    box: Box
    weight: float
    is_stroke: bool
    """Whether it is made of strokes and clear of the frame."""
    is_solid: bool
    """Whether it is a block or a frame: a stain, the sheet itself, an empty box of a form."""
    is_framed: bool
    """Whether it covers more of the picture's outermost pixels than a digit does."""
    share: float
    """The share of all that is steep in the picture that lies in it and in parts like it."""
    threshold: int
    """The amount of ink from which on a pixel is in the mask."""
    others: int
    """How many parts beside it could be digits too."""


class Texture(Exception):
    """The ink is in more pieces than any writing, and will be however the ground is read."""


def find_digit(ink: Ink, edges: Grey, near: Box | None = None) -> Found | None:
    """The digit in ``ink``, or None where there is none.

    ``edges`` is how steep the picture is, ``near`` where the digit should be. Raises
    :class:`Texture` where even the boldest ink is one.
    """
    best: Found | None = None
    steps = thresholds(ink)
    for threshold in steps:
        mask = ink.amount > threshold
        is_faint = not ink.is_plain and threshold != steps[0]
        most = _MOST_FAINT if is_faint else _MOST_RUNS
        unruled = without_rules(mask) if _runs(mask) <= most else None
        if unruled is None or _runs(unruled) > _MOST_UNRULED:
            if best is None and not is_faint:
                raise Texture
            break
        found = _heaviest(ink, edges, unruled, threshold, near)
        if ink.is_plain:
            best = found or best
            if unruled is mask:  # with no lines to be parted from, faint strokes are strokes too
                break
        elif found and (best is None or found.weight > _FAINTER * best.weight):
            best = found
    return best


def _runs(mask: Mask) -> int:
    return int(np.count_nonzero(mask[:, 1:] > mask[:, :-1]))


def steepness(grey: Grey) -> Grey:
    """How steep the picture is around each pixel beyond its noise: strokes have edges, shades none.

    Around it, so that a stroke of whose edges the half lies outside has all of them.
    """
    wide = np.pad(grey, 1, mode="edge").astype(np.int16)
    across = np.abs(wide[1:-1, 2:] - wide[1:-1, :-2])
    down = np.abs(wide[2:, 1:-1] - wide[:-2, 1:-1])
    steep = np.maximum(across, down)
    floor = np.int16(max(_FLAT, noise(grey) / 2))
    above: Grey = (np.maximum(steep, floor) - floor).astype(np.uint8)
    return sliding(above, 3, np.maximum)


def thresholds(ink: Ink) -> list[int]:
    """Amounts from which ink may be a stroke: above lines and shades first, then above noise."""
    floor = round(max(FAINTEST_INK, ink.noise))
    histogram = counts(ink.amount)
    histogram[: floor + 1] = 0
    if not histogram.any():
        return []
    bold = otsu_threshold(histogram)
    if bold is None:
        return [floor]
    return [max(floor, bold // 2), bold] if ink.is_plain else [bold, floor]


@dataclass(frozen=True, slots=True)
class Weighed:
    """The parts of a mask, and for each how much speaks for it being a digit."""

    parts: Parts
    weight: NDArray[np.float64]
    solid: Mask
    """Which are no strokes: blocks, and frames."""
    framed: NDArray[np.float64]
    """The share of the picture's outermost pixels that each covers."""
    share: NDArray[np.float64]
    """The share of all that is steep in the picture, but for frames, that lies in each part."""
    sharpness: NDArray[np.float64]
    """How steep each part's outline is."""
    breadth: NDArray[np.float64]
    """How broad each part is, as a stroke, in pixels."""


def weigh(ink: Ink, edges: Grey, mask: Mask, near: Box | None = None) -> Weighed:
    """Weighs each part of ``mask`` by its sharp outline, its ink, its place and its make."""
    parts = connected_parts(mask)
    outline = _outline(mask)
    sharp = parts.sums(edges)
    length = np.maximum(1, parts.sums(outline.view(np.uint8)))
    sharpness = parts.sums(edges * outline) / length
    framed, frame = on_frame(parts), is_frame(parts)
    breadth = 2 * parts.area / length
    solid = is_solid(parts, breadth) | frame
    boldness = parts.sums(ink.amount) / np.maximum(1, parts.area)
    weight = sharp * sharpness * boldness * _place(parts, near)
    weight *= np.where(frame, _OF_FRAME, np.where(solid, 0.1, 1)) * (1 - framed) ** 2
    if not ink.is_plain:
        weight[framed > 0] *= 0.3
    long_side = np.maximum(parts.width, parts.height)
    weight[long_side < max(3, _SPECK * min(mask.shape))] = 0
    share = sharp / max(1, _edges_beside(edges, parts, frame))
    return Weighed(parts, weight, solid, framed, share, sharpness, breadth)


def _heaviest(ink: Ink, edges: Grey, mask: Mask, threshold: int, near: Box | None) -> Found | None:
    weighed = weigh(ink, edges, mask, near)
    parts, weight, framed = weighed.parts, weighed.weight, weighed.framed
    if not weight.any():
        return None
    heaviest = int(weight.argmax())
    allowed = (weight > 0) & ((framed == 0) | (framed[heaviest] > 0))
    allowed &= ~weighed.solid | weighed.solid[heaviest]
    sharp = weighed.sharpness > _LEAST_EDGE * weighed.sharpness[heaviest]
    chosen = _with_its_pieces(parts, allowed & sharp, heaviest)
    left, top = int(parts.left[chosen].min()), int(parts.top[chosen].min())
    right, bottom = int(parts.right[chosen].max()), int(parts.bottom[chosen].max())
    long_side = np.maximum(parts.width, parts.height)
    place = _place(parts, near)  # does not count here: a digit at the edge is another digit too
    others = weight * place[heaviest] > 0.25 * weight[heaviest] * place
    others &= 2 * long_side > max(right - left, bottom - top)
    others |= _is_dot(weighed, heaviest)
    others[chosen] = False
    box = left, top, right - left, bottom - top
    is_solid = bool(weighed.solid[heaviest])
    is_framed = bool(framed[heaviest] > _most_framed(ink, box))
    return Found(
        parts.mask(chosen),
        box,
        float(weight[chosen].sum()),
        not is_solid and not is_framed,
        is_solid,
        is_framed,
        float(weighed.share[allowed & ~weighed.solid].sum()),
        threshold,
        int(np.count_nonzero(others)),
    )


def _most_framed(ink: Ink, box: Box) -> float:
    """The largest share of the outermost pixels that a digit in ``box`` may cover."""
    if not ink.is_plain:
        return 0.0
    fills = box == (0, 0, *ink.amount.shape[::-1])
    return _MOST_OF_ALL_SIDES if fills else _MOST_FRAMED


def _edges_beside(edges: Grey, parts: Parts, frame: Mask) -> int:
    """The sum of all that is steep but for the frames, whose edges reach beyond their pixels."""
    total = int(edges.sum(dtype=np.int64))
    if not frame.any():
        return total
    around = sliding(parts.mask(frame).view(np.uint8), _REACH, np.maximum)
    return total - int((edges * around).sum(dtype=np.int64))


def _outline(mask: Mask) -> Mask:
    """The pixels of the mask with one beside them that is not in it."""
    wide = np.pad(mask, 1, mode="edge")
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    outline: Mask = mask & ~inner
    return outline


def _place(parts: Parts, near: Box | None) -> NDArray[np.float64]:
    """What speaks for each part by its place: the middle of the picture, or where it should be."""
    height, width = parts.shape
    across = (parts.left + parts.right) / width - 1
    down = (parts.top + parts.bottom) / height - 1
    place: NDArray[np.float64] = 1 / (1 + across**2 + down**2)
    if near is not None:
        left, top, wide, high = near
        overlap_x = np.minimum(parts.right, left + wide) - np.maximum(parts.left, left)
        overlap_y = np.minimum(parts.bottom, top + high) - np.maximum(parts.top, top)
        inside = np.maximum(overlap_x, 0) * np.maximum(overlap_y, 0)
        place *= np.minimum(1, inside / (parts.width * parts.height)) ** 2
    return place


def _is_dot(weighed: Weighed, digit: int) -> Mask:
    """Which parts are dots below or above the digit, as that of a question mark.

    A dot is as broad as the strokes are, and nearer to them than another line of writing.
    """
    parts, broad = weighed.parts, weighed.breadth[digit]
    short_side, long_side = (
        np.minimum(parts.width, parts.height),
        np.maximum(parts.width, parts.height),
    )
    is_dot = (short_side > _DOT * broad) & (long_side < _WIDEST_DOT * broad) & (short_side >= 3)
    shared = np.minimum(parts.right, parts.right[digit]) - np.maximum(parts.left, parts.left[digit])
    is_dot &= shared > 0.5 * parts.width
    gap = np.maximum(parts.top - parts.bottom[digit], parts.top[digit] - parts.bottom)
    is_dot &= (gap >= 0) & (gap < _DOT_APART * parts.height[digit])
    alike: Mask = is_dot & (weighed.sharpness > 0.5 * weighed.sharpness[digit])
    return alike


def _with_its_pieces(parts: Parts, allowed: Mask, heaviest: int) -> Whole:
    """The heaviest part and what belongs to it: pieces within or close by, but no other digit."""
    left, top = int(parts.left[heaviest]), int(parts.top[heaviest])
    right, bottom = int(parts.right[heaviest]), int(parts.bottom[heaviest])
    chosen = np.zeros(len(parts), bool)
    chosen[heaviest] = True
    enough = parts.area > 0.01 * parts.area[heaviest]
    while True:
        long_side = max(right - left, bottom - top)
        reach = 0.12 * long_side
        gap_x = np.maximum(parts.left - right, left - parts.right)
        gap_y = np.maximum(parts.top - bottom, top - parts.bottom)
        beside = (gap_x > -0.2 * parts.width) & (parts.height > 0.6 * (bottom - top))
        close = (gap_x < reach) & (gap_y < reach) & enough & allowed & ~beside
        if not (close & ~chosen).any():
            return np.flatnonzero(chosen)
        chosen |= close
        left, top = int(parts.left[chosen].min()), int(parts.top[chosen].min())
        right, bottom = int(parts.right[chosen].max()), int(parts.bottom[chosen].max())
