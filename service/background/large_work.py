"""Runs large work on threads, so that the event loop stays free for small requests.

While small requests follow each other closely, a thread works for 0.1 ms at a time and then sleeps
for twice as long, or longer where more threads work than there are cores: so the event loop gets
the interpreter's lock. The threads keep its priority, for they may be preempted with that lock.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from time import perf_counter, sleep
from typing import TypeVar

from service.background.fair_threads import FairThreads, crowding, here, recent
from service.background.threads import usable_cores

Result = TypeVar("Result")

SMALL_JSON_BYTES = 1 << 17
"""The event loop itself decodes JSON up to this size, in at most some 700 microseconds."""
SMALL_BYTES = 1 << 18  # the same for binary bodies, which take a tenth of that
SMALL_ROWS = 256  # the event loop itself builds answers for up to this many images

_THREADS = min(4, int(usable_cores()))
_PIECE_SECONDS = 0.0001
_LONGEST_REST = 0.01
"""Seconds of sleep at most, so that a stalled machine does not add a second stall."""
_CLOSE_SECONDS = 0.02  # small requests that come within this time follow each other closely

threads = FairThreads("large", _THREADS)


async def when_large(
    is_large: bool,
    work: Callable[..., Result],
    *arguments: object,
    until: float = inf,
    caller: str = "",
) -> Result:
    """Returns what ``work`` returns; a thread does it if it is large, until ``until`` at most."""
    if not is_large:
        return work(*arguments)
    return await threads.run(caller, partial(work, *arguments), until)


def give_way(done: float = 0.0) -> None:
    """Makes way for small requests and other callers; stops late or abandoned work.

    Large work calls it each 0.1 to 0.2 ms, with the part that is ``done`` (0 to 1) if it knows.
    """
    job = here.job
    if job is None or (now := perf_counter()) - job.rested < _PIECE_SECONDS:
        return
    job.check(now, done)
    if small_come(now):
        sleep(min(job.threads.rest * crowding() * (now - job.rested), _LONGEST_REST))
    job.threads.pass_on(job, now)
    job.rested = perf_counter()


def small_come(now: float) -> bool:
    """Whether small requests follow each other closely."""
    return now - recent.small_at < _CLOSE_SECONDS
