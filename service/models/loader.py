"""Makes a version answer: reads it, checks it against its card, loads and warms it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from service.answer.quality import doubts, least_confidence
from service.background import memory
from service.background.threads import Aside, worker_threads
from service.inference.admission import Queue
from service.inference.batch import INLINE_SECONDS, Batcher, BatchResult
from service.inference.runtime import Runtime, RuntimeLoadError
from service.models.repository import Repository, RepositoryError, Stamp
from service.observe.metrics import Metrics
from service.observe.statistics import Statistics
from service.settings import Settings
from service.types import Images

_TIMED_ROWS, _TIMED_RUNS, _TIMED_SECONDS = 16, 10, 0.1


class LoadError(Exception):
    """The version cannot serve; one line says why. ``stamp`` is that of the files at the time."""

    def __init__(self, reason: str, stamp: Stamp | None = None) -> None:
        super().__init__(reason)
        self.stamp = stamp


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version that can answer."""

    version: str
    card: dict[str, Any]
    runtime: Runtime
    batcher: Batcher

    least_confidence: float
    """Below it the largest probability tells no digit."""

    def doubts(self, run: BatchResult) -> list[tuple[str, ...]]:
        """The reasons to doubt the answer to each image of a run of this version."""
        return doubts(run.images, run.probabilities, self.least_confidence)

    @property
    def statistics(self) -> Statistics:
        """What this version has done in this worker since it was loaded."""
        return self.batcher.statistics


class Loader:
    """What all versions of one worker share: the queue, and the threads that run large requests."""

    def __init__(self, settings: Settings, metrics: Metrics, repository: Repository) -> None:
        self._settings = settings
        self._metrics = metrics
        self._repository = repository
        self.threads = worker_threads(settings.workers)
        self._runners = ThreadPoolExecutor(self.threads, "runner")
        self.queue = Queue(settings.queue_rows, metrics)

    def load(self, version: str) -> Loaded:
        """Reads, checks, loads and warms one version, for as long as that takes.

        Raises :class:`LoadError`, whatever the files hold.
        """
        try:
            return self._load(version)
        finally:
            memory.return_freed()

    def _load(self, version: str) -> Loaded:
        stamp = self._repository.stamp(int(version))
        try:
            card, model = self._repository.read(int(version))
            runtime = Runtime.load(model, provider=self._settings.provider)
            del model
            runtime.warm((1, 2, self._settings.batch_rows))
            inline_rows = _inline_rows(runtime, self._settings.batch_rows)
        except RepositoryError as error:
            raise LoadError(str(error), stamp) from error
        except RuntimeLoadError as error:
            raise LoadError(f"version {version}: {error}", stamp) from error
        except Exception as error:
            told = f"{type(error).__name__} {error}".strip()
            raise LoadError(f"version {version}: {told[:300]}", stamp) from error
        batcher = Batcher(
            runtime,
            self.queue,
            self._metrics,
            self._runners,
            batch_rows=self._settings.batch_rows,
            inline_rows=inline_rows,
            threads=self.threads,
        )
        return Loaded(version, card, runtime, batcher, least_confidence(card))

    def close(self) -> None:
        """Lets the runner threads go."""
        self._runners.shutdown(wait=False, cancel_futures=True)


class Loads:
    """The loads under way: each version's once for all who wait, ``most`` at a time.

    ``enter`` is told what came of each, before those who wait for it go on.
    """

    def __init__(
        self,
        load: Callable[[str], Loaded],
        most: int,
        enter: Callable[[str, Loaded | LoadError], None],
    ) -> None:
        self._load, self._enter = load, enter
        self._aside = Aside("loader", most)
        self._tasks: dict[str, asyncio.Task[Loaded]] = {}

    def of(self, version: str) -> asyncio.Task[Loaded]:
        """The version's load; to be shielded from the end of who waits for it."""
        task = self._tasks.get(version)
        if task is None:
            task = self._tasks[version] = asyncio.create_task(self._run(version))
            task.add_done_callback(partial(self._ended, version))
        return task

    async def _run(self, version: str) -> Loaded:
        try:
            loaded = await self._aside.run(partial(self._load, version))
        except LoadError as error:
            self._enter(version, error)
            raise
        self._enter(version, loaded)
        return loaded

    def _ended(self, version: str, task: asyncio.Task[Loaded]) -> None:
        del self._tasks[version]
        if not task.cancelled():
            task.exception()  # seen, though all who asked may have left


def _inline_rows(runtime: Runtime, batch_rows: int) -> int:
    """How many images a run may have and still be short enough for the event loop's thread."""
    # The fastest of several: on a busy machine any of them may be interrupted. And few rows, since
    # while a new champion is timed the old one answers on the same cores.
    batch = np.zeros((min(_TIMED_ROWS, batch_rows), 28, 28), np.uint8)
    times: list[float] = []
    while len(times) < _TIMED_RUNS and sum(times) < _TIMED_SECONDS:
        times.append(_timed(runtime, batch))
    return min(batch_rows, int(INLINE_SECONDS / min(times) * len(batch)))


def _timed(runtime: Runtime, batch: Images) -> float:
    start = perf_counter()
    runtime.run(batch)
    return perf_counter() - start
