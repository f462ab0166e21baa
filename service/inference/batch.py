"""Turns the images of many requests into few executions of the model, without any timer.

Requests of one turn of the event loop are executed together at its end, on the loop's own thread if
that is short. Larger ones are cut into batches on runner threads. Callers get both in turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, thread_time
from typing import Any, TypeVar

import numpy as np

from service.background.fair_turns import FairTurns
from service.background.large_work import FairThreads, give_way, small_come
from service.errors import DeadlineExceeded, Unavailable
from service.inference.admission import Queue
from service.inference.runtime import RunError, Runtime
from service.observe.metrics import Metrics
from service.observe.statistics import Statistics
from service.types import Images, Probabilities

INLINE_SECONDS = 0.001  # the longest execution that may hold the event loop
_HOLDS_SECONDS = 0.25  # a version that computed for longer on the event loop does so no more
SHORT = 4  # while small requests arrive, an execution on another thread takes this fraction of it
PIECE_ROWS = 256  # rows that are worked on at once beside the event loop, which waits for as long

Item = TypeVar("Item")


@dataclass(slots=True, eq=False)
class BatchResult:
    """The images (n, 28, 28) uint8 of one execution and their probabilities (n, 10) float32."""

    images: Images
    probabilities: Probabilities
    _made: dict[Any, list[Any]] = field(default_factory=dict)

    def each(self, work: Callable[[BatchResult], list[Item]]) -> list[Item]:
        """Returns what ``work`` returns for each image; runs it once, a large batch in pieces."""
        made = self._made.get(work)
        if made is None and len(self.images) <= PIECE_ROWS:
            made = self._made[work] = work(self)
        elif made is None:
            made = self._made[work] = []
            for first in range(0, len(self.images), PIECE_ROWS):
                piece = slice(first, first + PIECE_ROWS)
                made += work(BatchResult(self.images[piece], self.probabilities[piece]))
                give_way()
        return made


def digits(batch: BatchResult) -> list[int]:
    """Returns the likeliest digit of each image; the lowest of equal ones."""
    return list(batch.probabilities.argmax(axis=1).tolist())


@dataclass(slots=True)
class Result:
    """The rows of one request in a batch, and the seconds that it waited and was executed."""

    batch: BatchResult
    part: slice
    queue_s: float
    infer_s: float

    @property
    def rows(self) -> int:
        """The number of the request's images."""
        return int(self.part.stop - self.part.start)

    @property
    def images(self) -> Images:
        """The request's images, (n, 28, 28)."""
        return self.batch.images[self.part]

    @property
    def probabilities(self) -> Probabilities:
        """The probabilities of the request's images, (n, 10)."""
        return self.batch.probabilities[self.part]

    def each(self, work: Callable[[BatchResult], list[Item]]) -> list[Item]:
        """Returns what ``work`` returns for each of the request's images."""
        return self.batch.each(work)[self.part]


@dataclass(slots=True)
class _Waiting:
    images: Images
    deadline: float
    caller: str
    since: float
    answer: asyncio.Future[Result]


