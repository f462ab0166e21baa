"""The versions in one worker's memory: which is champion, which are loaded, which failed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic

from service.models.loader import Loaded, LoadError
from service.models.repository import Stamp
from service.observe.metrics import Metrics

RETRY_SECONDS = 10.0
"""The pause before a failed version is loaded again, unless one of its files changes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version failed to load, when, and the stamp of its files at that time."""

    reason: str
    stamp: Stamp | None
    when: float

    def holds(self, stamp: Stamp | None) -> bool:
        """Whether loading the version again would probably fail again."""
        return self.stamp == stamp and monotonic() - self.when < RETRY_SECONDS


class VersionCache:
    """At most ``room`` loaded versions; it evicts the least recently used, never the champion."""

    def __init__(self, room: int, metrics: Metrics) -> None:
        self._room = room
        self._metrics = metrics
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self.failures: dict[str, Failure] = {}
        self.champion: Loaded | None = None

    def find(self, version: str) -> Loaded | None:
        """Returns the version if it is loaded, and marks it as used."""
        loaded = self._loaded.get(version)
        if loaded is not None:
            self._loaded.move_to_end(version)
        return loaded

    def __contains__(self, version: str) -> bool:
        return version in self._loaded

    @property
    def loaded(self) -> list[Loaded]:
        """The loaded versions, in the order of their numbers."""
        return sorted(self._loaded.values(), key=lambda loaded: int(loaded.version))

    def enter(self, version: str, result: Loaded | LoadError) -> None:
        """Adds a loaded version, or the failure to load it."""
        if isinstance(result, LoadError):
            self._metrics.loaded("failed")
            self.fail(version, str(result), result.stamp)
            return
        self._metrics.loaded("loaded")
        self.failures.pop(version, None)
        self._loaded.setdefault(version, result)
        self._evict()

    def fail(self, version: str, reason: str, stamp: Stamp | None = None) -> None:
        """Adds the reason why a version is not loaded."""
        self.failures[version] = Failure(reason, stamp, monotonic())

    def serve(self, champion: Loaded) -> None:
        """Makes a loaded version the champion."""
        self.champion = champion
        self._loaded[champion.version] = champion
        self._evict()

    def drop(self, version: str) -> None:
        """Evicts a version; the requests that use it finish on it."""
        self._loaded.pop(version, None)

    def state(self, version: str) -> dict[str, str | None]:
        """Returns the version's entry in the listing."""
        failure = self.failures.get(version)
        state, reason = ("failed", failure.reason) if failure else ("available", None)
        if loaded := self._loaded.get(version):
            state, reason = "serving" if loaded is self.champion else "loaded", None
        return {"version": version, "state": state, "reason": reason}

    def _evict(self) -> None:
        for version in list(self._loaded):
            if len(self._loaded) > self._room and self._loaded[version] is not self.champion:
                del self._loaded[version]
