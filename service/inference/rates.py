"""Bounds how many images a second each caller may have classified, over all workers together.

This is the generic cell rate algorithm (ITU-T I.371): a caller may be up to a window of images
ahead of its rate. Each worker adds what it charges to a number of its own, in a table that all map
into memory, so no update is lost and nobody waits for a lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from functools import lru_cache
from hashlib import blake2b
from math import ceil
from pathlib import Path
from time import monotonic

from service.observe.metrics import is_alive

Fields = tuple[tuple[bytes, bytes], ...]

_SETS, _WAYS = 1024, 4
_MOST_KNOWN = 4096
_ROUNDING = 1e-6


class Rates:
    """One worker's view of the table; ``per_second`` is the rate of all who have no other."""

    def __init__(self, per_second: float, shared: Path | None = None, workers: int = 1) -> None:
        self.per_second = per_second
        cells = 1 if shared is None else 2 * workers  # a worker that ends overlaps with the next
        # A row: the hash of the caller, when it would be even without any charge, all charges.
        self._width = 2 + cells
        size = 8 * (_SETS * _WAYS * self._width + cells)
        self._cell = 2
        if shared is None:
            memory = mmap.mmap(-1, size)
        else:
            with (shared / "rates").open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.truncate(size)
                memory = mmap.mmap(file.fileno(), size)
                self._cell += _claim(memoryview(memory)[-8 * cells :].cast("q"))
                fcntl.flock(file, fcntl.LOCK_UN)  # the mapping keeps the file open
        self._numbers = memoryview(memory).cast("d")
        self._hashes = memoryview(memory).cast("q")
        self._known: dict[str, tuple[int, int]] = {}

    def charge(
        self, caller: str, images: int, rate: float, *, begun: bool = False
    ) -> tuple[Fields, float]:
        """Charges images, unless the caller's rate is spent.

        Returns the fields of the answer (draft-ietf-httpapi-ratelimit-headers-11), and the seconds
        until the images could be charged; 0 if they are. A request that has ``begun`` to be
        charged may be larger than the window: its caller then waits for longer.
        """
        now, window, cost = monotonic(), max(1.0, 1 / rate), images / rate
        numbers, row = self._numbers, self._row(caller, now)
        even = numbers[row + 1]
        ahead = even + sum(numbers[row + 2 : row + self._width]) - now
        if ahead < 0.0:  # from what was read: two workers who do so at once agree
            numbers[row + 1] = even - ahead
            ahead = 0.0
        wait = ahead - window if begun else ahead + cost - window
        if wait <= _ROUNDING:
            numbers[row + self._cell] += cost
            ahead += cost
            wait = 0.0
        left = max(0, int((window - ahead) * rate + _ROUNDING))
        fields = _policy(rate), (b"ratelimit", b'"images";r=%d;t=%d' % (left, ceil(ahead)))
        return fields, wait

    def _row(self, caller: str, now: float) -> int:
        """Returns where the caller's row begins; a new caller gets that of the idlest."""
        known = self._known.get(caller)
        if known is not None and self._hashes[known[1]] == known[0]:
            return known[1]
        digest = blake2b(caller.encode(), digest_size=8).digest()
        wanted = int.from_bytes(digest, "little", signed=True)
        width = self._width
        first = wanted % _SETS * _WAYS * width
        rows = range(first, first + _WAYS * width, width)
        row = next((row for row in rows if self._hashes[row] == wanted), -1)
        if row < 0:
            charged = {row: sum(self._numbers[row + 2 : row + width]) for row in rows}
            row = min(rows, key=lambda row: self._numbers[row + 1] + charged[row])
            self._numbers[row + 1] = now - charged[row]
            self._hashes[row] = wanted
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[caller] = wanted, row
        return row


@lru_cache(64)
def _policy(rate: float) -> tuple[bytes, bytes]:
    window = max(1.0, 1 / rate)
    quota = int(rate * window + _ROUNDING)
    return b"ratelimit-policy", b'"images";q=%d;w=%d;qu="images"' % (quota, ceil(window))


def _claim(owners: memoryview[int]) -> int:
    """Takes the number of a worker that has ended; call it under the file's lock."""
    cell = next((n for n, pid in enumerate(owners) if not pid or not is_alive(pid)), 0)
    owners[cell] = os.getpid()
    return cell
