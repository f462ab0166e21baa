"""Ends runs of a model that do not end by themselves."""

from __future__ import annotations

import threading
from weakref import WeakSet

from service.inference.runtime import Runtime

_LOOKS = 40
"""How often a run is seen before it is ended. Looks are counted instead of seconds, so that nobody
blames a run for the time in which the whole process was stopped."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25


class Watchdog:
    """A thread that ends each run which has taken longer than ``limit_s``.

    It must be a thread: the event loop's own thread may be the one that is inside the run.
    """

    def __init__(self, limit_s: float) -> None:
        self._pause = min(max(limit_s / _LOOKS, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self._looks = round(limit_s / self._pause)
        self._runtimes = WeakSet[Runtime]()
        self._adding = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._seen: dict[tuple[int, int, float], int] = {}

    def watch(self, runtime: Runtime) -> None:
        """Watches the runs of this model for as long as it is loaded."""
        with self._adding:
            self._runtimes.add(runtime)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._pause):
            self._look()

    def _look(self) -> None:
        with self._adding:
            runtimes = list(self._runtimes)
        seen: dict[tuple[int, int, float], int] = {}
        for runtime in runtimes:
            for begun in runtime.begun.copy().items():
                key = (id(runtime), *begun)
                seen[key] = self._seen.get(key, 0) + 1
                if seen[key] > self._looks:
                    runtime.end()
        self._seen = seen
