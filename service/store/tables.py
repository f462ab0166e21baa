"""The tables of the store, and how a store of an older form is brought to this one.

Times are in seconds since 1970.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Float, Integer, Table, Text

from service.errors import Unavailable

METADATA = sql.MetaData()
_LOCK = 0x6D6E697374
"""The number of PostgreSQL's lock for what one process at a time does."""


def _number() -> Column[int]:
    """A primary key that the database counts up."""
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
UPGRADES: tuple[Callable[[Connection], object], ...] = ()
"""The first brings a store of form 1 to form 2, and so on; a new store has the newest at once."""


def upgrade(connection: Connection) -> None:
    """Makes the tables, or brings those of an older form to this one; else raises Unavailable."""
    lock(connection)
    _SCHEMA.create(connection, checkfirst=True)
    found = connection.execute(sql.select(_SCHEMA.c.version)).scalar()
    newest = len(UPGRADES) + 1
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