@dataclass(eq=False, slots=True)
class Batcher:
    """Executes one version: up to ``inline_rows`` images on the event loop's own thread."""

    runtime: Runtime
    queue: Queue
    metrics: Metrics
    runners: FairThreads
    batch_rows: int
    inline_rows: int
    threads: int
    condemn: Callable[[str], object] = lambda reason: None
    """Called from any thread with the reason why the version must not answer again."""
    statistics: Statistics = field(default_factory=Statistics)
    _waiting: FairTurns[_Waiting] = field(default_factory=FairTurns)
    _flush_due: bool = False
    _holds: bool = False  # whether it held the event loop for long

    async def infer(
        self,
        images: Images,
        deadline: float,
        *,
        alone: bool = False,
        aside: bool = False,
        caller: str = "",
    ) -> Result:
        """Classifies ``images`` (n, 28, 28), n >= 1; ``deadline`` is on ``perf_counter``'s clock.

        Executes a request that is ``alone`` in this worker at once, and one that must stay
        ``aside`` on no event loop. Raises :class:`QueueFull` and :class:`DeadlineExceeded`.
        """
        rows = len(images)
        aside = aside or self._holds
        if alone and rows <= self.inline_rows and not (self._flush_due or self._holds):
            start = perf_counter()
            if start > deadline:
                raise self._late(start)
            batch = self._execute(images, start, 0.0)
            return Result(batch, slice(0, rows), 0.0, perf_counter() - start)
        self.queue.admit(rows, caller)
        if rows > self.inline_rows or aside:
            try:
                return await self._infer_large(images, deadline, caller)
            finally:
                self.queue.leave(rows, caller)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(images, deadline, caller, perf_counter(), loop.create_future())
        self._waiting.put(caller, waiting)
        if not self._flush_due:
            self._flush_due = True
            loop.call_soon(self._flush, loop)
        return await waiting.answer

    def _execute(self, images: Images, start: float, *waited: float) -> BatchResult:
        """Executes one small batch, and counts it and its requests, which have waited so long."""
        computed = thread_time()
        try:
            probabilities = self._run(images)
        except Exception:
            for seconds in waited:
                self.statistics.failed(seconds)
            raise
        if perf_counter() - start > _HOLDS_SECONDS:  # and not the whole machine was slow
            self._holds = self._holds or thread_time() - computed > _HOLDS_SECONDS
        for seconds in waited:
            self.metrics.observe("queue_seconds", seconds)
        self._count(len(images), perf_counter() - start)
        return BatchResult(images, probabilities)

    def _run(self, images: Images) -> Probabilities:
        """Runs the model, in any thread. A version that gives no answers goes out of service."""
        try:
            return self.runtime.run(images)
        except RunError as error:
            self.condemn(str(error))
            if self.runtime.ended:
                raise DeadlineExceeded(str(error)) from None
            raise Unavailable(f"the version is out of service: {error}") from None

    def _count(self, rows: int, seconds: float) -> None:
        queue = self.queue
        queue.rate += 0.1 * (rows / max(seconds, 1e-6) - queue.rate)
        self.metrics.observe("batch_size", rows)
        self.metrics.observe("inference_seconds", seconds)
        execution = self.statistics.executions[rows]
        execution[0] += 1.0
        execution[1] += seconds

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Executes one batch; the rest waits for the loop's next turn."""
        requests = self._next_requests()
        if self._waiting:
            loop.call_soon(self._flush, loop)
        else:
            self._flush_due = False
        if not requests:
            return
        images = requests[0].images
        if len(requests) > 1:
            images = np.concatenate([waiting.images for waiting in requests])
        start = perf_counter()
        waited = [start - waiting.since for waiting in requests]
        try:
            batch = self._execute(images, start, *waited)
        except Exception as error:  # noqa: BLE001 - each caller raises it
            for waiting in requests:
                waiting.answer.set_exception(error)
            return
        seconds, first = perf_counter() - start, 0
        for waiting, queue_s in zip(requests, waited, strict=True):
            last = first + len(waiting.images)
            waiting.answer.set_result(Result(batch, slice(first, last), queue_s, seconds))
            first = last

    def _next_requests(self) -> list[_Waiting]:
        """The requests whose turn it is and that fit into one batch; none that left or is late."""
        requests: list[_Waiting] = []
        left = Counter[str]()
        room, now = self.inline_rows, perf_counter()
        while self._waiting and (rows := len(self._waiting.first().images)) <= room:
            waiting = self._waiting.take(rows)
            left[waiting.caller] += rows
            if waiting.answer.done():
                self.metrics.count("rejected", "left")
            elif now > waiting.deadline:
                waiting.answer.set_exception(self._late(waiting.since))
            else:
                requests.append(waiting)
                room -= rows
        for caller, rows in left.items():
            self.queue.leave(rows, caller)
        return requests

    async def _infer_large(self, images: Images, deadline: float, caller: str) -> Result:
        """Divides a large request among the runner threads, which stop once nobody waits."""
        out, since, begun = np.empty((len(images), 10), np.float32), perf_counter(), list[float]()
        executions = list[tuple[int, float]]()

        def work(first: int, end: int) -> None:
            begun.append(perf_counter())
            while first < end:
                start = perf_counter()
                rows = max(1, self.inline_rows // SHORT) if small_come(start) else self.batch_rows
                last = min(first + rows, end)
                out[first:last] = self._run(images[first:last])
                executions.append((last - first, perf_counter() - start))
                first = last
                give_way()

        loop = asyncio.get_running_loop()
        share = -(-len(images) // self.threads)
        share = -(-share // self.batch_rows) * self.batch_rows
        firsts = range(0, len(images), share)
        works = (partial(work, first, min(first + share, len(images))) for first in firsts)
        shares = [loop.create_task(self.runners.run(caller, each, deadline)) for each in works]
        try:
            async with asyncio.timeout_at(loop.time() + deadline - since):
                await asyncio.gather(*shares)
        except (TimeoutError, DeadlineExceeded):
            raise self._late(since) from None
        except asyncio.CancelledError:
            self.metrics.count("rejected", "left")
            raise
        finally:
            for each in shares:
                each.cancel()
            for rows, seconds in executions:
                self._count(rows, seconds)
        queue_s = min(begun) - since
        self.metrics.observe("queue_seconds", queue_s)
        whole = slice(0, len(images))
        return Result(BatchResult(images, out), whole, queue_s, perf_counter() - min(begun))

    def _late(self, since: float) -> DeadlineExceeded:
        self.statistics.failed(perf_counter() - since)
        return DeadlineExceeded("the deadline passed before the images were classified")
