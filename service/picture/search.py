"""Searches a picture for its digit in every way that its ground can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.picture.find import Box, Found, find_digit, steepness
from service.picture.ground import (
    Grey,
    Ink,
    Polarity,
    ink_on_plain_ground,
    ink_on_uneven_ground,
    without_grain,
)

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
    for inks in _inks(grey, widest_strokes):
        for ink in inks:
            if polarity in (None, ink.polarity):
                found = find_digit(ink, edges, near)
                if found is not None:
                    seen.append((ink, found))
        clear = [pair for pair in seen if pair[1].is_clear]
        whole = [(ink, found) for ink, found in clear if not _is_enclosed(found, clear)]
        if clear:
            return max(whole, key=lambda pair: pair[1].weight)
    return max(seen, key=lambda pair: pair[1].weight, default=None)


def _is_enclosed(found: Found, pairs: list[tuple[Ink, Found]]) -> bool:
    """Whether a digit lies within another on plain ground: it is what that one encloses."""
    left, top, width, height = found.box
    return any(
        ink.is_plain
        and other.box[0] <= left
        and other.box[1] <= top
        and other.box[0] + other.box[2] >= left + width
        and other.box[1] + other.box[3] >= top + height
        and other.box != found.box
        and other.weight > 0.5 * found.weight
        for ink, other in pairs
    )


def _inks(grey: Grey, widest_strokes: Sequence[float]) -> Iterator[Iterator[Ink]]:
    """The ways to read the ground, the surest first, each for both polarities."""
    yield ink_on_plain_ground(grey)
    for widest_stroke in widest_strokes:
        yield ink_on_uneven_ground(grey, widest_stroke)
