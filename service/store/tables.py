"""The tables of the store, and how a store of an older form is brought to this one."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    select,
    text,
)

from service.errors import Unavailable

METADATA = MetaData()
_LOCK = 0x6D6E697374
"""The number of PostgreSQL's lock for what one process at a time does."""


def _number() -> Column[int]:
    """A primary key that the database counts up."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _image(*, index: bool = False, primary_key: bool = False) -> Column[str]:
    about = ForeignKey("images.id")
    return Column("image", Text, about, nullable=False, index=index, primary_key=primary_key)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _when(name: str) -> Column[float]:
    """A time in seconds since 1970 (UTC)."""
    return Column(name, Float, nullable=False)


IMAGES = Table(
    "images",
    METADATA,
    Column("id", Text, primary_key=True, comment="SHA-256 of the pixels, in hex"),
    Column("pixels", LargeBinary, nullable=False, comment="784 bytes, row by row"),
)
ANSWERS = Table(
    "answers",
    METADATA,
    _number(),
    _text("request_id"),
    Column("position", Integer, nullable=False, comment="of the image in its request, from 0"),
    _when("answered_at"),
    _text("caller"),
    _image(index=True),
    Column("digit", Integer, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("margin", Float, nullable=False, comment="confidence less that of the second digit"),
    Column("doubts", Text, nullable=False, comment="joined by commas"),
    _text("version"),
    Index("answers_by_request", "request_id", "position"),
    Index("answers_by_margin", "margin"),
)
LABELS = Table(
    "labels",
    METADATA,
    Column("id", Text, primary_key=True),
    _image(),
    Column("digit", Integer, nullable=True, comment="null: no digit"),
    _text("caller"),
    Column("source", Text, nullable=False, comment="feedback or review"),
    _when("labelled_at"),
    UniqueConstraint("image", "caller"),
)
DISAGREEMENTS = Table(
    "disagreements",
    METADATA,
    _number(),
    _image(index=True),
    _text("champion"),
    _text("challenger"),
    Column("champion_digit", Integer, nullable=False),
    Column("challenger_digit", Integer, nullable=False),
    _when("seen_at"),
)
ASKED = Table(
    "asked",
    METADATA,
    _image(primary_key=True),
    Column("reason", Text, nullable=False, comment="why a reviewer should look, labelled or not"),
)
LEASES = Table(
    "leases",
    METADATA,
    _image(primary_key=True),
    _text("caller"),
    _when("until"),
)
_SCHEMA = Table("schema", METADATA, Column("version", Integer, nullable=False))

UPGRADES: tuple[Callable[[Connection], object], ...] = ()
"""The first brings a store of form 1 to form 2, and so on; a new store has the newest at once."""


def upgrade(connection: Connection) -> None:
    """Makes the tables, or brings those of an older form to this one.

    Raises :class:`Unavailable` for tables of a newer form than this one.
    """
    one_at_a_time(connection)
    _SCHEMA.create(connection, checkfirst=True)
    found = connection.execute(select(_SCHEMA.c.version)).scalar()
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


def one_at_a_time(connection: Connection) -> None:
    """Lets no two transactions go on from here at once; those of SQLite never do."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
