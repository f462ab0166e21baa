"""Bounds the images that wait in one worker, the bytes of large bodies, and callers' rates.

Callers share each bound: the last fifth is kept for those who hold little.
"""

import fcntl
import mmap
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from math import ceil
from pathlib import Path
from time import monotonic, perf_counter

from service.background.large_work import TAKES_LONG, FairThreads
from service.errors import BodiesFull, QueueFull
from service.observe.metrics import Metrics

RETRY_SECONDS = 2
"""The smallest ``Retry-After``. The throttle reads a rejected connection again after it."""
SMALL_BYTES = 65_536
"""Bodies up to this size are not charged: the number of connections bounds them."""
_FOR_ALL = 0.8  # the part of a bound that a single caller can fill


class Shares:
    """What each caller holds of ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit, self.total = limit, 0
        self.held: dict[str, int] = {}

    def fits(self, amount: int, caller: str = "") -> bool:
        """Whether the caller may hold ``amount`` more; anything fits if nobody holds anything."""
        below = self.total + amount <= _FOR_ALL * self.limit
        return not self.total or below or self.is_little(amount, caller)

    def is_little(self, more: int, caller: str) -> bool:
        """Whether ``more`` is little for a caller: less the less is free (Choudhury 1998)."""
        return self.held.get(caller, 0) + more <= (self.limit - self.total) // 2

    def add(self, amount: int, caller: str) -> None:
        """Adds to what the caller holds, or takes a negative amount from it."""
        self.total += amount
        self.held[caller] = self.held.get(caller, 0) + amount
        if not self.held[caller]:
            del self.held[caller]


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
        self._metrics.set("queue_rows", self.total)

    def check(self, caller: str = "") -> None:
        """Raises QueueFull, once rejecting, until a quarter is free; not for who holds little."""
        if self._full and not self.is_little(1, caller):
            self._reject(0, caller)

    def leave(self, rows: int, caller: str = "") -> None:
        """Removes ``rows`` images: they were executed, timed out, or their caller left."""
        self.add(-rows, caller)
        self._metrics.set("queue_rows", self.total)
        if self.total <= 0.75 * self.limit:
            self._full = False
            if self.on_room is not None:
                self.on_room()

    def _reject(self, rows: int, caller: str) -> None:
        self._metrics.count("rejected", "queue_full")
        wait_s = max(RETRY_SECONDS, round((self.total + rows - self.limit) / self.rate + 0.5))
        raise QueueFull(
            f"{self.total:,} images wait of at most {self.limit:,}, {self.held.get(caller, 0):,} "
            f"of them yours; try again in {wait_s} s",
            headers=((b"retry-after", b"%d" % wait_s),),
        )


class BodyBudget(Shares):
    """Bounds the bytes of large bodies that this worker holds; hold the ``lock`` for a change.

    A caller whose work on one of the ``threads`` takes long gets 429 while others ask.
    """

    def __init__(self, limit_bytes: int, queue: Queue, *threads: FairThreads) -> None:
        super().__init__(limit_bytes)
        self._threads, self._queue, self.lock = threads, queue, threading.Lock()

    def check(self, size: int, caller: str = "", own: int = 0) -> None:
        """Raises QueueFull if ``size`` more bytes are too many; with ``own`` alone they fit."""
        self._queue.check(caller)
        if not own and any(each.is_long(caller, perf_counter()) for each in self._threads):
            raise BodiesFull(TAKES_LONG)
        if self.total > own and not self.fits(size, caller):
            raise BodiesFull(
                f"bodies of {self.total:,} bytes wait of at most {self.limit:,}, "
                f"{self.held.get(caller, 0):,} of them yours"
            )

    def take(self, size: int, caller: str = "", own: int = 0) -> None:
        """Charges ``size`` bytes more. Raises as :meth:`check` does."""
        self.check(size, caller, own)
        self.add(size, caller)


Fields = tuple[tuple[bytes, bytes], ...]

_SETS, _WAYS = 1024, 4
_ROWS = _SETS * _WAYS
_ROUNDING = 1e-6


class Rates:
    """What each caller has had, over all workers; ``per_second`` is who has no other rate's."""

    def __init__(self, per_second: float, shared: Path | None = None) -> None:
        self.per_second = per_second
        self._file = -1
        if shared is not None:
            self._file = os.open(shared / "rates", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._file, 16 * _ROWS)
        memory = memoryview(mmap.mmap(self._file, 16 * _ROWS))
        self._even = memory[: 8 * _ROWS].cast("d")  # when each would be even without any charge
        self._hashes = memory[8 * _ROWS :].cast("q")

    def charge(
        self, caller: str, images: int, rate: float, *, begun: bool = False
    ) -> tuple[Fields, float]:
        """Charges images; what has ``begun`` may be larger than the window.

        Returns the answer's fields (draft-ietf-httpapi-ratelimit-headers-11), and the seconds until
        they could be charged, 0 if they are.
        """
        (window, policy), cost = _policy(rate), images / rate
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            row, now = self._row(caller), monotonic()
            ahead = max(0.0, self._even[row] - now)
            wait = ahead - window if begun else ahead + cost - window
            if wait <= _ROUNDING:
                ahead += cost
                self._even[row] = now + ahead
                wait = 0.0
        finally:
            if self._file >= 0:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        left = int((window - ahead) * rate + _ROUNDING) if ahead < window else 0
        return (policy, (b"ratelimit", b'"images";r=%d;t=%d' % (left, ceil(ahead)))), wait

    def _row(self, caller: str) -> int:
        """Returns the caller's row of the table; a new caller gets that of the idlest."""
        wanted = _hash(caller)
        first = wanted % _SETS * _WAYS
        for row in (rows := range(first, first + _WAYS)):
            if self._hashes[row] == wanted:
                return row
        row = min(rows, key=self._even.__getitem__)
        self._even[row], self._hashes[row] = 0.0, wanted
        return row


@lru_cache(4096)
def _hash(caller: str) -> int:
    return int.from_bytes(blake2b(caller.encode(), digest_size=8).digest(), "little", signed=True)


@lru_cache(64)
def _policy(rate: float) -> tuple[float, tuple[bytes, bytes]]:
    window = max(1.0, 1 / rate)
    shown = b'"images";q=%d;w=%d;qu="images"' % (int(rate * window + _ROUNDING), ceil(window))
    return window, (b"ratelimit-policy", shown)
