"""The shadow: a thread runs one version on images that the other one has answered."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter, thread_time
from typing import NamedTuple

from service.inference.runtime import Runtime
from service.models.loader import Loaded
from service.types import Images

SLOWER = 3.0
"""How many times the champion's processor time a challenger may take for the same images."""
_RUNS = 3


class Slow(Exception):
    """The challenger takes too long."""


class Piece(NamedTuple):
    """Images (n, 28, 28), and the digits that the champion or the challenger has answered."""

    images: Images
    digits: Sequence[int]
    champion: Loaded
    challenger: Loaded
    by_champion: bool


class Compared(NamedTuple):
    """How many images two versions have answered, and those on which they disagree."""

    champion: str
    challenger: str
    images: int
    apart: list[tuple[bytes, int, int]]
    """Pixels, the champion's digit, and the challenger's."""


def compare(piece: Piece, is_timed: bool) -> Compared:
    """Runs the version that has not answered. Raises whatever it raises, and :class:`Slow`."""
    images, known, champion, challenger, by_champion = piece
    if is_timed and _is_slow(challenger.runtime, champion.runtime, images):
        raise Slow(f"it takes more than {SLOWER:g} x the champion's time")
    other = challenger if by_champion else champion
    found = other.runtime.run(images).argmax(axis=1).tolist()
    pairs = zip(known, found, strict=True) if by_champion else zip(found, known, strict=True)
    apart = [(images[i].tobytes(), *pair) for i, pair in enumerate(pairs) if len(set(pair)) > 1]
    return Compared(champion.version, challenger.version, len(images), apart)


def _is_slow(challenger: Runtime, champion: Runtime, images: Images) -> bool:
    """Whether no run of several is fast enough, since other programs may slow down any of them."""
    most = SLOWER * min(_seconds(champion, images) for _ in range(_RUNS))
    return all(_seconds(challenger, images) > most for _ in range(_RUNS))


def _seconds(runtime: Runtime, images: Images) -> float:
    """The processor time of this thread for one run; on a GPU, the time."""
    clock = thread_time if runtime.report.active == "cpu" else perf_counter
    begun = clock()
    runtime.run(images)
    return clock() - begun
