"""Loads a version: reads it, checks it against its card, loads it into ONNX Runtime, warms it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from service.answer.quality import batch_doubts, least_confidence
from service.background.fair_threads import FairThreads
from service.background.threads import worker_threads
from service.inference.admission import Queue
from service.inference.batch import INLINE_SECONDS, Batcher, BatchResult
from service.inference.runtime import Runtime, RuntimeLoadError, Watchdog
from service.models.proof import ProofError, prove, samples
from service.models.repository import Repository, RepositoryError, Stamp
from service.observe.metrics import Metrics
from service.settings import Settings

LASTING = inf
RETRY_SECONDS = 10.0
"""The pause before a failed version is loaded again, unless one of its files changes."""
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
    """Loads a worker's versions, which share queue and runners; ``condemn`` gets those to drop."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        repository: Repository,
        condemn: Callable[[str, str], None],
    ) -> None:
        self._settings, self._metrics = settings, metrics
        self._repository, self._condemn = repository, condemn
        self.threads = worker_threads(settings.workers)
        self._runners = FairThreads("runner", self.threads)
        self.queue = Queue(settings.queue_rows, metrics)
        self._watchdog = Watchdog(settings.deadline_s)

    def load(self, version: str) -> Loaded | Failure:
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
    """Returns how many images the model can run within ``INLINE_SECONDS``."""
    # Takes the fastest of several executions: other programs may interrupt any of them.
    batch = np.zeros((min(_TIMED_ROWS, batch_rows), 28, 28), np.uint8)
    times: list[float] = []
    while len(times) < _TIMED_RUNS and sum(times) < _TIMED_SECONDS:
        start = perf_counter()
        runtime.run(batch)
        times.append(perf_counter() - start)
    return min(batch_rows, int(INLINE_SECONDS / min(times) * len(batch)))
