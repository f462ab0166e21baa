"""Bounds the images that wait in one worker, and the bytes of large bodies that it holds.

Callers share both bounds: the last fifth is kept for those who hold little, so that a caller who
fills the rest is refused while the others are served.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from service.errors import QueueFull
from service.observe.metrics import Metrics

RETRY_SECONDS = 2
"""The smallest ``Retry-After``. The throttle reads a rejected connection again after it."""
SMALL_BYTES = 65_536
"""Bodies up to this size are not charged: the number of connections bounds them."""
_FOR_ALL = 0.8
"""The part of a bound that a single caller can fill."""


class Shares:
    """What each caller holds of ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.held: dict[str, int] = {}

    def fits(self, amount: int, caller: str = "") -> bool:
        """Whether the caller may hold ``amount`` more; anything fits if nobody holds anything."""
        total = self.total
        return (
            not total or total + amount <= _FOR_ALL * self.limit or self.is_little(amount, caller)
        )

    def is_little(self, more: int, caller: str) -> bool:
        """Whether a caller who held ``more`` would hold little, so that nobody fills the bound.

        The less is free, the less is little (the dynamic threshold of Choudhury and Hahne 1998).
        """
        return self.held.get(caller, 0) + more <= (self.limit - self.total) // 2

    def add(self, amount: int, caller: str) -> None:
        """Adds to what the caller holds, or takes a negative amount from it."""
        self.total += amount
        held = self.held.get(caller, 0) + amount
        if held:
            self.held[caller] = held
        else:
            self.held.pop(caller, None)


class Queue(Shares):
    """Counts the images that wait in this worker, for every version, and rejects above a limit."""

    def __init__(self, limit_rows: int, metrics: Metrics) -> None:
        super().__init__(limit_rows)
        self._metrics = metrics
        self.on_room: Callable[[], object] | None = None
        """Called each time images leave the queue and at least a quarter of it is free."""
        self._full = False
        self.rate = 10_000.0
        """Images per second, averaged over the last executions; a guess before the first."""

    def admit(self, rows: int, caller: str = "") -> None:
        """Adds ``rows`` images. Raises :class:`QueueFull` above the limit."""
        if not self.fits(rows, caller):
            self._full = True
            self._reject(rows, caller)
        self.add(rows, caller)
        self._metrics.queued(self.total)

    def check(self, caller: str = "") -> None:
        """Raises :class:`QueueFull` after a rejection, until a quarter of the queue is free.

        A caller who holds little is not meant.
        """
        if self._full and not self.is_little(1, caller):
            self._reject(0, caller)

    def leave(self, rows: int, caller: str = "") -> None:
        """Removes ``rows`` images: they were executed, timed out, or their caller left."""
        self.add(-rows, caller)
        self._metrics.queued(self.total)
        if self.total <= 0.75 * self.limit:
            self._full = False
            if self.on_room is not None:
                self.on_room()

    def _reject(self, rows: int, caller: str) -> None:
        self._metrics.rejected("queue_full")
        wait_s = max(RETRY_SECONDS, round((self.total + rows - self.limit) / self.rate + 0.5))
        raise QueueFull(
            f"{self.total:,} images wait of at most {self.limit:,}, {self.held.get(caller, 0):,} "
            f"of them yours; try again in {wait_s} s",
            headers=((b"retry-after", b"%d" % wait_s),),
        )


class BodyBudget(Shares):
    """Bounds the bytes of large bodies that this worker holds at once.

    Threads charge what they inflate: whoever calls :meth:`take` or :meth:`add` holds the ``lock``.
    """

    def __init__(self, limit_bytes: int, queue: Queue, metrics: Metrics) -> None:
        super().__init__(limit_bytes)
        self._queue = queue
        self._metrics = metrics
        self.lock = threading.Lock()

    def check(self, size: int, caller: str = "", own: int = 0) -> None:
        """Raises :class:`QueueFull` if ``size`` more bytes would be above the limit now.

        ``own`` are the bytes that the same body holds already: a lone body always fits.
        """
        self._queue.check(caller)
        if self.total > own and not self.fits(size, caller):
            self._metrics.rejected("bodies_full")
            raise QueueFull(
                f"bodies of {self.total:,} bytes wait of at most {self.limit:,}, "
                f"{self.held.get(caller, 0):,} of them yours",
                headers=((b"retry-after", b"%d" % RETRY_SECONDS),),
            )

    def take(self, size: int, caller: str = "", own: int = 0) -> None:
        """Charges ``size`` bytes more. Raises as :meth:`check` does."""
        self.check(size, caller, own)
        self.add(size, caller)
