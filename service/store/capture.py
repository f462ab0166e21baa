"""Capture: some answers are kept for review, after they were given, and only for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING
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

WAIT_S = 0.5
"""Answers of this time are written together."""
_MOST_WAITING = 2048
_MOST_OF_ONE = 256
"""Images of one request, the first ones, so that a large one is no more than an eighth of these."""
_FIRST_CLEARING_S, _CLEARING_S = 60.0, 600.0
_DAY_S = 86_400.0
_JUMP_S = 3600.0
_CLOCKS_S = time() - monotonic()


@dataclass(frozen=True, slots=True)
class _Taken:
    """Images of one answered request; ``positions`` are theirs in it."""

    request_id: str
    caller: str
    version: str
    positions: list[int]
    images: Images
    probabilities: Probabilities
    doubts: Sequence[Sequence[str]] | None
    least: float
    at: float


class Capture:
    """Follows the answers, and keeps those in doubt, or a share of the requests.

    The share is drawn by the request's id, so that two requests of one id are kept both or neither,
    whichever worker answers them.
    """

    def __init__(self, store: Store, settings: Settings, metrics: Metrics) -> None:
        self._store, self._rows, self._metrics = store, settings.capture_rows, metrics
        share = settings.capture
        self._below = int(share * 2**32) if isinstance(share, float) else 0
        self._waiting: list[_Taken] = []
        self._images = 0

    def answered(
        self,
        request_id: bytes,
        caller: str,
        served: Loaded,
        result: Result,
        doubts: Sequence[Sequence[str]] | None,
    ) -> None:
        """Takes what is to be kept of a request; under a microsecond for most, which is nothing."""
        if self._below:
            if crc32(request_id) >= self._below:
                return
            positions = list(range(result.rows))
        elif doubts is None:  # a protocol that tells no doubts
            largest = result.probabilities.max(axis=1)
            positions = (largest < served.least_confidence).nonzero()[0].tolist()
        else:
            positions = [index for index, each in enumerate(doubts) if each]
        del positions[_MOST_OF_ONE:]
        if not positions:
            return
        if self._images + len(positions) > _MOST_WAITING:
            self._metrics.count("capture_dropped", by=len(positions))
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(WAIT_S, self.flush)
        self._images += len(positions)
        taken = _Taken(
            request_id.decode(),
            caller,
            served.version,
            positions,
            result.images[positions],
            result.probabilities[positions],
            None if doubts is None else [doubts[index] for index in positions],
            served.least_confidence,
            time(),
        )
        self._waiting.append(taken)

    def flush(self) -> None:
        """Passes what was taken to the store's thread."""
        taken, self._waiting, self._images = self._waiting, [], 0
        if taken:
            self._store.later(partial(self._write, taken))

    def _write(self, taken: list[_Taken], connection: Connection) -> None:
        from service.store.images import keep_images
        from service.store.tables import ANSWERS

        names = iter(
            keep_images(connection, [image.tobytes() for t in taken for image in t.images])
        )
        rows = [row | {"image": next(names)} for each in taken for row in _rows(each)]
        connection.execute(ANSWERS.insert(), rows)
        clear(connection, self._rows)
        self._metrics.count("captured", by=len(rows))


def _rows(taken: _Taken) -> list[dict[str, object]]:
    """The rows of the table of answers, but for their images."""
    found = taken.doubts
    if found is None:
        found = find_doubts(taken.images, taken.probabilities, taken.least)
    ranked = np.sort(taken.probabilities, axis=1).astype(float)
    columns = (taken.positions, taken.probabilities.argmax(axis=1).tolist(), ranked[:, -1].tolist())
    margins = (ranked[:, -1] - ranked[:, -2]).tolist()
    return [
        {
            "request_id": taken.request_id,
            "position": position,
            "answered_at": taken.at,
            "caller": taken.caller,
            "digit": digit,
            "confidence": confidence,
            "margin": margin,
            "doubts": ",".join(why),
            "version": taken.version,
        }
        for position, digit, confidence, margin, why in zip(*columns, margins, found, strict=True)
    ]


def clear(connection: Connection, rows: int, before: float = 0.0) -> None:
    """Deletes old answers and disagreements, and the images that nothing else is about.

    They are old if more than ``rows`` newer ones are kept, or if they came before a time.
    """
    from sqlalchemy import delete, func, or_, select

    from service.store.images import drop_unused
    from service.store.tables import ANSWERS, DISAGREEMENTS

    for table, at in ((ANSWERS, ANSWERS.c.answered_at), (DISAGREEMENTS, DISAGREEMENTS.c.seen_at)):
        number = table.c.id
        first, last = connection.execute(select(func.min(number), func.max(number))).one()
        if first is None:
            continue
        # A fiftieth more than must go, so that this deletes rarely, and many at once.
        keeps = last - rows + rows // 50 if last - first >= rows else first - 1
        old = or_(number <= keeps, at < before) if before else number <= keeps
        if keeps >= first or before:
            gone = connection.scalars(delete(table).where(old).returning(table.c.image)).all()
            if gone:
                drop_unused(connection, gone)


async def clear_regularly(store: Store, settings: Settings) -> None:
    """Deletes what is older than the settings allow, also after capture was turned off."""
    await asyncio.sleep(_FIRST_CLEARING_S)
    while True:
        is_there = not store.url.startswith(SQLITE) or file_of(store.url).exists()
        # A clock that jumps while the service runs must not make new answers look old.
        if is_there and abs(time() - monotonic() - _CLOCKS_S) < _JUMP_S:
            before = time() - settings.capture_days * _DAY_S
            store.later(partial(clear, rows=settings.capture_rows, before=before))
        await asyncio.sleep(_CLEARING_S)
