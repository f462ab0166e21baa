"""Bounds the memory of large bodies, which may come faster than they are decoded."""

from __future__ import annotations

from service.errors import QueueFull
from service.http.throttle import LONGEST_SECONDS
from service.inference.batch import Queue
from service.observe.metrics import Metrics

SMALL_BYTES = 65_536
"""A body up to this size is not counted: the number of connections bounds those."""


class BodyBudget:
    """The bytes of large bodies that this worker holds at once."""

    def __init__(self, limit_bytes: int, queue: Queue, metrics: Metrics) -> None:
        self._limit = limit_bytes
        self._queue = queue
        self._metrics = metrics
        self._held = 0

    def take(self, size: int) -> None:
        """Takes ``size`` bytes in, or raises :class:`QueueFull`; one body is always let in.

        None is while the queue is full, in which its images would have to wait.
        """
        self._queue.check()
        if self._held and self._held + size > self._limit:
            self._metrics.rejected("bodies_full")
            raise QueueFull(
                f"bodies of {self._held:,} bytes wait, the most is {self._limit:,}",
                headers=((b"retry-after", b"%d" % LONGEST_SECONDS),),
            )
        self._held += size

    def give_back(self, size: int) -> None:
        """Lets ``size`` bytes go, their request being answered."""
        self._held -= size
