"""The versions in one worker's memory: loads them, says which failed, evicts the least used."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from os import getpid
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from service.answer.quality import batch_doubts, least_confidence
from service.background.large_work import FairThreads
from service.background.threads import DaemonThreads, worker_threads
from service.inference.admission import Queue
from service.inference.batch import INLINE_SECONDS, Batcher, BatchResult
from service.inference.runtime import Runtime, RuntimeLoadError, Watchdog
from service.models.proof import ProofError, prove, samples
from service.models.repository import Repository, RepositoryError, Stamp
from service.observe.metrics import Metrics
from service.settings import Settings

Condemn = Callable[[str, str], None]
LASTING = inf
RETRY_SECONDS = 10.0
"""The pause before a failed version is loaded again, unless one of its files changes."""
_MOST_CALLERS = 1024
_TIMED_ROWS, _TIMED_RUNS, _TIMED_SECONDS = 16, 10, 0.1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version failed, its files' stamp, and when: ``LASTING`` if it will fail again."""

    reason: str
    stamp: Stamp | None = None
    when: float = field(default_factory=monotonic)

    def holds(self, stamp: Stamp | None) -> bool:
        """Whether the version would probably fail again."""
        return self.stamp == stamp and monotonic() - self.when < RETRY_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A version that can answer."""

    version: str
    card: dict[str, Any]
    stamp: Stamp | None
    runtime: Runtime
    batcher: Batcher
    least_confidence: float  # the threshold of not a digit
    doubts: Callable[[BatchResult], list[tuple[str, ...]]]  # the reasons to doubt each answer


class Loader:
    """The versions of a worker, which share queue and runners; ``condemn`` gets those to drop.

    At most ``max_loaded`` are kept. It evicts the version that the fewest callers chose last, and
    among equals the one that was used least lately: who goes through all versions evicts its own.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, repository: Repository, condemn: Condemn
    ) -> None:
        self._settings, self._metrics = settings, metrics
        self._repository, self._condemn = repository, condemn
        self.threads = worker_threads(settings.workers)
        self._runners = FairThreads("runner", self.threads)
        self.queue = Queue(settings.queue_rows, metrics)
        self._watchdog = Watchdog(settings.deadline_s)
        self._loads: dict[tuple[str, DaemonThreads], asyncio.Task[Loaded | Failure]] = {}
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()  # the version used last is last
        self._chosen: OrderedDict[str, str] = OrderedDict()  # what each caller chose last
        self.failures: dict[str, Failure] = {}
        self.champion: Loaded | None = None
        self.challenger: str | None = None
        self.named: str | None = None
        """The version that challenges the champion, and the one that its file names. Loaded or not,
        neither is evicted."""

    def load(self, version: str, threads: DaemonThreads) -> asyncio.Task[Loaded | Failure]:
        """Loads a version; shield the task, since others who wait for these threads share it."""
        key = version, threads
        if key not in self._loads:
            self._loads[key] = asyncio.create_task(self._enter(*key))
        return self._loads[key]

    async def _enter(self, version: str, threads: DaemonThreads) -> Loaded | Failure:
        try:
            result = await threads.run(self._load, version)
        finally:
            del self._loads[version, threads]
        if isinstance(result, Failure):
            self._metrics.count("model_loads", "failed")
            self.failures[version] = result
        else:
            self._metrics.count("model_loads", "loaded")
            self.failures.pop(version, None)
            self._loaded.setdefault(version, result)
            self._evict()
        return result

    def find(self, version: str, caller: str | None = None) -> Loaded | None:
        """Returns the version if it is loaded, and marks it as used, by ``caller``."""
        loaded = self._loaded.get(version)
        if loaded is not None:
            self._loaded.move_to_end(version)
            if caller is not None:
                self.choose(version, caller)
        return loaded

    def choose(self, version: str, caller: str) -> None:
        """Notes that this is the version that the caller wants now."""
        self._chosen[caller] = version
        self._chosen.move_to_end(caller)
        if len(self._chosen) > _MOST_CALLERS:
            self._chosen.popitem(last=False)

    def __contains__(self, version: str) -> bool:
        return version in self._loaded

    def serve(self, champion: Loaded) -> None:
        """Makes a loaded version the champion."""
        self.champion = self._loaded[champion.version] = champion
        self._evict()

    def drop(self, version: str) -> None:
        """Evicts a version if it need not stay; the requests that use it finish on it."""
        if version not in self._kept():
            self._loaded.pop(version, None)

    def condemn(self, version: str, reason: str) -> None:
        """Takes a loaded version out of service, also the champion, until its files change."""
        loaded = self._loaded.pop(version)
        self.failures[version] = Failure(f"version {version}: {reason}", loaded.stamp, LASTING)
        if loaded is self.champion:
            self.champion = None

    def view(self) -> dict[str, Any]:
        """Returns what other workers need to know: champion, states and statistics."""
        failed, loaded = self.failures.items(), self._loaded.items()
        states: dict[str, tuple[str, str | None]]
        states = {name: ("failed", failure.reason) for name, failure in failed}
        for name, each in loaded:
            states[name] = ("serving" if each is self.champion else "loaded", None)
        return {
            "process": getpid(),
            "champion": self.champion and self.champion.version,
            "states": states,
            "statistics": {name: each.batcher.statistics.told() for name, each in loaded},
        }

    def _kept(self) -> set[str | None]:
        return {self.champion.version if self.champion else None, self.challenger, self.named}

    def _evict(self) -> None:
        kept, callers = self._kept(), Counter(self._chosen.values())
        others = [name for name in self._loaded if name not in kept]
        others.sort(key=callers.__getitem__)
        for version in others[: max(0, len(self._loaded) - self._settings.max_loaded)]:
            del self._loaded[version]

    def _load(self, version: str) -> Loaded | Failure:
        """Returns the loaded version, or why it cannot serve, whatever its files hold."""
        stamp = self._repository.stamp(int(version))
        batch_rows = self._settings.batch_rows
        try:
            prove(self._repository, int(version), batch_rows)
            card, model = self._repository.read(int(version))
            runtime = Runtime.load(model, provider=self._settings.provider)
            del model
            runtime.warm((1, 2, batch_rows), samples())
            inline_rows = _inline_rows(runtime, batch_rows)
        except RepositoryError as error:
            return Failure(str(error), stamp)
        except ProofError as error:
            return Failure(f"version {version}: {error}", stamp, LASTING)
        except Exception as error:  # noqa: BLE001 - a hostile file may raise anything
            kind = "" if isinstance(error, RuntimeLoadError) else f"{type(error).__name__} "
            return Failure(f"version {version}: {kind}{error}"[:300].strip(), stamp)
        self._watchdog.watch(runtime)
        condemn = partial(self._condemn, version)
        sizes = (batch_rows, inline_rows, self.threads)
        batcher = Batcher(runtime, self.queue, self._metrics, self._runners, *sizes, condemn)
        least = least_confidence(card)
        return Loaded(version, card, stamp, runtime, batcher, least, partial(batch_doubts, least))

    def close(self) -> None:
        """Ends the threads."""
        self._watchdog.close()
        self._runners.shutdown()


def _inline_rows(runtime: Runtime, batch_rows: int) -> int:
    # Takes the fastest of several executions: other programs may interrupt any of them.
    batch = np.zeros((min(_TIMED_ROWS, batch_rows), 28, 28), np.uint8)
    times: list[float] = []
    while len(times) < _TIMED_RUNS and sum(times) < _TIMED_SECONDS:
        start = perf_counter()
        runtime.run(batch)
        times.append(perf_counter() - start)
    return min(batch_rows, int(INLINE_SECONDS / min(times) * len(batch)))
