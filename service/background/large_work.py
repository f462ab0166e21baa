"""Keeps the event loop free: what takes long for one request is done on threads beside it.

They give way to it: while small requests come one after the other, a thread sleeps between two
short pieces of work. So the loop gets the interpreter's lock and, where they share a core, most of
that; else each would be due as much of it, and the kernel would let the loop wait for milliseconds.
The priority of the threads is that of the loop: a thread of a lower one is held up by other
programs while it has the lock, and holds up the loop with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from time import perf_counter, sleep
from typing import Any, Generic, TypeVar

from service.errors import DeadlineExceeded

Result = TypeVar("Result")

SMALL_JSON_BYTES = 1 << 17
"""JSON up to this size is decoded on the event loop, within some 700 microseconds."""
SMALL_BYTES = 1 << 18
"""The same for bytes that are hardly looked at, which takes a tenth of that."""
SMALL_ROWS = 256
"""Answers for up to this many images are put together on the event loop."""

_THREADS = 4
_PIECE_SECONDS = 0.0001
"""Work that is shorter is not worth a sleep."""
_REST = 2.0
"""Seconds of sleep for each of work."""
_LONGEST_REST = 0.01
"""Seconds; a piece that took much longer was held up itself, and has been way enough."""
_FOLLOW_SECONDS = 0.005
"""Small requests no farther apart than this come one after the other."""

_threads = ThreadPoolExecutor(_THREADS, "large")


class _Stopped(Exception):
    """What a thread does is not worth going on with."""


class _Job(Generic[Result]):
    """Large work, which ends early once it is late or forsaken."""

    def __init__(self, work: Callable[[], Result], until: float) -> None:
        self._work: Callable[[], Result] | None = work
        self._until = until

    def run(self) -> Result:
        """Does it, on a thread. Raises :class:`DeadlineExceeded`."""
        work = self._work
        begin_large()
        _here.job = self
        try:
            self.check(perf_counter())
            assert work is not None
            return work()
        except _Stopped:
            raise DeadlineExceeded("the deadline passed before the body was decoded") from None
        finally:
            _here.job = self._work = None

    def forsake(self) -> None:
        """No one waits for it any more; where it has not begun, its body is let go at once."""
        self._work = None

    def check(self, now: float) -> None:
        """Raises where it is not worth going on with."""
        if self._work is None or now > self._until:
            raise _Stopped


class _Here(threading.local):
    since: float | None = None
    """When this thread began its large work, or last gave way; None on the event loop's."""
    job: _Job[Any] | None = None


class _Small:
    last = -inf
    """When the event loop last executed a small request, on ``perf_counter``'s clock."""


_here = _Here()
small = _Small()


async def when_large(
    is_large: bool, work: Callable[..., Result], *arguments: object, until: float = inf
) -> Result:
    """What ``work`` gives for the arguments: at once, or from a thread where it takes long.

    Raises :class:`DeadlineExceeded` where it is not done until then, on ``perf_counter``'s clock:
    under more load than can be carried, what waited too long would else take the time of what can
    still be answered. So would the work for a caller who has left, which ends as well.
    """
    if not is_large:
        return work(*arguments)
    job = _Job(partial(work, *arguments), until)
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, job.run)
    finally:
        job.forsake()


def begin_large() -> None:
    """Says that this thread begins large work, in which it will :func:`give_way`."""
    _here.since = perf_counter()


def give_way() -> None:
    """Lets the event loop go first, where there is something for it to do.

    It ends work that is late or forsaken. To be called between pieces of work of 0.1 to 0.2 ms,
    whichever thread they are done on.
    """
    since = _here.since
    if since is None:
        return
    now = perf_counter()
    if now - since < _PIECE_SECONDS:
        return
    if _here.job is not None:
        _here.job.check(now)
    if small_come(now):
        sleep(min(_REST * (now - since), _LONGEST_REST))
    _here.since = perf_counter()


def small_come(now: float) -> bool:
    """Whether small requests come one after the other."""
    return now - small.last < _FOLLOW_SECONDS
