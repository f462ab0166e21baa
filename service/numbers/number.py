"""A whole number in a picture: its rows, the groups of strokes in them, and how they may be cut.

What the picture shows is turned into images of all that could be one digit, which the model looks
at all at once. Only groups that it is unsure of are cut then, and it looks at their pieces too;
the reading that it is surest of is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.imaging.load import Picture
from service.imaging.locate import Box
from service.imaging.pipeline import scaled
from service.imaging.threshold import Grey
from service.numbers.lattice import WEIGHTS
from service.numbers.lines import Group, lines_in
from service.numbers.row import Row, cut, row_of
from service.types import SIDE, Images, Probabilities

SMALL, OVERVIEW = 600_000, 300_000
"""A picture of more pixels than small is searched for digits in an overview of so many at most."""
LEAST, LARGEST = 250_000, 900_000
"""The most pixels in which digits are looked at: of few digits, and of any number."""
EACH = 15_000
"""The pixels that one digit needs there, with the ground around it."""
LONGEST = 1600
"""The longest side of either."""
HEIGHT = 72
"""Digits are looked at when they are reduced to some such height, in pixels."""
_HIGHEST = 4
"""What is higher than so many of the digits' heights is none."""
_CUTS, _MOST_CUTS, _MOST_IN_ALL = 8, 40, 60
"""How many cuts are tried for a group as wide as high, for any, and for all together."""
_SURE = 1.0
"""What costs less is one digit so surely that no cut need be tried."""
_LOW = 0.5
"""What is lower, in heights of the row, is no several digits."""
_FEW, _WIDE, _MOST = 16, 1.1, 0.75
"""Of more groups than few only wide ones are cut, in heights of the group, and none where most of
all are unsure: they are a texture."""


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit read: which, how surely, and where in the upright original."""

    digit: int
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class View:
    """What was looked at: where it begins in the picture, and how much smaller it is."""

    left: int = 0
    top: int = 0
    zoom: float = 1.0
    to_original: float = 1.0

    def in_original(self, box: Box) -> Box:
        """A box of the view in the upright original."""
        left, top = self.left + box[0] * self.zoom, self.top + box[1] * self.zoom
        across, down, wide, high = (
            round(side * self.to_original)
            for side in (left, top, box[2] * self.zoom, box[3] * self.zoom)
        )
        return across, down, max(1, wide), max(1, high)


@dataclass(frozen=True, slots=True)
class Number:
    """All that could be digits, row by row."""

    rows: list[Row]
    images: Images
    view: View = View()

    def cut(self, probabilities: Probabilities) -> Number:
        """The number with cuts through what is not surely one digit: it has more images.

        ``probabilities`` (n, 10) are those of the images that it has.
        """
        unsure = [_unsure(row, probabilities) for row in self.rows]
        images = list(self.images)
        rows = [
            cut(row, most, images) if most else row
            for row, most in zip(self.rows, _cuts_of(self.rows, unsure), strict=True)
        ]
        return replace(self, rows=rows, images=_stacked(images))

    def read(
        self,
        probabilities: Probabilities,
        least: float,
        weights: Mapping[str, float] = WEIGHTS,
    ) -> list[list[Digit]]:
        """The digits of each line, from the probabilities (n, 10) of the images.

        What is less sure than ``least`` is no digit and left out; ``weights`` are the lattice's.
        """
        digits, sure = _told(probabilities)
        lines = []
        for row in self.rows:
            line = [
                Digit(
                    int(digits[piece.image]),
                    float(sure[piece.image]),
                    self.view.in_original(piece.box),
                )
                for piece, _ in row.lattice.way(digits, sure, weights)
                if sure[piece.image] >= least
            ]
            if line:
                lines.append(line)
        return lines


def number_in(picture: Picture) -> Number:
    """The groups of strokes in a picture, each as if it were one digit; none where it is blank."""
    grey = picture.grey
    lines, view = _looked_at(grey)
    images: list[Grey] = []
    rows = [row_of(line, images) for line in lines if line]
    view = replace(view, to_original=picture.original[0] / grey.shape[1])
    return Number(rows, _stacked(images), view)


def _looked_at(grey: Grey) -> tuple[list[list[Group]], View]:
    """The lines of a picture, looked at from so near that its digits have some ``HEIGHT``."""
    factor = ceil(max(1, _over(grey, OVERVIEW if grey.size > SMALL else SMALL)))
    overview = _reduced(grey, factor)
    lines = lines_in(overview)
    if not lines:
        return [], View()
    around = _around([group.box for line in lines for group in line])
    left, top, width, height = scaled(around, factor, grey.shape)
    close_up = np.ascontiguousarray(grey[top : top + height, left : left + width])
    tall = _median_height(lines) * factor
    most = min(max(LEAST, EACH * sum(map(len, lines))), LARGEST)
    zoom = max(1, round(tall / HEIGHT), _over(close_up, most))
    if zoom == factor and 2 * close_up.size > overview.size * factor**2:  # nearly the same picture
        return _of_like_height(lines), View(zoom=zoom)
    nearer = lines_in(_reduced(close_up, zoom))
    if not nearer:
        return _of_like_height(lines), View(zoom=factor)
    return _of_like_height(nearer), View(left, top, zoom)


def _over(grey: Grey, most: int) -> float:
    """By how much a picture is to be reduced to have at most so many pixels."""
    return float(max(sqrt(grey.size / most), max(grey.shape) / LONGEST))


def _reduced(grey: Grey, factor: float) -> Grey:
    if factor == 1:
        return grey
    image = Image.fromarray(grey)
    if factor == round(factor):
        return np.asarray(image.reduce(round(factor)))
    size = round(image.width / factor), round(image.height / factor)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def _median_height(lines: list[list[Group]]) -> float:
    return float(np.median([group.box[3] for line in lines for group in line]))


def _of_like_height(lines: list[list[Group]]) -> list[list[Group]]:
    """The lines less what is far higher than most of their groups."""
    highest = _HIGHEST * _median_height(lines)
    return [[group for group in line if group.box[3] <= highest] for line in lines]


def _stacked(images: list[Grey]) -> Images:
    return np.array(images, np.uint8).reshape(-1, SIDE, SIDE)


def _told(probabilities: Probabilities) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """What each image is taken for, and how surely."""
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def _unsure(row: Row, probabilities: Probabilities) -> list[int]:
    """The groups of a row that are not surely one digit, nor part of one, nor low."""
    way = row.lattice.way(*_told(probabilities))
    known = {at for piece, cost in way if cost < _SURE for at in range(piece.first, piece.last)}
    low = _LOW * row.lattice.tall
    return [at for at, group in enumerate(row.groups) if at not in known and group.box[3] >= low]


def _cuts_of(rows: list[Row], unsure: list[list[int]]) -> list[dict[int, int]]:
    """How many cuts are tried for each unsure group: the wider, the more, up to a bound for all."""
    wide = [
        {at: row.groups[at].box[2] / row.groups[at].box[3] for at in groups}
        for row, groups in zip(rows, unsure, strict=True)
    ]
    total = sum(sum(one.values()) for one in wide)
    each = min(_CUTS, _MOST_IN_ALL / total) if total else 0
    count = sum(map(len, wide))
    if count > _FEW and count > _MOST * sum(len(row.groups) for row in rows):
        return [{} for _ in rows]
    least = 0 if count <= _FEW else _WIDE
    return [
        {at: min(_MOST_CUTS, ceil(each * width)) for at, width in one.items() if width > least}
        for one in wide
    ]


def _around(boxes: list[Box]) -> Box:
    """A box around all, with room for half a digit on each side."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right = max(box[0] + box[2] for box in boxes)
    bottom = max(box[1] + box[3] for box in boxes)
    room = max(4, max(box[3] for box in boxes) // 2)
    left, top = max(0, left - room), max(0, top - room)
    return left, top, right + room - left, bottom + room - top
