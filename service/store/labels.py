"""What people say that images show, which labels to trust, and what to ask a person next."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from time import time
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Table, delete, exists, func, or_, select

from service.errors import NotFound, StoreFull
from service.store import tables
from service.store.tables import ANSWERS, ASKED, DISAGREEMENTS, IMAGES, LABELS, LEASES, insert
from service.types import SIDE, Images

Source = Literal["feedback", "review"]
Digit = int | None  # None: no digit
NO_DIGIT = -1
LEAST_JUDGED, MOST_CONTRADICTED = 5, 0.25
"""Who gave so many labels that others know is distrusted if a larger share contradicts them."""
_Row = Row[tuple[Any, ...]]
LEASE_S = 300.0  # how long nobody else is shown what a reviewer was shown
CLOSE = 0.2  # a second probability from here on is a reason of its own
_LOOKED_AT = 1000  # answers among which the best are sought, those of the largest second ones
Item = dict[str, Any]
"""``id`` and ``pixels`` of an image, a ``reason``, and of an answer about it, or None: ``digit``,
``confidence``, ``version`` and ``at``."""


def answered_image(connection: Connection, request_id: str, at: int, caller: str) -> str | None:
    """The image of a kept answer to this caller, None if nothing of this id is kept.

    Raises :class:`NotFound` for another position, and if the caller used one id for several images.
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
    return _is_id(image) and bool(connection.scalar(select(exists().where(IMAGES.c.id == image))))


def put_label(
    connection: Connection, image: str, digit: Digit, caller: str, source: Source, *, most: int = 0
) -> tuple[str, bool]:
    """Keeps what a caller says about an image, instead of what that caller said before.

    Returns the label's id, which is the same each time, and whether it is new. Raises
    :class:`StoreFull` for a new one where ``most`` are kept, or four fifths of them the caller's.
    """
    name = sha256(f"{image} {caller}".encode()).hexdigest()[:32]
    before = connection.execute(select(LABELS).where(LABELS.c.id == name)).one_or_none()
    if before is None and most:
        own = func.count().filter(LABELS.c.caller == caller)
        labels, of_caller = connection.execute(select(func.count(), own).select_from(LABELS)).one()
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


def take_back(connection: Connection, name: str, caller: str | None) -> _Row | None:
    """Deletes a label, and the image unless others need it; with feedback the caller's answers too.

    ``caller`` must be who gave it; None may delete any. Returns the label, None if there is none.
    """
    query = delete(LABELS).where(LABELS.c.id == name).returning(LABELS)
    if caller is not None:
        query = query.where(LABELS.c.caller == caller)
    label = connection.execute(query).one_or_none() if _is_id(name) else None
    if label is not None:
        if label.source == "feedback":  # a reviewer who goes back an image needs it still
            own = ANSWERS.c.image == label.image, ANSWERS.c.caller == label.caller
            connection.execute(delete(ANSWERS).where(*own))
        tables.drop_unused(connection, [label.image])
    return label


def _is_id(name: str) -> bool:
    """Whether this can be an id of an image or a label; PostgreSQL raises for a NUL."""
    return name.isascii() and name.isalnum()


class Labelled(NamedTuple):
    """Images whose labels agree, oldest label first."""

    images: Images
    digits: NDArray[np.int64]  # shape (n,), 0 to 9, -1 for no digit
    ids: list[str]  # of the images: the SHA-256 of their pixels
    labels: list[str]  # the id of the oldest label of each
    callers: list[str]  # who gave that one
    labelled_at: NDArray[np.float64]
    agreed: NDArray[np.bool_]  # whether two or more callers gave it


def labelled(connection: Connection) -> Labelled:
    """All images whose labels agree, without the labels of :func:`contradicted` callers."""
    query = select(LABELS, IMAGES.c.pixels).join(IMAGES, IMAGES.c.id == LABELS.c.image)
    rows = connection.execute(query.order_by(LABELS.c.labelled_at, LABELS.c.id)).all()
    distrusted = contradicted(rows)
    trusted = _by_image(row for row in rows if row.caller not in distrusted)
    groups = [each for each in trusted if len({row.digit for row in each}) == 1]
    used = [each[0] for each in groups]
    return Labelled(
        _images(used),
        np.array([NO_DIGIT if row.digit is None else row.digit for row in used], np.int64),
        *([row.image for row in used], [row.id for row in used], [row.caller for row in used]),
        np.array([row.labelled_at for row in used], np.float64),
        np.array([len(each) > 1 for each in groups], np.bool_),
    )


def _images(rows: Iterable[_Row]) -> Images:
    return np.frombuffer(b"".join(row.pixels for row in rows), np.uint8).reshape(-1, SIDE, SIDE)


def contradicted(rows: Iterable[_Row]) -> set[str]:
    """The callers whose labels others contradict too often to be used.

    Reviewers, or for feedback two others who gave some, judge a label, if they agree.
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


def next_items(
    connection: Connection, caller: str, count: int, now: float
) -> tuple[int, list[Item]]:
    """How many images wait for a label, and the ``count`` that one would teach most.

    They are the caller's for :data:`LEASE_S` seconds. Those that are already come last.
    """
    tables.lock(connection)
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
    return _images(rows).reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4), dtype=np.float32).reshape(-1, 49)


def _unlabelled(image: Any) -> Any:
    return ~exists().where(LABELS.c.image == image)
