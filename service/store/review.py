"""Which images a person should label: first those whose label would teach most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, delete, exists, func, or_, select

from service.store.images import insert
from service.store.tables import (
    ANSWERS,
    ASKED,
    DISAGREEMENTS,
    IMAGES,
    LABELS,
    LEASES,
    one_at_a_time,
)
from service.types import SIDE

LEASE_S = 300.0
"""How long nobody else is shown what a reviewer was shown."""
NARROW = 0.9
"""A margin below this is a reason of its own."""
_LOOKED_AT = 1000
"""Answers among which the best are sought, those of the smallest margin."""
_Row = Row[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Item:
    """An image for review; digit, confidence and version are of the newest answer about it."""

    image: str
    pixels: bytes
    digit: int | None
    confidence: float | None
    version: str | None
    reason: str
    at: float | None


def next_items(
    connection: Connection, caller: str, count: int, now: float
) -> tuple[int, list[Item]]:
    """How many images wait for a label, and the ``count`` that one would teach most.

    They are the caller's for :data:`LEASE_S` seconds. Those that are already come last, so that
    one who asks again gets others, and those that were skipped when nothing else is left.
    """
    one_at_a_time(connection)
    over = or_(LEASES.c.until <= now, LEASES.c.until > now + LEASE_S)  # the clock was put back
    connection.execute(delete(LEASES).where(over))
    own = set(connection.scalars(select(LEASES.c.image).where(LEASES.c.caller == caller)))
    reasons = dict[str, str]()
    shown = dict[str, str]()
    for image, reason in _in_order(connection, caller, count):
        (shown if image in own else reasons).setdefault(image, reason)
        if len(reasons) == count:
            break
    chosen = dict([*reasons.items(), *shown.items()][:count])
    put = insert(connection, LEASES)
    put = put.on_conflict_do_update(
        index_elements=["image"], set_={"caller": put.excluded.caller, "until": put.excluded.until}
    )
    leases = [{"image": i, "caller": caller, "until": now + LEASE_S} for i in sorted(chosen)]
    if leases:
        connection.execute(put, leases)
    unlabelled = select(func.count()).select_from(IMAGES).where(_unlabelled(IMAGES.c.id))
    asked = select(func.count()).select_from(ASKED)
    waiting = (connection.scalar(unlabelled) or 0) + (connection.scalar(asked) or 0)
    return waiting, _items(connection, chosen)


def _in_order(connection: Connection, caller: str, count: int) -> Iterator[tuple[str, str]]:
    """Images and reasons, what would teach most first."""

    def free(image: Any) -> Any:
        return ~exists().where(LEASES.c.image == image, LEASES.c.caller != caller)

    asked = select(ASKED.c.image, ASKED.c.reason).where(free(ASKED.c.image))
    yield from map(tuple, connection.execute(asked.limit(_LOOKED_AT)).all())
    both = DISAGREEMENTS.c
    differ = select(DISAGREEMENTS).where(_unlabelled(both.image), free(both.image))
    for row in connection.execute(differ.order_by(both.seen_at.desc()).limit(_LOOKED_AT)):
        yield row.image, f"versions disagree: {row.champion_digit}, {row.challenger_digit}"
    query = select(ANSWERS, IMAGES.c.pixels).join(IMAGES, IMAGES.c.id == ANSWERS.c.image)
    query = query.where(_unlabelled(ANSWERS.c.image), free(ANSWERS.c.image))
    rows = connection.execute(query.order_by(ANSWERS.c.margin).limit(_LOOKED_AT)).all()
    narrow = [row for row in rows if row.margin < NARROW]
    for row in narrow:
        yield row.image, f"the margin is {row.margin:.2f}"
    doubted = [row for row in rows[len(narrow) :] if row.doubts]
    for row in doubted:
        yield row.image, f"in doubt: {row.doubts}"
    rest = [row for row in rows[len(narrow) :] if not row.doubts]
    for row in _varied(rest, [*narrow, *doubted], count):
        yield row.image, "unlike the others"


def _varied(rows: Sequence[_Row], known: Sequence[_Row], count: int) -> Iterator[_Row]:
    """Each time the row whose image is farthest from all before it (Gonzalez, 1985)."""
    if not rows:
        return
    points = _coarse(rows)
    nearest = np.full(len(points), np.inf, np.float32)
    for point in _coarse(known):
        nearest = np.minimum(nearest, ((points - point) ** 2).sum(axis=1))
    for _ in range(min(len(rows), 2 * count)):
        index = int(nearest.argmax())
        yield rows[index]
        nearest = np.minimum(nearest, ((points - points[index]) ** 2).sum(axis=1))
        nearest[index] = -1


def _coarse(rows: Sequence[_Row]) -> Any:
    """The images as points of 49 means, each of 4 x 4 pixels; shape (n, 49)."""
    pixels = np.frombuffer(b"".join(row.pixels for row in rows), np.uint8)
    means = pixels.reshape(-1, SIDE // 4, 4, SIDE // 4, 4).mean(axis=(2, 4), dtype=np.float32)
    return means.reshape(-1, (SIDE // 4) ** 2)


def _items(connection: Connection, chosen: dict[str, str]) -> list[Item]:
    """The images with the facts of the newest answer about each."""
    pixels = select(IMAGES).where(IMAGES.c.id.in_(chosen))
    images = {row.id: row.pixels for row in connection.execute(pixels)}
    facts = dict[str, Item]()
    differ = select(DISAGREEMENTS).where(DISAGREEMENTS.c.image.in_(chosen))
    for row in connection.execute(differ.order_by(DISAGREEMENTS.c.id)):
        said = row.champion_digit, None, row.champion, chosen[row.image], row.seen_at
        facts[row.image] = Item(row.image, images[row.image], *said)
    answers = select(ANSWERS).where(ANSWERS.c.image.in_(chosen)).order_by(ANSWERS.c.id)
    for row in connection.execute(answers):
        said = row.digit, row.confidence, row.version, chosen[row.image], row.answered_at
        facts[row.image] = Item(row.image, images[row.image], *said)
    return [
        facts.get(image) or Item(image, images[image], None, None, None, reason, None)
        for image, reason in chosen.items()
    ]


def _unlabelled(image: Any) -> Any:
    return ~exists().where(LABELS.c.image == image)
