"""The labelled images of the store, as training and the export take them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from service.store.tables import IMAGES, LABELS
from service.types import SIDE, Images

NO_DIGIT = -1
LEAST_JUDGED = 5
"""A caller is judged once others have labelled this many of the caller's images."""
MOST_CONTRADICTED = 0.25
"""The largest share of those that others may contradict."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images whose labels agree, oldest label first."""

    images: Images
    digits: NDArray[np.int64]
    """Shape (n,), 0 to 9, -1 for no digit."""
    ids: list[str]
    """Of the images: the SHA-256 of their pixels."""
    labels: list[str]
    """The ids of the oldest label of each image."""
    callers: list[str]
    """Who gave that label."""
    labelled_at: NDArray[np.float64]
    """When, in seconds since 1970."""


def labelled(connection: Connection) -> Labelled:
    """All images whose labels agree, without the labels of :func:`contradicted` callers."""
    query = select(LABELS, IMAGES.c.pixels).join(IMAGES, IMAGES.c.id == LABELS.c.image)
    rows = connection.execute(query.order_by(LABELS.c.labelled_at, LABELS.c.id)).all()
    distrusted = contradicted(rows)
    by_image: dict[str, list[Row[tuple[object, ...]]]] = defaultdict(list)
    for row in rows:
        if row.caller not in distrusted:
            by_image[row.image].append(row)
    used = [each[0] for each in by_image.values() if len({row.digit for row in each}) == 1]
    pixels = b"".join(row.pixels for row in used)
    return Labelled(
        images=np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE),
        digits=np.array([NO_DIGIT if row.digit is None else row.digit for row in used], np.int64),
        ids=[row.image for row in used],
        labels=[row.id for row in used],
        callers=[row.caller for row in used],
        labelled_at=np.array([row.labelled_at for row in used], np.float64),
    )


def contradicted(rows: Iterable[Row[tuple[object, ...]]]) -> set[str]:
    """The callers whose labels others contradict too often to be used.

    Each label is held against what other reviewers say about the image, if any do; one that came as
    feedback also against two others or more who gave feedback. Where these differ, nobody is wrong.
    """
    by_image: dict[str, list[Row[tuple[object, ...]]]] = defaultdict(list)
    for row in rows:
        by_image[row.image].append(row)
    judged, wrong = Counter[str](), Counter[str]()
    for about in by_image.values():
        for row in about if len(about) > 1 else ():
            others = [each for each in about if each.caller != row.caller]
            said = [each.digit for each in others if each.source == "review"]
            if not said and row.source == "feedback" and len(others) > 1:
                said = [each.digit for each in others]
            if len(set(said)) == 1:
                judged[row.caller] += 1
                wrong[row.caller] += said[0] != row.digit
    return {
        caller
        for caller, count in judged.items()
        if count >= LEAST_JUDGED and wrong[caller] > MOST_CONTRADICTED * count
    }
