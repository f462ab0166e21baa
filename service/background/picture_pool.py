"""The threads that look at pictures, so that the event loop stays free.

Their number is that of the cores: decoding is work for the processor alone, and each picture that
is being decoded takes memory in proportion to its pixels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from service.decode.pictures import Pictures
from service.errors import DeadlineExceeded
from service.imaging.load import Picture
from service.imaging.pipeline import Seen, look
from service.imaging.preview import shown
from service.types import Images, Limits

Answer = TypeVar("Answer")
_FEW = 8


class PicturePool:
    """Runs what takes long on pictures, ``threads`` at a time."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "looker")

    def warm(self) -> Future[Seen]:
        """Looks at a picture, on a thread, so that no caller's is the first."""
        paper = np.full((64, 64), 255, np.uint8)
        paper[16:48, 30:34] = 0
        return self._threads.submit(look, Picture(paper, (64, 64)))

    async def look(self, pictures: Pictures, limits: Limits, deadline: float) -> list[Seen]:
        """What is seen in each picture; at once where that is quick. Raises as they do."""
        seen = pictures.at_a_glance(limits)
        if seen is not None:
            return seen
        return await self.run(lambda: pictures.look(limits, deadline))

    async def show(self, images: Images, seen: list[Seen] | None) -> list[dict[str, Any]]:
        """Each image as ``?include=seen`` tells it; at once where they are few."""
        if len(images) <= _FEW:
            return shown(images, seen)
        return await self.run(lambda: shown(images, seen))

    async def run(self, work: Callable[[], Answer], until: float = inf) -> Answer:
        """Runs ``work`` on one of the threads.

        Raises :class:`DeadlineExceeded` where none was free until then, on ``perf_counter``'s
        clock.
        """

        def in_time() -> Answer:
            if perf_counter() > until:
                raise DeadlineExceeded("the deadline passed before the picture was looked at")
            return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, in_time)
