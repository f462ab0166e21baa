"""What people say that an image shows: one label for each image and caller."""

from hashlib import sha256
from time import time
from typing import Any, Literal

from sqlalchemy import Connection, Row, case, delete, func, select

from service.errors import NotFound, StoreFull
from service.store.images import drop_unused, insert
from service.store.tables import ANSWERS, ASKED, IMAGES, LABELS, LEASES

Source = Literal["feedback", "review"]


def answered_image(connection: Connection, request_id: str, at: int, caller: str) -> str | None:
    """The image of a kept answer to this caller, None if nothing of this id is kept.

    Raises :class:`NotFound` for another position, and if the caller used one id for several images:
    a label on the wrong one would be worse than none.
    """
    said = ANSWERS.c
    same = said.request_id == request_id, said.caller == caller
    query = select(said.image).where(*same, said.position == at).distinct()
    found = connection.scalars(query).all()
    if len(found) > 1:
        raise NotFound(f"you used this id for {len(found)} images")
    if found:
        return str(found[0])
    if others := connection.scalar(select(func.count(said.position.distinct())).where(*same)):
        raise NotFound(f"images kept of this answer: {others}; index {at} is none of them")
    return None


def is_kept(connection: Connection, image: str) -> bool:
    """Whether there is an image of this id."""
    query = select(IMAGES.c.id).where(IMAGES.c.id == image)
    return _is_id(image) and connection.scalar(query) is not None


def put_label(
    connection: Connection,
    image: str,
    digit: int | None,
    caller: str,
    source: Source,
    *,
    most: int | None = None,
) -> tuple[str, bool]:
    """Keeps what a caller says about an image, instead of what that caller said before.

    Returns the label's id, which is the same each time, and whether it is new. Raises
    :class:`StoreFull` for a new one where ``most`` are kept, or four fifths of them the caller's.
    """
    name = sha256(f"{image} {caller}".encode()).hexdigest()[:32]
    before = connection.execute(select(LABELS).where(LABELS.c.id == name)).one_or_none()
    if before is None and most is not None:
        own = func.coalesce(func.sum(case((LABELS.c.caller == caller, 1), else_=0)), 0)
        labels, of_caller = connection.execute(select(func.count(LABELS.c.id), own)).one()
        if labels >= most or of_caller >= max(1, most * 4 // 5):
            why = f"{labels:,} labels are kept, {of_caller:,} of them yours; MNIST_CAPTURE_ROWS is"
            raise StoreFull(f"{why} {most:,}, four fifths of it for one caller; delete some")
    if before is None or (before.digit, before.source) != (digit, source):
        said = {"digit": digit, "source": source, "labelled_at": time()}
        put = insert(connection, LABELS).on_conflict_do_update(index_elements=["id"], set_=said)
        connection.execute(put, {"id": name, "image": image, "caller": caller, **said})
    if source == "review":
        for table in (ASKED, LEASES):
            connection.execute(delete(table).where(table.c.image == image))
    return name, before is None


def take_back(connection: Connection, name: str, caller: str | None) -> Row[tuple[Any, ...]] | None:
    """Deletes a label, and the image unless others need it; with feedback the caller's answers too.

    ``caller`` must be who gave it; None may delete any. Returns the label, None if there is none.
    """
    query = delete(LABELS).where(LABELS.c.id == name).returning(LABELS)
    if caller is not None:
        query = query.where(LABELS.c.caller == caller)
    label = connection.execute(query).one_or_none() if _is_id(name) else None
    if label is not None:
        # A reviewer who goes back an image needs it still, whoever asked about it.
        if label.source == "feedback":
            same = ANSWERS.c.image == label.image, ANSWERS.c.caller == label.caller
            connection.execute(delete(ANSWERS).where(*same))
        drop_unused(connection, [label.image])
    return label


def _is_id(name: str) -> bool:
    """Whether this can be an id of an image or a label; PostgreSQL raises for a NUL."""
    return name.isascii() and name.isalnum()
