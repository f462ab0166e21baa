"""Results that never change: each is worked out once, and whoever asks meanwhile waits for it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from contextlib import suppress
from time import perf_counter
from typing import Any, Generic, TypeVar

from service.errors import DeadlineExceeded

Result = TypeVar("Result")
Work = Callable[[], Coroutine[Any, Any, Result]]


class Kept(Generic[Result]):
    """The ``most`` results that were asked for last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: OrderedDict[Hashable, asyncio.Task[Result]] = OrderedDict()

    async def get(self, key: Hashable, work: Work[Result], deadline: float) -> Result:
        """Returns what ``work`` returned for this key; a failure is raised, and not kept.

        The work goes on if this caller leaves; if another caller's fails, this one's begins. Raises
        :class:`DeadlineExceeded` at ``deadline``, on ``perf_counter``'s clock.
        """
        try:
            async with asyncio.timeout(deadline - perf_counter()):
                while (others := self._tasks.get(key)) is not None:
                    self._tasks.move_to_end(key)
                    with suppress(Exception):
                        return await asyncio.shield(others)
                mine = self._tasks[key] = asyncio.create_task(self._run(key, work))
                if len(self._tasks) > self._most:
                    self._tasks.popitem(last=False)
                return await asyncio.shield(mine)
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed before the result was there") from None

    async def _run(self, key: Hashable, work: Work[Result]) -> Result:
        try:
            return await work()
        except BaseException:
            if self._tasks.get(key) is asyncio.current_task():
                del self._tasks[key]
            raise
