"""A thread pool for pictures: decoding one blocks a thread, and holds memory for its pixels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import perf_counter
from typing import TypeVar

from service.errors import DeadlineExceeded

Result = TypeVar("Result")


class PicturePool(ThreadPoolExecutor):
    """Threads whose work the event loop waits for, up to a deadline."""

    async def run(self, work: Callable[[], Result], until: float = inf) -> Result:
        """Returns what ``work`` returns; :class:`DeadlineExceeded` if it waits past ``until``."""

        def in_time() -> Result:
            if perf_counter() > until:
                raise DeadlineExceeded("the deadline passed before the picture was decoded")
            return work()

        return await asyncio.get_running_loop().run_in_executor(self, in_time)
