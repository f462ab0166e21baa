"""Bounds the images that wait in one worker, and the bytes of large bodies that it holds."""

from __future__ import annotations

from collections.abc import Callable

from service.errors import QueueFull
from service.observe.metrics import Metrics

RETRY_SECONDS = 2
"""The smallest ``Retry-After``. The throttle reads a rejected connection again after it."""
SMALL_BYTES = 65_536
"""Bodies up to this size are not charged: the number of connections bounds them."""


class Queue:
    """Counts the images that wait in this worker, for every version, and rejects above a limit."""

    def __init__(self, limit_rows: int, metrics: Metrics) -> None:
        self._limit = limit_rows
        self._metrics = metrics
        self.on_room: Callable[[], object] | None = None
        """Called each time images leave the queue and at least a quarter of it is free."""
        self._rows = 0
        self._full = False
        self.rate = 10_000.0
        """Images per second, averaged over the last executions; a guess before the first."""

    def admit(self, rows: int) -> None:
        """Adds ``rows`` images. Raises :class:`QueueFull` above the limit."""
        if not self.has_room(rows):
            self._full = True
            self._reject(rows)
        self._rows += rows
        self._metrics.queued(self._rows)

    def has_room(self, rows: int) -> bool:
        """Whether the queue would admit ``rows`` images now; an empty one admits any request."""
        return not self._rows or self._rows + rows <= self._limit

    def check(self) -> None:
        """Raises :class:`QueueFull` after a rejection, until a quarter of the queue is free."""
        if self._full:
            self._reject(0)

    def leave(self, rows: int) -> None:
        """Removes ``rows`` images: they were executed, timed out, or their caller left."""
        self._rows -= rows
        self._metrics.queued(self._rows)
        if self._rows <= 0.75 * self._limit:
            self._full = False
            if self.on_room is not None:
                self.on_room()

    def _reject(self, rows: int) -> None:
        self._metrics.rejected("queue_full")
        wait_s = max(RETRY_SECONDS, round((self._rows + rows - self._limit) / self.rate + 0.5))
        raise QueueFull(
            f"{self._rows} images wait, the most is {self._limit}; try again in {wait_s} s",
            headers=((b"retry-after", b"%d" % wait_s),),
        )


class BodyBudget:
    """Bounds the bytes of large bodies that this worker holds at once."""

    def __init__(self, limit_bytes: int, queue: Queue, metrics: Metrics) -> None:
        self._limit = limit_bytes
        self._queue = queue
        self._metrics = metrics
        self._held = 0

    def take(self, size: int) -> None:
        """Charges ``size`` bytes; admits a lone body. Raises :class:`QueueFull` above the limit."""
        self._queue.check()
        if self._held and self._held + size > self._limit:
            self._metrics.rejected("bodies_full")
            raise QueueFull(
                f"bodies of {self._held:,} bytes wait, the most is {self._limit:,}",
                headers=((b"retry-after", b"%d" % RETRY_SECONDS),),
            )
        self._held += size

    def give_back(self, size: int) -> None:
        """Returns ``size`` bytes after the answer."""
        self._held -= size
