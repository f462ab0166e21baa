"""Keeps the event loop free: what takes long for one request is done on threads beside it.

Their priority is that of the loop: a thread of a lower one is held up by other programs while it
has the interpreter's lock, and holds up the loop with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import perf_counter
from typing import TypeVar

from service.errors import DeadlineExceeded

Result = TypeVar("Result")

SMALL_JSON_BYTES = 1 << 17
"""JSON up to this size is decoded on the event loop, within some 700 microseconds."""
SMALL_BYTES = 1 << 18
"""The same for bytes that are hardly looked at, which takes a tenth of that."""
SMALL_ROWS = 256
"""Answers for up to this many images are put together on the event loop."""

_THREADS = 4


_threads = ThreadPoolExecutor(_THREADS, "large")


async def when_large(
    is_large: bool, work: Callable[..., Result], *arguments: object, until: float = inf
) -> Result:
    """What ``work`` gives for the arguments: at once, or from a thread where it takes long.

    Raises :class:`DeadlineExceeded` where no thread was free until then, on ``perf_counter``'s
    clock: under more load than can be carried, what waited too long would else take the time of
    what can still be answered.
    """
    if not is_large:
        return work(*arguments)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _in_time, until, work, *arguments)


def _in_time(until: float, work: Callable[..., Result], *arguments: object) -> Result:
    if perf_counter() > until:
        raise DeadlineExceeded("the deadline passed before the body could be decoded")
    return work(*arguments)
