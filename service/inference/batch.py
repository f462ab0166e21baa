"""Turns the images of many requests into few runs of the model, and hands each its rows.

A lone request never waits: nothing here has a timer. What arrives in the same turn of the event
loop is run together at the turn's end, on the loop's own thread while a run is short, since handing
fifty microseconds of work to another thread costs as much as the work. Requests too large for that
are cut into runs of ``batch_rows`` on runner threads, so that the loop stays free; and into shorter
ones while small requests come, which share the core with them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import inf
from time import perf_counter

import numpy as np

from service.background.large_work import begin_large, give_way, ran_small, small_come
from service.errors import DeadlineExceeded, QueueFull
from service.http.throttle import LONGEST_SECONDS, Throttle
from service.inference.batch_result import Item, Run
from service.inference.runtime import Runtime
from service.observe.metrics import Metrics
from service.observe.statistics import Statistics
from service.types import Images, Probabilities

INLINE_SECONDS = 0.001
"""The longest run that may hold the event loop."""
SHORT = 4
"""What part of that a run on another thread may take while small requests come."""


@dataclass(slots=True)
class Ran:
    """What a request got: its images' part of a run, and the seconds it waited and ran."""

    run: Run
    part: slice
    queue_s: float
    infer_s: float

    @property
    def probabilities(self) -> Probabilities:
        """Those of the request's images, (n, 10)."""
        return self.run.probabilities[self.part]

    def each(self, work: Callable[[Run], list[Item]]) -> list[Item]:
        """What ``work`` makes of each of the request's images, done for the whole run at once."""
        return self.run.each(work)[self.part]


@dataclass(slots=True)
class _Waiting:
    images: Images
    deadline: float
    since: float
    answer: asyncio.Future[Ran]


class Queue:
    """The images that wait in this worker, for whichever version: the bound of its memory."""

    def __init__(self, limit_rows: int, metrics: Metrics) -> None:
        self._limit = limit_rows
        self._metrics = metrics
        self.refused = Throttle()
        self._rows = 0
        self._full = False
        # Images per second, as the last runs went; a guess until the first one.
        self._rate = 10_000.0

    def admit(self, rows: int) -> None:
        """Takes ``rows`` in, or raises :class:`QueueFull` saying when to come back.

        An empty queue takes any request, so that one larger than the bound can be served.
        """
        if not self.has_room(rows):
            self._full = True
            self._refuse(rows)
        self._rows += rows
        self._metrics.queued(self._rows)

    def has_room(self, rows: int) -> bool:
        """Whether ``rows`` would be taken in."""
        return not self._rows or self._rows + rows <= self._limit

    def check(self) -> None:
        """Raises :class:`QueueFull` from when one was refused until a quarter is free.

        So a large body can be refused before it is read and decoded, which costs more than to run
        its images.
        """
        if self._full:
            self._refuse(0)

    def _refuse(self, rows: int) -> None:
        self._metrics.rejected("queue_full")
        wait_s = max(LONGEST_SECONDS, round((self._rows + rows - self._limit) / self._rate + 0.5))
        raise QueueFull(
            f"{self._rows} images wait, the most is {self._limit}; try again in {wait_s} s",
            headers=((b"retry-after", b"%d" % wait_s),),
        )

    def leave(self, rows: int) -> None:
        """Lets ``rows`` go: run, late or forsaken."""
        self._rows -= rows
        self._metrics.queued(self._rows)
        if self._rows <= 0.75 * self._limit:
            self._full = False
            if self.refused:
                self.refused.let_one_in()

    def ran(self, rows: int, seconds: float) -> None:
        """Learns the rate at which the queue drains from one run."""
        self._rate += 0.1 * (rows / max(seconds, 1e-6) - self._rate)


