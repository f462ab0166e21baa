"""Which images a person should label: first those whose label would teach most."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Table, delete, exists, func, or_, select

from service.store.images import insert
from service.store.tables import ANSWERS, ASKED, DISAGREEMENTS, IMAGES, LABELS, LEASES, lock
from service.types import SIDE

LEASE_S = 300.0
"""How long nobody else is shown what a reviewer was shown."""
CLOSE = 0.2
"""A second probability from here on is a reason of its own."""
_LOOKED_AT = 1000
"""Answers among which the best are sought, those of the smallest margins."""
_Row = Row[tuple[Any, ...]]
Item = dict[str, Any]
"""``id`` and ``pixels`` of an image, a ``reason``, and of an answer about it, unless none is kept,
``digit``, ``confidence``, ``version`` and ``at``."""


def next_items(
    connection: Connection, caller: str, count: int, now: float
) -> tuple[int, list[Item]]:
    """How many images wait for a label, and the ``count`` that one would teach most.

    They are the caller's for :data:`LEASE_S` seconds. Those that are already come last, so that
    one who asks again gets others, and those that were skipped when nothing else is left.
    """
    lock(connection)
    over = or_(LEASES.c.until <= now, LEASES.c.until > now + LEASE_S)  # the clock was put back
    connection.execute(delete(LEASES).where(over))
    own = set(connection.scalars(select(LEASES.c.image).where(LEASES.c.caller == caller)))
    fresh, shown = dict[str, Item](), dict[str, Item]()
    for item in _in_order(connection, caller, count):
        (shown if item["id"] in own else fresh).setdefault(item["id"], item)
        if len(fresh) == count:
            break
    chosen = [*fresh.values(), *shown.values()][:count]
    lease = {"caller": caller, "until": now + LEASE_S}
    put = insert(connection, LEASES).on_conflict_do_update(index_elements=["image"], set_=lease)
    if chosen:
        connection.execute(put, [lease | {"image": item["id"]} for item in chosen])
    images = select(func.count()).select_from(IMAGES).where(_unlabelled(IMAGES.c.id))
    asked = select(func.count()).select_from(ASKED)
    return (connection.scalar(images) or 0) + (connection.scalar(asked) or 0), chosen


def _in_order(connection: Connection, caller: str, count: int) -> Iterator[Item]:
    """Images for review, what would teach most first."""

    def rows(first: Table, *order: Any, again: bool = False) -> Sequence[_Row]:
        image, said = first.c.image, ANSWERS.c
        query = select(IMAGES.c.pixels, *first.c).join(IMAGES, IMAGES.c.id == image)
        if first is not ANSWERS:
            facts = (said.digit, said.confidence, said.version, said.answered_at, said.id)
            query = query.add_columns(*facts).outerjoin(ANSWERS, said.image == image)
            order = (*order, said.id.desc())
        free = ~exists().where(LEASES.c.image == image, LEASES.c.caller != caller)
        query = query.where(free if again else free & _unlabelled(image))
        return connection.execute(query.order_by(*order).limit(_LOOKED_AT)).all()

    for row in rows(ASKED, again=True):
        yield _item(row, row.reason)
    for row in rows(DISAGREEMENTS, DISAGREEMENTS.c.seen_at.desc()):
        said = {"digit": row.champion_digit, "version": row.champion}
        reads = f"version {row.champion} reads {row.champion_digit}"
        reads += f", version {row.challenger} reads {row.challenger_digit}"
        yield _item(row, f"versions disagree: {reads}") | said
    # A scribble has a small margin too, but its two likeliest digits have little probability.
    answers = rows(ANSWERS, ANSWERS.c.second.desc())
    first = [row for row in answers if row.second >= CLOSE]
    first += [row for row in answers[len(first) :] if row.doubts]
    for row in first:
        torn = f"unsure: {row.confidence:.2f} for {row.digit}, {row.second:.2f} for another digit"
        yield _item(row, torn if row.second >= CLOSE else f"in doubt: {row.doubts}")
    rest = [row for row in answers if row.second < CLOSE and not row.doubts]
    for row in _varied(rest, first, 2 * count):
        yield _item(row, "unlike the others")


def _item(row: _Row, reason: str) -> Item:
    said = {"digit": row.digit, "confidence": row.confidence, "version": row.version}
    return {"id": row.image, "pixels": row.pixels, "reason": reason, "at": row.answered_at, **said}


def _varied(rows: Sequence[_Row], known: Sequence[_Row], count: int) -> Iterator[_Row]:
    """Each time the row whose image is farthest from all before it (Gonzalez, 1985)."""
    points = _coarse(rows)
    nearest = np.full(len(points), np.inf, np.float32)
    for point in _coarse(known):
        nearest = np.minimum(nearest, ((points - point) ** 2).sum(axis=1))
    for _ in range(min(len(rows), count)):
        index = int(nearest.argmax())
        yield rows[index]
        nearest = np.minimum(nearest, ((points - points[index]) ** 2).sum(axis=1))
        nearest[index] = -1


def _coarse(rows: Sequence[_Row]) -> Any:
    """The images as points of 49 means, each of 4 x 4 pixels; shape (n, 49)."""
    pixels = np.frombuffer(b"".join(row.pixels for row in rows), np.uint8)
    means = pixels.reshape(-1, SIDE // 4, 4, SIDE // 4, 4).mean(axis=(2, 4), dtype=np.float32)
    return means.reshape(-1, (SIDE // 4) ** 2)


def _unlabelled(image: Any) -> Any:
    return ~exists().where(LABELS.c.image == image)
