"""Loads a version: reads it, checks it against its card, loads it into ONNX Runtime, warms it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from service.answer.quality import batch_doubts, least_confidence
from service.background.threads import DaemonThreads, worker_threads
from service.inference.admission import Queue
from service.inference.batch import INLINE_SECONDS, Batcher, BatchResult
from service.inference.runtime import Runtime, RuntimeLoadError
from service.models.repository import Repository, RepositoryError, Stamp
from service.observe.metrics import Metrics
from service.settings import Settings

_TIMED_ROWS, _TIMED_RUNS, _TIMED_SECONDS = 16, 10, 0.1


class LoadError(Exception):
    """The version cannot serve; one line says why. ``stamp`` is that of its files at the time."""

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
    """The threshold of ``not a digit``."""

    doubts: Callable[[BatchResult], list[tuple[str, ...]]]
    """Returns the reasons to doubt each answer of a batch that this version executed."""


class Loader:
    """Loads the versions of one worker, which share its queue and its runner threads."""

    def __init__(self, settings: Settings, metrics: Metrics, repository: Repository) -> None:
        self._settings = settings
        self._metrics = metrics
        self._repository = repository
        self.threads = worker_threads(settings.workers)
        self._runners = ThreadPoolExecutor(self.threads, "runner")
        self.queue = Queue(settings.queue_rows, metrics)

    def load(self, version: str) -> Loaded:
        """Loads one version and returns it, however long that takes.

        Raises :class:`LoadError`, whatever the files hold.
        """
        stamp = self._repository.stamp(int(version))
        batch_rows = self._settings.batch_rows
        try:
            card, model = self._repository.read(int(version))
            runtime = Runtime.load(model, provider=self._settings.provider)
            del model
            runtime.warm((1, 2, batch_rows))
            inline_rows = _inline_rows(runtime, batch_rows)
        except RepositoryError as error:
            raise LoadError(str(error), stamp) from error
        except Exception as error:
            kind = "" if isinstance(error, RuntimeLoadError) else f"{type(error).__name__} "
            raise LoadError(f"version {version}: {kind}{error}"[:300].strip(), stamp) from error
        batcher = Batcher(
            runtime,
            self.queue,
            self._metrics,
            self._runners,
            batch_rows=batch_rows,
            inline_rows=inline_rows,
            threads=self.threads,
        )
        least = least_confidence(card)
        return Loaded(version, card, runtime, batcher, least, partial(batch_doubts, least))

    def close(self) -> None:
        """Ends the runner threads."""
        self._runners.shutdown(wait=False, cancel_futures=True)


class Loads:
    """The loads in progress, at most ``most`` at a time; all who want a version share one load.

    It calls ``enter`` with the result of each, before those who wait for it continue.
    """

    def __init__(
        self,
        load: Callable[[str], Loaded],
        most: int,
        enter: Callable[[str, Loaded | LoadError], None],
    ) -> None:
        self._load, self._enter = load, enter
        self._threads = DaemonThreads("loader", most)
        self._tasks: dict[str, asyncio.Task[Loaded]] = {}

    def of(self, version: str) -> asyncio.Task[Loaded]:
        """Returns the version's load; shield it, since other callers may wait for it too."""
        if version not in self._tasks:
            task = self._tasks[version] = asyncio.create_task(self._run(version))
            # asyncio logs an exception that nobody retrieves: all who waited may have left.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._tasks[version]

    async def _run(self, version: str) -> Loaded:
        try:
            loaded = await self._threads.run(partial(self._load, version))
        except LoadError as error:
            self._enter(version, error)
            raise
        finally:
            del self._tasks[version]
        self._enter(version, loaded)
        return loaded


def _inline_rows(runtime: Runtime, batch_rows: int) -> int:
    """Returns how many images the model can run within ``INLINE_SECONDS``."""
    # Takes the fastest of several executions: other programs may interrupt any of them. Runs few
    # rows: while this times a new champion, the old one answers on the same cores.
    batch = np.zeros((min(_TIMED_ROWS, batch_rows), 28, 28), np.uint8)
    times: list[float] = []
    while len(times) < _TIMED_RUNS and sum(times) < _TIMED_SECONDS:
        start = perf_counter()
        runtime.run(batch)
        times.append(perf_counter() - start)
    return min(batch_rows, int(INLINE_SECONDS / min(times) * len(batch)))