class Batcher:
    """Runs one model for all requests of one worker's event loop.

    Requests of up to ``inline_rows`` images are run on the loop's own thread, larger ones on up to
    ``threads`` of the ``runners``.
    """

    def __init__(
        self,
        runtime: Runtime,
        queue: Queue,
        metrics: Metrics,
        runners: ThreadPoolExecutor,
        *,
        batch_rows: int,
        inline_rows: int,
        threads: int,
    ) -> None:
        self._runtime = runtime
        self._queue = queue
        self._metrics = metrics
        self._runners = runners
        self._batch_rows = batch_rows
        self._inline_rows = min(inline_rows, batch_rows)
        self._threads = threads
        self._waiting: deque[_Waiting] = deque()
        self._flush_due = False
        self.statistics = Statistics()

    def has_room(self, rows: int) -> bool:
        """Whether a request of ``rows`` images would be taken in now."""
        return self._queue.has_room(rows)

    async def infer(self, images: Images, deadline: float, *, alone: bool = False) -> Ran:
        """Runs ``images`` (n, 28, 28), n >= 1; ``deadline`` is on ``perf_counter``'s clock.

        A request that is ``alone`` in this worker has none to be joined with and is run at once.

        Raises :class:`QueueFull` at once where there is no room, and :class:`DeadlineExceeded`
        where the deadline passed before the last image's run had begun.
        """
        rows = len(images)
        self._queue.admit(rows)
        if rows > self._inline_rows:
            try:
                return await self._infer_large(images, deadline)
            finally:
                self._queue.leave(rows)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(images, deadline, perf_counter(), loop.create_future())
        if alone and not self._waiting:
            self._waiting.append(waiting)
            self._flush(loop)
            return waiting.answer.result()
        self._waiting.append(waiting)
        if not self._flush_due:
            self._flush_due = True
            loop.call_soon(self._flush, loop)
        return await waiting.answer

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs one batch of what waits; leaves the rest to the loop's next turn."""
        batch = self._next_batch()
        if self._waiting:
            loop.call_soon(self._flush, loop)
        else:
            self._flush_due = False
        if not batch:
            return
        images = batch[0].images if len(batch) == 1 else np.concatenate([w.images for w in batch])
        start = perf_counter()
        ran_small(start)
        try:
            probabilities = self._runtime.run(images)
        except Exception as error:  # noqa: BLE001 - told to each caller, who raises it
            for waiting in batch:
                self.statistics.failed(start - waiting.since)
                waiting.answer.set_exception(error)
            return
        seconds = perf_counter() - start
        self._queue.ran(len(images), seconds)
        self._metrics.ran(len(images), seconds)
        self.statistics.ran(len(images), seconds)
        run, first = Run(images, probabilities), 0
        for waiting in batch:
            last = first + len(waiting.images)
            queue_s = start - waiting.since
            self._metrics.waited(queue_s)
            waiting.answer.set_result(Ran(run, slice(first, last), queue_s, seconds))
            first = last

    def _next_batch(self) -> list[_Waiting]:
        """The oldest that fit into one run, in order, less those who left or are late."""
        batch: list[_Waiting] = []
        room, now = self._inline_rows, perf_counter()
        while self._waiting and (rows := len(self._waiting[0].images)) <= room:
            waiting = self._waiting.popleft()
            self._queue.leave(rows)
            if waiting.answer.done():
                self._metrics.rejected("left")
            elif now > waiting.deadline:
                waiting.answer.set_exception(self._late(waiting.since))
            else:
                batch.append(waiting)
                room -= rows
        return batch

    async def _infer_large(self, images: Images, deadline: float) -> Ran:
        """Cuts a large request among the runner threads."""
        loop = asyncio.get_running_loop()
        out = np.empty((len(images), 10), np.float32)
        share = -(-len(images) // self._threads)
        share = -(-share // self._batch_rows) * self._batch_rows
        short_rows = max(1, self._inline_rows // SHORT)
        job = _LargeJob(self._runtime, images, out, self._batch_rows, short_rows, deadline)
        shares = [
            loop.run_in_executor(self._runners, job.run, first, min(first + share, len(images)))
            for first in range(0, len(images), share)
        ]
        try:
            async with asyncio.timeout_at(loop.time() + deadline - job.since):
                await asyncio.gather(*shares)
        except TimeoutError:
            job.late = True
        except asyncio.CancelledError:
            self._metrics.rejected("left")
            raise
        finally:
            job.forsaken = True
            for rows, seconds in job.runs:
                self._queue.ran(rows, seconds)
                self._metrics.ran(rows, seconds)
                self.statistics.ran(rows, seconds)
        if job.late:
            raise self._late(job.since)
        queue_s = job.started - job.since
        self._metrics.waited(queue_s)
        whole = slice(0, len(images))
        return Ran(Run(images, out), whole, queue_s, perf_counter() - job.started)

    def _late(self, since: float) -> DeadlineExceeded:
        self.statistics.failed(perf_counter() - since)
        return DeadlineExceeded("the deadline passed before the images could be run")


@dataclass(slots=True)
class _LargeJob:
    """The runs of one large request, on runner threads; figures are told by the loop's thread."""

    runtime: Runtime
    images: Images
    out: Probabilities
    batch_rows: int
    short_rows: int
    deadline: float
    since: float = field(default_factory=perf_counter)
    started: float = inf
    forsaken: bool = False
    late: bool = False
    runs: list[tuple[int, float]] = field(default_factory=list)

    def run(self, begin: int, end: int) -> None:
        """Runs images ``begin`` to ``end``; stops where it is late or no one waits any more."""
        begin_large()
        self.started = min(self.started, perf_counter())
        first = begin
        while first < end:
            start = perf_counter()
            rows = self.short_rows if small_come(start) else self.batch_rows
            last = min(first + rows, end)
            if self.forsaken or self.late:
                return
            if start > self.deadline:
                self.late = True
                return
            self.out[first:last] = self.runtime.run(self.images[first:last])
            self.runs.append((last - first, perf_counter() - start))
            first = last
            give_way()
