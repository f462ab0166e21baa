"""One run of the model: its images, what came of them, and what is worked out for all at once.

The requests whose images were run together each need their digits, their doubts and their part of
an answer. To work these out for all rows in one go costs hardly more than for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from service.background.large_work import give_way
from service.types import Images, Probabilities

Item = TypeVar("Item")

PIECE_ROWS = 256


class Run:
    """Images (n, 28, 28) uint8 and their probabilities (n, 10) float32."""

    __slots__ = ("_made", "images", "probabilities")

    def __init__(self, images: Images, probabilities: Probabilities) -> None:
        self.images = images
        self.probabilities = probabilities
        self._made: dict[Any, list[Any]] = {}

    def each(self, work: Callable[[Run], list[Item]]) -> list[Item]:
        """What ``work`` makes of each image; it is done once, when it is first asked for.

        It is done for up to ``PIECE_ROWS`` at once, since other threads wait for as long.
        """
        made = self._made.get(work)
        if made is None:
            made = self._made[work] = work(self) if self._is_short else self._piecewise(work)
        return made

    @property
    def _is_short(self) -> bool:
        return len(self.images) <= PIECE_ROWS

    def _piecewise(self, work: Callable[[Run], list[Item]]) -> list[Item]:
        made: list[Item] = []
        for first in range(0, len(self.images), PIECE_ROWS):
            piece = slice(first, first + PIECE_ROWS)
            made += work(Run(self.images[piece], self.probabilities[piece]))
            give_way()
        return made


def digits(run: Run) -> list[int]:
    """The likeliest digit of each image; of equal ones the lowest."""
    likeliest: list[int] = run.probabilities.argmax(axis=1).tolist()
    return likeliest
