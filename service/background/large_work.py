"""Runs large work on threads, so that the event loop stays free for small requests.

While small requests follow each other closely, a thread works for 0.1 ms at a time and then sleeps
for twice as long. So the event loop gets the interpreter's lock, and most of a core that it shares
with such a thread. Without the sleep, the scheduler would let the loop wait for milliseconds. The
threads keep the loop's priority: another program could preempt a thread that holds the lock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import inf
from time import perf_counter, sleep
from typing import Any, Generic, TypeVar

from service.errors import DeadlineExceeded

Result = TypeVar("Result")

SMALL_JSON_BYTES = 1 << 17
"""The event loop itself decodes JSON up to this size, in at most some 700 microseconds."""
SMALL_BYTES = 1 << 18
"""The same for binary bodies, which take a tenth of that."""
SMALL_ROWS = 256
"""The event loop itself builds answers for up to this many images."""

_THREADS = 4
_PIECE_SECONDS = 0.0001
_REST = 2.0
"""Seconds of sleep for each second of work."""
_LONGEST_REST = 0.01
"""Seconds of sleep at most, so that a stalled machine does not add a second stall."""
_CLOSE_SECONDS = 0.005
"""Small requests that come within this time follow each other closely."""

_threads = ThreadPoolExecutor(_THREADS, "large")


class _Stopped(Exception):
    """The deadline of the work has passed, or its caller has left."""


@dataclass(slots=True)
class _Job(Generic[Result]):
    work: Callable[[], Result] | None
    """None once it is done, or abandoned."""
    until: float

    def run(self) -> Result:
        """Does the work, on a thread. Raises :class:`DeadlineExceeded`."""
        work = self.work
        begin_large()
        _here.job = self
        try:
            self.check(perf_counter())
            assert work is not None
            return work()
        except _Stopped:
            raise DeadlineExceeded("the deadline passed before the body was decoded") from None
        finally:
            _here.job = self.work = None

    def check(self, now: float) -> None:
        """Raises if the work must stop."""
        if self.work is None or now > self.until:
            raise _Stopped


class _Here(threading.local):
    since: float | None = None
    """When this thread began its large work or last slept; None on the event loop's thread."""
    job: _Job[Any] | None = None


class _Small:
    last = -inf
    """When the event loop last executed a small request, on ``perf_counter``'s clock."""


_here = _Here()
small = _Small()


async def when_large(
    is_large: bool, work: Callable[..., Result], *arguments: object, until: float = inf
) -> Result:
    """Returns what ``work`` returns for the arguments; a thread does it if it is large.

    Stops the work if the caller is cancelled, and at ``until``, on ``perf_counter``'s clock: it
    then raises :class:`DeadlineExceeded`.
    """
    if not is_large:
        return work(*arguments)
    job = _Job(partial(work, *arguments), until)
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, job.run)
    finally:
        job.work = None  # stops it; if it has not begun, this frees its body


def begin_large() -> None:
    """Marks this thread as one that does large work, so that it must :func:`give_way`."""
    _here.since = perf_counter()


def give_way() -> None:
    """Sleeps if small requests follow each other closely; stops late or abandoned work.

    Large work calls it after each 0.1 to 0.2 ms; on the event loop's thread it does nothing.
    """
    since = _here.since
    if since is None or (now := perf_counter()) - since < _PIECE_SECONDS:
        return
    if _here.job is not None:
        _here.job.check(now)
    if small_come(now):
        sleep(min(_REST * (now - since), _LONGEST_REST))
    _here.since = perf_counter()


def small_come(now: float) -> bool:
    """Whether small requests follow each other closely."""
    return now - small.last < _CLOSE_SECONDS
