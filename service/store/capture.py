"""Capture: some answers are kept for review, after they were given, and only for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from service.answer.quality import doubts as find_doubts
from service.inference.batch import Result
from service.models.loader import Loaded
from service.observe.metrics import Metrics
from service.settings import Settings
from service.store.store import SQLITE, Store, file_of
from service.types import Images, Probabilities

if TYPE_CHECKING:
    from sqlalchemy import Connection

WAIT_S = 0.5  # answers of this time are written together
_MOST_WAITING = 2048
_MOST_OF_ONE = 256  # images of one request: a large one is no more than an eighth of what waits
_FIRST_CLEARING_S, _CLEARING_S = 60.0, 600.0
_DAY_S, _JUMP_S = 86_400.0, 3600.0
_CLOCKS_S = time() - monotonic()
_Doubts = Sequence[Sequence[str]] | None
Answers = tuple[Images, Probabilities]


class Capture:
    """Follows the answers, and keeps those in doubt, or a share of the requests.

    The share is drawn by the request's id: two requests of one id are kept both or neither.
    """

    follows = True

    def __init__(self, store: Store, settings: Settings, metrics: Metrics) -> None:
        self._store, self._rows, self._metrics = store, settings.capture_rows, metrics
        self._share = settings.capture
        self._waiting: list[tuple[dict[str, Any], bytes]] = []  # rows, but for the image's id

    def answered(
        self, request_id: bytes, caller: str, served: Loaded, result: Result, doubts: _Doubts
    ) -> None:
        """Takes what is to be kept of a request; under a microsecond for most, which is nothing."""
        least = served.least_confidence
        if isinstance(self._share, float):
            if not is_drawn(request_id, self._share):
                return
            positions = list(range(result.rows))
        elif doubts is None:  # a protocol that tells no doubts
            positions = (result.probabilities.max(axis=1) < least).nonzero()[0].tolist()
        else:
            positions = [index for index, each in enumerate(doubts) if each]
        if not positions:
            return
        del positions[_MOST_OF_ONE:]
        if len(self._waiting) + len(positions) > _MOST_WAITING:
            self._metrics.count("capture_dropped", by=len(positions))
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(WAIT_S, self.flush)
        asked = result.images[positions], result.probabilities[positions]
        known = [doubts[at] for at in positions] if doubts else find_doubts(*asked, least)
        facts: dict[str, Any] = {"request_id": request_id.decode(), "caller": caller}
        facts |= {"version": served.version, "answered_at": time()}
        self._waiting += list(rows(facts, positions, asked, known))

    def flush(self) -> None:
        """Passes what was taken to the store's thread."""
        taken, self._waiting = self._waiting, []
        if taken:
            self._store.later(partial(self._write, taken))

    def _write(self, taken: list[tuple[dict[str, Any], bytes]], connection: Connection) -> None:
        from service.store.tables import ANSWERS, keep_images

        pairs = zip(taken, keep_images(connection, (image for _, image in taken)), strict=True)
        connection.execute(ANSWERS.insert(), [row | {"image": name} for (row, _), name in pairs])
        clear(connection, self._rows)
        self._metrics.count("captured", by=len(taken))


def rows(
    facts: dict[str, Any],
    positions: Sequence[int],
    answers: Answers,
    doubts: Sequence[Sequence[str]],
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The rows of a request's answers, which share the facts, but for their images, and those."""
    images, probabilities = answers
    ranked, digits = np.sort(probabilities, axis=1)[:, -2:].tolist(), probabilities.argmax(axis=1)
    each = zip(images, positions, digits.tolist(), ranked, doubts, strict=True)
    for image, position, digit, (second, confidence), why in each:
        said = {"position": position, "digit": digit, "doubts": ",".join(why)}
        yield facts | said | {"confidence": confidence, "second": second}, image.tobytes()


def is_drawn(name: bytes, share: float) -> bool:
    """Whether what has this name, such as a request its id, is one of this share of all."""
    return crc32(name) < share * 2**32


def clear(connection: Connection, rows: int, before: float = 0.0) -> None:
    """Deletes what came before a time or ``rows`` newer ones, and images nothing else is about."""
    from sqlalchemy import delete, func, or_, select

    from service.store.tables import ANSWERS, DISAGREEMENTS, drop_unused

    for table, at in ((ANSWERS, ANSWERS.c.answered_at), (DISAGREEMENTS, DISAGREEMENTS.c.seen_at)):
        first, last = connection.execute(select(func.min(table.c.id), func.max(table.c.id))).one()
        if first is None or (last - first < rows and not before):
            continue
        # If any must go, a fiftieth goes, so that this deletes rarely, and many at once.
        old = table.c.id <= (last - rows + rows // 50 if last - first >= rows else -1)
        query = delete(table).where(or_(old, at < before) if before else old)
        gone = connection.scalars(query.returning(table.c.image)).all()
        if gone:
            drop_unused(connection, gone)


async def clear_regularly(store: Store, settings: Settings) -> None:
    """Deletes what is older than the settings allow, also after capture was turned off."""
    captures = settings.capture != "off"
    await asyncio.sleep(0 if captures else _FIRST_CLEARING_S)  # the first use takes a while
    while True:
        is_there = captures or not store.url.startswith(SQLITE) or file_of(store.url).exists()
        # A clock that jumps while the service runs must not make new answers look old.
        if is_there and abs(time() - monotonic() - _CLOCKS_S) < _JUMP_S:
            before = time() - settings.capture_days * _DAY_S
            store.later(partial(clear, rows=settings.capture_rows, before=before))
        await asyncio.sleep(_CLEARING_S)
