"""Which images a person should label: first those whose label would teach most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, delete, exists, func, or_, select

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
"""An image for review: ``id``, ``pixels``, ``reason``, and of the newest answer about it, if it is
kept, ``digit``, ``confidence``, ``version`` and ``at``."""


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
    fresh, shown = dict[str, str](), dict[str, str]()
    for image, reason in _in_order(connection, caller, count):
        (shown if image in own else fresh).setdefault(image, reason)
        if len(fresh) == count:
            break
    chosen = dict([*fresh.items(), *shown.items()][:count])
    lease = {"caller": caller, "until": now + LEASE_S}
    put = insert(connection, LEASES).on_conflict_do_update(index_elements=["image"], set_=lease)
    if chosen:
        connection.execute(put, [lease | {"image": image} for image in chosen])
    images = select(func.count()).select_from(IMAGES).where(_unlabelled(IMAGES.c.id))
    asked = select(func.count()).select_from(ASKED)
    waiting = (connection.scalar(images) or 0) + (connection.scalar(asked) or 0)
    return waiting, _items(connection, chosen)


def _in_order(connection: Connection, caller: str, count: int) -> Iterator[tuple[str, str]]:
    """Images and reasons, what would teach most first."""

    def free(image: Any) -> Any:
        return ~exists().where(LEASES.c.image == image, LEASES.c.caller != caller)

    for row in connection.execute(select(ASKED).where(free(ASKED.c.image)).limit(_LOOKED_AT)):
        yield row.image, row.reason
    both = DISAGREEMENTS.c
    differ = select(DISAGREEMENTS).where(_unlabelled(both.image), free(both.image))
    for row in connection.execute(differ.order_by(both.seen_at.desc()).limit(_LOOKED_AT)):
        yield row.image, f"versions disagree: {row.champion_digit}, {row.challenger_digit}"
    query = select(ANSWERS, IMAGES.c.pixels).join(IMAGES, IMAGES.c.id == ANSWERS.c.image)
    query = query.where(_unlabelled(ANSWERS.c.image), free(ANSWERS.c.image))
    # A scribble has a small margin too, but its two likeliest digits have little probability.
    rows = connection.execute(query.order_by(ANSWERS.c.second.desc()).limit(_LOOKED_AT)).all()
    first = [row for row in rows if row.second >= CLOSE]
    first += [row for row in rows[len(first) :] if row.doubts]
    for row in first:
        margin = f"the margin is {row.confidence - row.second:.2f}"
        yield row.image, margin if row.second >= CLOSE else f"in doubt: {row.doubts}"
    rest = [row for row in rows if row.second < CLOSE and not row.doubts]
    for row in _varied(rest, first, 2 * count):
        yield row.image, "unlike the others"


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


def _items(connection: Connection, chosen: dict[str, str]) -> list[Item]:
    """The images with the facts of the newest answer about each."""
    rows = connection.execute(select(IMAGES).where(IMAGES.c.id.in_(chosen)))
    nothing = dict.fromkeys(("digit", "confidence", "version", "at"))
    items = {row.id: {**row._mapping, **nothing, "reason": chosen[row.id]} for row in rows}
    both, facts = DISAGREEMENTS.c, ANSWERS.c
    differ = select(both.image, both.champion_digit.label("digit"), both.champion.label("version"))
    differ = differ.add_columns(both.seen_at.label("at")).order_by(both.id)
    said = select(facts.image, facts.digit, facts.confidence, facts.version)
    said = said.add_columns(facts.answered_at.label("at")).order_by(facts.id)
    for query, image in ((differ, both.image), (said, facts.image)):
        for row in connection.execute(query.where(image.in_(chosen))):
            items[row.image] |= row._mapping
    return [items[image] for image in chosen]


def _unlabelled(image: Any) -> Any:
    return ~exists().where(LABELS.c.image == image)
