"""Read a whole number in a picture, in the two steps between which the model runs.

The first step returns images of everything that could be one digit, for one batch. The second cuts
the groups of which the model is not sure, and appends the images of their pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil, inf, sqrt

import numpy as np

from service.imaging.components import Box, union
from service.imaging.load import Picture
from service.imaging.pipeline import reduced
from service.imaging.threshold import Grey
from service.numbers.lattice import WEIGHTS, Piece, Row
from service.numbers.lines import Group, lines_in
from service.numbers.row import cut, row_of
from service.types import SIDE, Images, Probabilities

_SMALL, _OVERVIEW = 600_000, 300_000
"""A picture of more than _SMALL pixels is searched for digits in an overview of _OVERVIEW."""
_LEAST, _LARGEST = 250_000, 900_000
"""The pixels of the close-up: at most _LEAST for few digits, and _LARGEST for any number."""
_EACH = 15_000  # the pixels of the close-up for each digit, with the background around it
_LONGEST = 1600  # the longest side of the overview and of the close-up
_HEIGHT = 72  # the close-up is reduced until digits are about this high, in pixels
_HIGHEST = 4  # a group higher than so many median heights is no digit
_CUTS, _MOST_CUTS, _MOST_CUTS_IN_ALL = 8, 40, 60
"""The cuts to try for a group as wide as high, for any group, and for all groups together."""
_SURE = 1.0  # a piece of a lower cost is certainly one digit, so its group needs no cuts
_LOW = 0.5  # a lower group, in heights of the row, is not several digits
_FEW, _WIDE, _MOST_UNSURE = 16, 1.1, 0.75
"""Of more than _FEW unsure groups only those wider than _WIDE heights are cut. If they are more
than the share _MOST_UNSURE of all groups, they are a texture, and none is cut."""


@dataclass(frozen=True, slots=True)
class Digit:
    """A digit that was read, with its confidence and its box in the upright original."""

    digit: int
    confidence: float
    box: Box
    probabilities: Probabilities = field(compare=False)  # those of the ten digits, (10,)


@dataclass(frozen=True, slots=True)
class View:
    """The close-up: its corner in the picture, and the factors to the picture and the original."""

    left: int = 0
    top: int = 0
    zoom: float = 1.0
    to_original: float = 1.0

    def in_original(self, box: Box) -> Box:
        """Converts a box of the close-up to the upright original."""
        left, top, width, height = (side * self.zoom for side in box)
        sides = self.left + left, self.top + top, width, height
        left, top, width, height = (round(side * self.to_original) for side in sides)
        return Box(left, top, max(1, width), max(1, height))


@dataclass(frozen=True, slots=True)
class Number:
    """Everything in a picture that could be a digit, row by row."""

    rows: list[Row]
    images: Images
    view: View = View()

    def cut(self, probabilities: Probabilities) -> Number:
        """Returns the number with cuts through every group that is not surely one digit."""
        # probabilities (n, 10) are the model's answer for the images. The result appends images.
        unsure = [_unsure(row, probabilities) for row in self.rows]
        images = list(self.images)
        rows = [
            cut(row, most, images) if most else row
            for row, most in zip(self.rows, _count_cuts(self.rows, unsure), strict=True)
        ]
        return replace(self, rows=rows, images=_stack(images))

    def read(
        self, probabilities: Probabilities, least: float, weights: Mapping[str, float] = WEIGHTS
    ) -> list[list[Digit]]:
        """Returns the digits of each line whose ``probabilities`` (n, 10) reach ``least``."""
        digits, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)

        def digit(one: Piece) -> Digit:
            box = self.view.in_original(one.box)
            at = one.image
            return Digit(int(digits[at]), float(confidence[at]), box, probabilities[at])

        paths = (row.best_path(digits, confidence, weights) for row in self.rows)
        lines = ([one for one, _ in path if confidence[one.image] >= least] for path in paths)
        return [[digit(one) for one in line] for line in lines if line]


def segment(picture: Picture) -> Number:
    """Returns everything in a picture that could be a digit; no rows for no digit."""
    lines, view = _close_up(picture.grey)
    highest = _HIGHEST * _median_height(lines) if lines else 0
    kept = ([group for group in line if group.box.height <= highest] for line in lines)
    images: list[Grey] = []
    rows = [row_of(line, images) for line in kept if line]
    view = replace(view, to_original=picture.original[0] / picture.grey.shape[1])
    return Number(rows, _stack(images), view)


def _close_up(grey: Grey) -> tuple[list[list[Group]], View]:
    """Returns the lines of a picture, reduced until its digits are about 72 pixels high."""
    factor = ceil(max(1, _reduction(grey, _OVERVIEW if grey.size > _SMALL else _SMALL)))
    overview = reduced(grey, factor)
    lines = lines_in(overview)
    if not lines:
        return [], View()
    boxes = [group.box for line in lines for group in line]
    margin = max(4, max(box.height for box in boxes) // 2)
    around = union(boxes).grown(margin).times(factor, grey.shape)
    close_up = np.ascontiguousarray(grey[around.slices])
    height = _median_height(lines) * factor
    most = min(max(_LEAST, _EACH * sum(map(len, lines))), _LARGEST)
    zoom = max(1, round(height / _HEIGHT), _reduction(close_up, most))
    is_nearly_the_same = zoom == factor and 2 * close_up.size > overview.size * factor**2
    nearer = [] if is_nearly_the_same else lines_in(reduced(close_up, zoom))
    if nearer:
        return nearer, View(around.left, around.top, zoom)
    return lines, View(zoom=factor)


def _reduction(grey: Grey, most: int) -> float:
    """Returns the factor that reduces a picture to at most ``most`` pixels."""
    return float(max(sqrt(grey.size / most), max(grey.shape) / _LONGEST))


def _median_height(lines: list[list[Group]]) -> float:
    return float(np.median([group.box.height for line in lines for group in line]))


def _stack(images: list[Grey]) -> Images:
    return np.array(images, np.uint8).reshape(-1, SIDE, SIDE)


def _unsure(row: Row, probabilities: Probabilities) -> list[int]:
    """Returns the groups of a row that are neither low nor surely one digit or part of one."""
    path = row.best_path(probabilities.argmax(axis=1), probabilities.max(axis=1))
    sure = {at for piece, cost in path if cost < _SURE for at in range(piece.first, piece.last)}
    low = _LOW * row.height
    return [at for at, one in enumerate(row.groups) if at not in sure and one.box.height >= low]


def _count_cuts(rows: list[Row], unsure: list[list[int]]) -> list[dict[int, int]]:
    """Returns how many cuts to try for each unsure group: more for wider groups."""
    wide = [
        {at: row.groups[at].box.width / row.groups[at].box.height for at in groups}
        for row, groups in zip(rows, unsure, strict=True)
    ]
    total = sum(sum(one.values()) for one in wide)
    each = min(_CUTS, _MOST_CUTS_IN_ALL / total) if total else 0
    count = sum(map(len, wide))
    least = _WIDE if count > _FEW else 0
    if count > max(_FEW, _MOST_UNSURE * sum(len(row.groups) for row in rows)):
        least = inf
    return [
        {at: min(_MOST_CUTS, ceil(each * width)) for at, width in one.items() if width > least}
        for one in wide
    ]
