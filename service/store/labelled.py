"""The labelled images of the store, as training and the export take them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from service.store.tables import IMAGES, LABELS
from service.types import SIDE, Images

NO_DIGIT = -1
LEAST_JUDGED, MOST_CONTRADICTED = 5, 0.25
"""A caller is judged by so many labels or more, and distrusted if others contradict a larger share
of them."""
_Row = Row[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images whose labels agree, oldest label first."""

    images: Images
    digits: NDArray[np.int64]
    """Shape (n,), 0 to 9, -1 for no digit."""
    ids: list[str]
    """Of the images: the SHA-256 of their pixels."""
    labels: list[str]
    """The ids of the oldest label of each image; ``callers`` gave it at ``labelled_at``."""
    callers: list[str]
    labelled_at: NDArray[np.float64]
    agreed: NDArray[np.bool_]
    """Whether two or more callers gave it."""


def labelled(connection: Connection) -> Labelled:
    """All images whose labels agree, without the labels of :func:`contradicted` callers."""
    query = select(LABELS, IMAGES.c.pixels).join(IMAGES, IMAGES.c.id == LABELS.c.image)
    rows = connection.execute(query.order_by(LABELS.c.labelled_at, LABELS.c.id)).all()
    distrusted = contradicted(rows)
    trusted = _by_image(row for row in rows if row.caller not in distrusted)
    groups = [each for each in trusted if len({row.digit for row in each}) == 1]
    used = [each[0] for each in groups]
    return Labelled(
        np.frombuffer(b"".join(row.pixels for row in used), np.uint8).reshape(-1, SIDE, SIDE),
        np.array([NO_DIGIT if row.digit is None else row.digit for row in used], np.int64),
        *([row.image for row in used], [row.id for row in used], [row.caller for row in used]),
        np.array([row.labelled_at for row in used], np.float64),
        np.array([len(each) > 1 for each in groups], np.bool_),
    )


def contradicted(rows: Iterable[_Row]) -> set[str]:
    """The callers whose labels others contradict too often to be used.

    Each label is held against what other reviewers say about the image, if any do; one that came as
    feedback also against two others or more who gave feedback. Where these differ, nobody is wrong.
    """
    judged, wrong = Counter[str](), Counter[str]()
    for about in _by_image(rows):
        for row in about if len(about) > 1 else ():
            others = [each for each in about if each.caller != row.caller]
            said = {each.digit for each in others if each.source == "review"}
            if not said and row.source == "feedback" and len(others) > 1:
                said = {each.digit for each in others}
            if len(said) == 1:
                judged[row.caller] += 1
                wrong[row.caller] += row.digit not in said
    often = (caller for caller, count in judged.items() if count >= LEAST_JUDGED)
    return {caller for caller in often if wrong[caller] > MOST_CONTRADICTED * judged[caller]}


def _by_image(rows: Iterable[_Row]) -> Collection[list[_Row]]:
    groups: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[row.image].append(row)
    return groups.values()
