"""Decode, infer, answer: the steps of every request that classifies images, in any protocol."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from service.api.request import Request
from service.background.large_work import SMALL_ROWS, when_large
from service.decode.pictures import Pictures, preprocess_in_pool
from service.imaging.pipeline import Seen
from service.inference.batch import Result, digits
from service.models.loader import Loaded
from service.types import Images

T = TypeVar("T")


class Pipeline:
    """One request on its way from its body to its answer; it fills in the request's times.

    ``deadline`` is on ``perf_counter``'s clock.
    """

    def __init__(self, request: Request) -> None:
        self._request, self._core = request, request.core
        self.deadline = request.deadline(self._core.settings.deadline_s)
        self._inferred = 0.0
        self._served: Loaded | None = None

    @property
    def served(self) -> Loaded:
        """The version that answers, once it is chosen."""
        assert self._served is not None
        return self._served

    async def choose(self, version: str | None) -> None:
        """Chooses the version that answers: ``version``, or the champion of this moment.

        Raises NotFound, Unavailable or DeadlineExceeded.
        """
        versions = self._core.versions
        if version is None:
            self._served = versions.serving or versions.champion  # the second one raises
        else:
            self._served = await versions.version(version, self.deadline)

    async def look(self, pictures: Pictures) -> list[Seen]:
        """What the service sees in each picture. Raises as ``service.imaging`` does."""
        start = perf_counter()
        seen = await preprocess_in_pool(
            pictures, self._core.limits, self._core.pictures, self.deadline
        )
        self._request.decode_s += perf_counter() - start
        return seen

    async def decode(self, small: bool, work: Callable[..., T], *arguments: object) -> T:
        """What ``work`` returns: on the event loop if it is ``small``, else on a thread.

        Raises what ``work`` raises, and DeadlineExceeded.
        """
        start = perf_counter()
        if small:
            decoded = work(*arguments)
        else:
            decoded = await when_large(True, work, *arguments, until=self.deadline)
        self._request.decode_s += perf_counter() - start
        return decoded

    async def infer(self, images: Images, version: str | None = None) -> Result:
        """Classifies images (n, 28, 28) uint8; chooses ``version`` first if need be.

        The images are decoded by then, so that a slow sender keeps no version loaded.
        Raises QueueFull, DeadlineExceeded, and as :meth:`choose`.
        """
        if self._served is None:
            await self.choose(version)
        request, under_way = self._request, self._request.under_way
        alone = under_way is not None and len(under_way) == 1
        result = await self.served.batcher.infer(images, self.deadline, alone=alone)
        request.queue_s += result.queue_s
        request.infer_s += result.infer_s
        self._inferred = perf_counter()
        return result

    async def answer(self, result: Result, build: Callable[..., T], *arguments: object) -> T:
        """What ``build`` returns, and counts the answer; many rows are built on a thread."""
        rows = result.rows
        if rows <= SMALL_ROWS:
            built = build(*arguments)
        else:
            built = await when_large(True, build, *arguments)
        request, now = self._request, perf_counter()
        self._core.metrics.predicted(result.each(digits))
        self.served.batcher.statistics.answered(
            rows,
            total_s=now - request.started,
            decode_s=request.decode_s,
            queue_s=request.queue_s,
            infer_s=request.infer_s,
            answer_s=now - self._inferred,
        )
        return built
