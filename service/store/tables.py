"""The tables of the store, its images, and how a store of an older form is brought to this one.

Times are in seconds since 1970.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Float, Integer, Table, Text, delete, exists, select
from sqlalchemy.dialects import postgresql, sqlite

from service.errors import Unavailable

METADATA = sql.MetaData()
DELETED = "deleted"
"""The flag in ``connection.info`` of work that deleted what must not stay in any file."""
_MOST_NAMES = 500  # parameters in one statement; SQLite takes 999 at least
_LOCK = 0x6D6E697374  # PostgreSQL's lock for what one process at a time does


def _number() -> Column[int]:
    return Column("id", sql.BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _image(**options: Any) -> Column[str]:
    return Column("image", Text, sql.ForeignKey("images.id"), nullable=False, **options)


def _columns(kind: type[Any], *names: str) -> list[Column[Any]]:
    return [Column(name, kind, nullable=False) for name in names]


IMAGES = Table(
    "images",
    METADATA,
    Column("id", Text, primary_key=True, comment="SHA-256 of the pixels, in hex"),
    *_columns(sql.LargeBinary, "pixels"),
)
ANSWERS = Table(
    "answers",
    METADATA,
    _number(),
    _image(index=True),
    *_columns(Text, "request_id", "caller", "version", "doubts"),
    *_columns(Integer, "position", "digit"),
    *_columns(Float, "answered_at", "confidence", "second"),
    sql.Index("answers_by_request", "request_id", "position"),
    sql.Index("answers_by_second", "second"),
)
"""The image at ``position`` of a request; ``second`` is the second largest probability."""
LABELS = Table(
    "labels",
    METADATA,
    Column("id", Text, primary_key=True),
    _image(),
    Column("digit", Integer, nullable=True, comment="null: no digit"),
    *_columns(Text, "caller", "source"),
    *_columns(Float, "labelled_at"),
    sql.UniqueConstraint("image", "caller"),
)
"""``source`` is feedback or review."""
DISAGREEMENTS = Table(
    "disagreements",
    METADATA,
    _number(),
    _image(index=True),
    *_columns(Text, "champion", "challenger"),
    *_columns(Integer, "champion_digit", "challenger_digit"),
    *_columns(Float, "seen_at"),
)
CHALLENGES = Table(
    "challenges",
    METADATA,
    Column("champion", Text, primary_key=True),
    Column("challenger", Text, primary_key=True),
    *_columns(Integer, "images", "agreed"),
    Column("failed", Text, nullable=True, comment="the begin of the challenge that failed"),
    Column("failure", Text, nullable=True),
)
ASKED = Table("asked", METADATA, _image(primary_key=True), *_columns(Text, "reason"))
"""Images that a reviewer should see whether they have labels or not."""
LEASES = Table(
    "leases",
    METADATA,
    _image(primary_key=True),
    *_columns(Text, "caller"),
    *_columns(Float, "until"),
)
"""Images that a reviewer has before them."""
_SCHEMA = Table("schema", METADATA, *_columns(Integer, "version"))


UPGRADES = (METADATA.create_all,)
"""The first brings a store of form 1 to form 2, with challenges, and so on."""


def upgrade(connection: Connection) -> None:
    """Makes the tables, or brings those of an older form to this one; else raises Unavailable."""
    lock(connection)
    _SCHEMA.create(connection, checkfirst=True)
    found, newest = connection.scalar(select(_SCHEMA.c.version)), len(UPGRADES) + 1
    if found is None:
        METADATA.create_all(connection)
        connection.execute(_SCHEMA.insert().values(version=newest))
    elif found > newest:
        raise Unavailable(f"the store has form {found}, this service knows up to {newest}")
    elif found < newest:
        for step in UPGRADES[found - 1 :]:
            step(connection)
        connection.execute(_SCHEMA.update().values(version=newest))


def lock(connection: Connection) -> None:
    """Lets no two transactions go on from here at once; those of SQLite never do."""
    if connection.dialect.name == "postgresql":
        connection.execute(sql.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


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
