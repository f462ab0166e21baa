"""The versions in one worker's memory: which is champion, which are loaded, which failed."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from os import getpid
from typing import Any

from service.background.threads import DaemonThreads
from service.models.loader import LASTING, Failure, Loaded
from service.observe.metrics import Metrics

_MOST_CALLERS = 1024


class VersionCache:
    """At most ``room`` loaded versions; it evicts the least used, no champion or challenger.

    A version that more callers chose last stays longer; among equals, the one that was used last.
    So a caller who goes through all versions evicts its own. ``load`` loads one, on a thread.
    """

    def __init__(
        self, room: int, metrics: Metrics, load: Callable[[str], Loaded | Failure]
    ) -> None:
        self._room, self._metrics, self._load = room, metrics, load
        self._loads: dict[tuple[str, DaemonThreads], asyncio.Task[Loaded | Failure]] = {}
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()  # the version used last is last
        self._chosen: OrderedDict[str, str] = OrderedDict()
        """The version that each caller chose last."""
        self.failures: dict[str, Failure] = {}
        self.champion: Loaded | None = None
        self.challenger: str | None = None
        """The version that challenges the champion, loaded or not; it is not evicted either."""
        self.tell: Callable[[str, str], object] = lambda verb, version: None
        """Tells the other workers what had to make room."""

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
        """Evicts a version but the challenger; the requests that use it finish on it."""
        if version != self.challenger:
            self._loaded.pop(version, None)

    def condemn(self, version: str, reason: str) -> None:
        """Takes a loaded version out of service, also the champion, until its files change."""
        loaded = self._loaded.pop(version)
        self.failures[version] = Failure(f"version {version}: {reason}", loaded.stamp, LASTING)
        if loaded is self.champion:
            self.champion = None

    def view(self) -> dict[str, Any]:
        """Returns what other workers need to know: champion, states and statistics."""
        loaded = {name: each.batcher.statistics for name, each in self._loaded.items()}
        return {
            "process": getpid(),
            "champion": self.champion and self.champion.version,
            "states": {name: self._state(name) for name in {*loaded, *self.failures}},
            "statistics": {name: each.told() for name, each in loaded.items()},
        }

    def _state(self, version: str) -> dict[str, str | None]:
        state, reason = "failed", None
        if loaded := self._loaded.get(version):
            state = "serving" if loaded is self.champion else "loaded"
        else:
            reason = self.failures[version].reason
        return {"version": version, "state": state, "reason": reason}

    def _evict(self) -> None:
        kept = {self.champion and self.champion.version, self.challenger}
        callers = Counter(self._chosen.values())
        others = [name for name in self._loaded if name not in kept]
        others.sort(key=callers.__getitem__)
        for version in others[: max(0, len(self._loaded) - self._room)]:
            del self._loaded[version]
            self.tell("drop", version)
