"""Searches a picture for its digit in every way that its ground can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from service.imaging.locate import Box, Found, Texture, find_digit, steepness
from service.imaging.threshold import (
    Grey,
    Ink,
    Polarity,
    ink_on_plain_ground,
    ink_on_uneven_ground,
    without_grain,
)

_LEAST_SHARE, _LEAST_OF_TWO = 0.1, 0.2
"""A digit has at least so much of all that is steep in a picture; so much if ink can be ground."""
_LEAST_RING, _STANDS_OUT = 0.5, 0.15
"""A ring of so much of a box shows what is around it; a digit differs from that by such a share of
its ink."""
_GAP = 1e-3
"""What speaks for a gap between strokes, as a share of what would for strokes."""
WIDEST_STROKES = (0.2, 0.4)
"""The widest a stroke may be, as shares of the picture's shorter side that are tried in turn."""


def search(
    grey: Grey,
    widest_strokes: Sequence[float] | None = None,
    polarity: Polarity | None = None,
    near: Box | None = None,
) -> tuple[Ink, Found] | None:
    """The digit, of one ``polarity`` where that is known, and the ink it is made of.

    The ways to read the ground are tried, the surest first, until one shows a clear digit; else
    the one that most speaks for is taken. ``widest_strokes`` are in pixels.
    """
    grey = without_grain(grey)
    if widest_strokes is None:
        widest_strokes = [share * min(grey.shape) for share in WIDEST_STROKES]
    edges = steepness(grey)
    seen: list[tuple[Ink, Found]] = []
    with suppress(Texture):
        for inks in _inks(grey, widest_strokes):
            for ink in inks:
                if polarity in (None, ink.polarity):
                    found = find_digit(ink, edges, near)
                    if found is not None and not _stands_out(grey, ink, found):
                        found = replace(found, is_stroke=False, weight=_GAP * found.weight)
                    if found is not None:
                        seen.append((ink, found))
            clear = [pair for pair in seen if _is_clear(*pair, seen)]
            if clear:
                return max(clear, key=lambda pair: pair[1].weight)
    return max(seen, key=lambda pair: pair[1].weight, default=None)


def _stands_out(grey: Grey, ink: Ink, found: Found) -> bool:
    """Whether what was found differs from what is around it, and not from strokes beside it alone.

    The gap between two strokes under uneven light does not. What fills its picture does.
    """
    left, top, width, height = found.box
    room = max(2, max(width, height) // 2)
    field = (
        slice(max(0, top - room), top + height + room),
        slice(max(0, left - room), left + width + room),
    )
    around = np.ones(grey.shape, bool)
    around[top : top + height, left : left + width] = False
    ring = grey[field][around[field]]
    if ring.size < _LEAST_RING * width * height:
        return True
    apart = float(np.median(ring)) - float(np.median(grey[found.mask]))
    if ink.polarity == "light on dark":
        apart = -apart
    return apart > _STANDS_OUT * float(np.median(ink.amount[found.mask]))


def _is_clear(ink: Ink, found: Found, seen: list[tuple[Ink, Found]]) -> bool:
    """Whether there is no need to look further.

    Not so for one edge among many, unless it is on a sheet that lies on something else, nor for
    what another digit on plain ground encloses, such as the inside of a 0.
    """
    around = [other for _, other in seen if _encloses(other.box, found.box)]
    on_sheet = ink.is_plain and any(other.is_solid and not other.is_framed for other in around)
    is_one_of_two = ink.is_plain and any(way.is_plain and way is not ink for way, _ in seen)
    least = _LEAST_OF_TWO if is_one_of_two else _LEAST_SHARE
    within = any(other.is_stroke and 2 * other.weight > found.weight for other in around)
    return found.is_stroke and not within and (found.share > least or on_sheet)


def _encloses(outer: Box, inner: Box) -> bool:
    return (
        outer != inner
        and outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and outer[0] + outer[2] >= inner[0] + inner[2]
        and outer[1] + outer[3] >= inner[1] + inner[3]
    )


def _inks(grey: Grey, widest_strokes: Sequence[float]) -> Iterator[Iterator[Ink]]:
    """The ways to read the ground, the surest first, each for both polarities."""
    yield ink_on_plain_ground(grey)
    for widest_stroke in widest_strokes:
        yield ink_on_uneven_ground(grey, widest_stroke)
