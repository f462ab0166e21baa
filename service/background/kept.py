"""Results that never change: each is worked out once, and whoever asks meanwhile waits for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from time import perf_counter
from typing import Any, Generic, TypeVar

from service.errors import DeadlineExceeded

Result = TypeVar("Result")


class Kept(Generic[Result]):
    """The ``most`` results that were asked for last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: OrderedDict[Hashable, asyncio.Task[Result]] = OrderedDict()

    async def get(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Result]], deadline: float
    ) -> Result:
        """Returns what ``work`` returned for this key; a failure is raised, and not kept.

        The work goes on if this caller leaves. Raises :class:`DeadlineExceeded` at ``deadline``, on
        ``perf_counter``'s clock.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._forget_failed(key, done))
        self._tasks.move_to_end(key)
        if len(self._tasks) > self._most:
            self._tasks.popitem(last=False)
        try:
            async with asyncio.timeout(deadline - perf_counter()):
                return await asyncio.shield(task)
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed before the result was there") from None

    def _forget_failed(self, key: Hashable, done: asyncio.Task[Result]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and self._tasks.get(key) is done:
            del self._tasks[key]
