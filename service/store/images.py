"""Images of the store: each is kept once, under the SHA-256 of its pixels."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, select
from sqlalchemy.dialects import postgresql, sqlite

from service.store.store import DELETED
from service.store.tables import ANSWERS, ASKED, DISAGREEMENTS, IMAGES, LABELS, LEASES

_MOST_NAMES = 500
"""Parameters in one statement; SQLite takes 999 at least."""


def keep_images(connection: Connection, images: Iterable[bytes]) -> list[str]:
    """Keeps images of 784 bytes, and returns the id of each, in the order of the images."""
    named = [(sha256(pixels).hexdigest(), pixels) for pixels in images]
    # In one order in every process: two that insert the same rows crosswise would lock each other.
    rows = [{"id": name, "pixels": pixels} for name, pixels in sorted(named)]
    if rows:
        connection.execute(insert(connection, IMAGES).on_conflict_do_nothing(), rows)
    return [name for name, _ in named]


def drop_unused(connection: Connection, ids: Iterable[str]) -> None:
    """Deletes those of the images that no answer, label or disagreement is about."""
    names = sorted(set(ids))
    users = (ANSWERS, LABELS, DISAGREEMENTS)
    free = [~exists().where(table.c.image == IMAGES.c.id) for table in users]
    for first in range(0, len(names), _MOST_NAMES):
        some = IMAGES.c.id.in_(names[first : first + _MOST_NAMES])
        gone = connection.scalars(select(IMAGES.c.id).where(some, *free)).all()
        for column in (ASKED.c.image, LEASES.c.image, IMAGES.c.id):
            connection.execute(delete(column.table).where(column.in_(gone)))
    connection.info[DELETED] = True


def insert(connection: Connection, table: Table) -> Any:
    """An INSERT that can say what to do where the row is there already."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
