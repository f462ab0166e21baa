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
from PIL import Image, ImageDraw

from service.picture.ground import Grey, Ink, counts, noise, otsu_threshold, sliding
from service.picture.parts import Mask, Parts, Whole, connected_parts
from service.picture.rules import without_rules

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
_FULL, _ASKEW = 0.7, 0.1
"""What a digit leaves of its sheet at least; how much of a sheet is beside its four corners."""
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
    """Whether it is a block: a stain, or the sheet itself."""
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
    framed: NDArray[np.float64]
    """The share of the picture's outermost pixels that each covers."""
    share: NDArray[np.float64]
    """The share of all that is steep in the picture that lies in each part."""
    sharpness: NDArray[np.float64]
    """How steep each part's outline is."""


def weigh(ink: Ink, edges: Grey, mask: Mask, near: Box | None = None) -> Weighed:
    """Weighs each part of ``mask`` by its sharp outline, its ink, its place and its make."""
    parts = connected_parts(mask)
    outline = _outline(mask)
    sharp = parts.sums(edges)
    length = np.maximum(1, parts.sums(outline.view(np.uint8)))
    sharpness = parts.sums(edges * outline) / length
    solid, framed = _is_solid(parts, 2 * parts.area / length), _on_frame(parts)
    boldness = parts.sums(ink.amount) / np.maximum(1, parts.area)
    weight = sharp * sharpness * boldness * _place(parts, near)
    weight *= np.where(solid, 0.1, 1) * (1 - framed) ** 2
    if not ink.is_plain:
        weight[framed > 0] *= 0.3
    long_side = np.maximum(parts.width, parts.height)
    weight[long_side < max(3, _SPECK * min(mask.shape))] = 0
    share = sharp / max(1, int(edges.sum(dtype=np.int64)))
    return Weighed(parts, weight, solid, framed, share, sharpness)


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


def _outline(mask: Mask) -> Mask:
    """The pixels of the mask with one beside them that is not in it."""
    wide = np.pad(mask, 1, mode="edge")
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    outline: Mask = mask & ~inner
    return outline


def _is_solid(parts: Parts, breadth: NDArray[np.float64]) -> Mask:
    """Which parts are blocks rather than strokes: a stain, or the sheet itself on a desk.

    ``breadth`` is how broad each part is, as a stroke.
    """
    long_side = np.maximum(parts.width, parts.height)
    short_side = np.minimum(parts.width, parts.height)
    stout = short_side > 0.6 * long_side
    solid: Mask = stout & (parts.area > 0.8 * long_side * short_side)
    large = parts.area > 0.2 * parts.shape[0] * parts.shape[1]
    large &= breadth > 0.24 * short_side
    large &= (parts.width < 0.9 * parts.shape[1]) | (parts.height < 0.9 * parts.shape[0])
    for part in np.flatnonzero(large & (_on_frame(parts) == 0) & ~solid):
        solid[part] = _is_four_cornered(parts, int(part))
    return solid


def _is_four_cornered(parts: Parts, part: int) -> bool:
    """Whether a part, its holes filled, is what lies between its four outermost points.

    They are outermost in the four diagonals. A sheet is, whichever way it is turned; the ring of
    a 0 reaches half as far again beyond them.
    """
    runs = parts.part_of_run == part
    row, start, end = parts.run_row[runs], parts.run_start[runs], parts.run_end[runs]
    corners = [
        (int(ends[at]), int(row[at]))
        for ends, at in (
            (start, (row + start).argmin()),
            (end - 1, (row - end).argmin()),
            (end - 1, (row + end).argmax()),
            (start, (row - start).argmax()),
        )
    ]
    firsts = np.flatnonzero(np.diff(row, prepend=-1))
    left, right = np.minimum.reduceat(start, firsts), np.maximum.reduceat(end, firsts)
    sheet = Image.new("1", (int(right.max()), int(row[-1]) + 1))
    ImageDraw.Draw(sheet).polygon(corners, fill=1)
    columns = np.arange(sheet.width)
    filled = (columns >= left[:, None]) & (columns < right[:, None])
    beside = np.count_nonzero(filled != np.asarray(sheet)[row[0] :])
    size = np.count_nonzero(filled)
    return bool(parts.area[part] > _FULL * size and beside < _ASKEW * size)


def _on_frame(parts: Parts) -> NDArray[np.float64]:
    """The share of the picture's outermost pixels that each part covers."""
    height, width = parts.shape
    length = parts.run_end - parts.run_start
    on_edge = (parts.run_row == 0) | (parts.run_row == height - 1)
    covered = np.where(on_edge, length, 0)
    covered += (parts.run_start == 0).astype(np.int64) + (parts.run_end == width)
    return np.bincount(parts.part_of_run, covered, len(parts)) / (2 * (height + width))


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
