"""Decode, infer, answer: the steps of every request that classifies images, in any protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from math import ceil
from time import perf_counter, time
from typing import TypeVar

from service.api.request import Request
from service.background.large_work import SMALL_ROWS, recent, when_large
from service.errors import RateSpent
from service.inference.batch import Result, digits
from service.models.loader import Loaded
from service.observe.statistics import MOST_ANSWERS
from service.reasons.steps import Steps, advance
from service.types import Images, Probabilities

T = TypeVar("T")


class Pipeline:
    """A request on its way from body to answer; its ``deadline`` is on ``perf_counter``'s clock."""

    def __init__(self, request: Request, most_s: float | None = None) -> None:
        self._request, self.core, self.caller = request, request.core, request.caller
        self.deadline = request.deadline(most_s or self.core.settings.deadline_s)
        self._charged = self._classified = 0
        if self.caller != recent.caller:
            recent.caller, recent.other_at = self.caller, recent.at
        recent.at = request.started
        if self.core.rates is not None:
            self.charge(1)  # before its body is read
        self._is_canary = False
        self.served: Loaded  # the version that answers, once it is chosen

    def charge(self, images: int) -> None:
        """Charges the caller's rate with ``images`` in all. Raises :class:`RateSpent`."""
        rates, request, key = self.core.rates, self._request, self._request.key
        if rates is None or images <= self._charged:
            return
        rate = rates.per_second if key is None or key.rate is None else key.rate
        if not rate:
            return
        more, begun, own = images - self._charged, self._charged > 0, request.answer_headers
        fields, wait_s = rates.charge(request.caller, more, rate, begun=begun)
        request.answer_headers = (*(own[: -len(fields)] if begun else own), *fields)
        self._charged = images
        if wait_s:
            self.core.metrics.count("rejected", "rate")
            after_s = ceil(wait_s)
            raise RateSpent(
                f"the rate of {rate:g} images a second is spent; try again in {after_s} s",
                headers=((b"retry-after", b"%d" % after_s),),
            )

    async def choose(self, version: str | None, *, canary: bool = True) -> None:
        """Chooses ``version``, or the champion of this moment; with ``canary`` its challenger.

        After decoding, so that a slow sender keeps no version loaded. Raises NotFound, Unavailable
        or DeadlineExceeded.
        """
        versions = self.core.versions
        if version is None:
            challenge = self.core.challenge
            challenger = challenge.canary(self.caller) if canary and challenge.follows else None
            self._is_canary = challenger is not None
            # The last one raises.
            self.served = challenger or versions.serving or versions.champion
        else:
            self.served = await versions.version(version, self.deadline, self.caller)
        self._request.version = self.served.version

    async def timed(self, decoding: Awaitable[T]) -> T:
        """What ``decoding`` returns; its seconds count as decoding."""
        start = perf_counter()
        decoded = await decoding
        self._request.decode_s += perf_counter() - start
        return decoded

    async def decode(self, small: bool, work: Callable[..., T], *arguments: object) -> T:
        """What ``work`` returns, on a thread unless it is ``small``. Raises DeadlineExceeded."""
        if not small:
            caller, until = self.caller, self.deadline
            return await self.timed(when_large(True, work, *arguments, until=until, caller=caller))
        recent.small_at = start = perf_counter()
        decoded = work(*arguments)
        self._request.decode_s += perf_counter() - start
        return decoded

    async def infer(self, images: Images) -> Result:
        """Classifies images (n, 28, 28) uint8. Raises QueueFull and DeadlineExceeded."""
        request, under_way = self._request, self._request.under_way
        if self.core.rates is not None:
            self._classified += len(images)
            if self._classified > self._charged:
                self.charge(self._classified)
        alone = under_way is not None and len(under_way) == 1
        result, until, caller = None, self.deadline, self.caller
        if self._is_canary:
            result = await self.core.challenge.infer(self.served, images, until, caller)
            if result is None:  # it failed: the champion answers from now on
                await self.choose(None, canary=False)
        if result is None:
            result = await self.served.batcher.infer(images, until, alone=alone, caller=caller)
        request.queue_s += result.queue_s
        request.infer_s += result.infer_s
        request.inferred = perf_counter()
        return result

    async def follow(self, questions: Iterable[Steps[T]], cost: int) -> list[T]:
        """Takes all steps of the questions on threads, and queues their images as others.

        Charges ``cost`` images first, so that nothing is refused half-way. Raises as :meth:`infer`.
        """
        self.charge(self._charged + cost)
        return [await self._follow(steps) for steps in questions]

    async def _follow(self, steps: Steps[T]) -> T:
        answer: Probabilities | None = None
        while True:
            step: tuple[Images | None, list[T]] = await when_large(
                True, advance, steps, answer, until=self.deadline, caller=self.caller
            )
            if (images := step[0]) is None:
                return step[1][0]
            self._charged += len(images)
            answer = (await self.infer(images)).probabilities

    def follow_up(self, result: Result, doubts: Sequence[Sequence[str]] | None = None) -> None:
        """Counts the answered images and their doubts, and shows them to who follows the answers.

        Those of a drawing that is not finished (``X-Drawing``) tell nothing about use.
        """
        core, request = self.core, self._request
        core.metrics.predicted(result.each(digits))
        if doubts is not None:
            for doubt in chain.from_iterable(filter(None, doubts)):
                core.metrics.count("doubts", doubt)
        if b"x-drawing" in request.fields:
            return
        for follower in core.followers:
            if follower.follows:
                follower.answered(request.id, request.caller, self.served, result, doubts)

    async def answer(self, rows: int, build: Callable[..., T], *arguments: object) -> T:
        """What ``build`` returns, and counts the answer; many rows are built on a thread."""
        if rows <= SMALL_ROWS:
            built = build(*arguments)
        else:
            built = await when_large(True, build, *arguments, caller=self.caller)
        request, now, statistics = self._request, perf_counter(), self.served.batcher.statistics
        steps = (now - request.started, request.decode_s, request.queue_s, request.infer_s)
        statistics.answers.append((rows, time(), *steps, now - request.inferred))
        if len(statistics.answers) >= MOST_ANSWERS:
            statistics.sum_up()
        return built
