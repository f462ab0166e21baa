"""The versions in one worker's memory: which is champion, which are loaded, which failed."""

from __future__ import annotations

from collections import OrderedDict

from service.models.loader import LASTING, Failure, Loaded
from service.observe.metrics import Metrics


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

    def enter(self, version: str, result: Loaded | Failure) -> None:
        """Adds a loaded version, or the failure to load it."""
        if isinstance(result, Failure):
            self._metrics.loaded("failed")
            self.failures[version] = result
        else:
            self._metrics.loaded("loaded")
            self.failures.pop(version, None)
            self._loaded.setdefault(version, result)
            self._evict()

    def serve(self, champion: Loaded) -> None:
        """Makes a loaded version the champion."""
        self.champion = self._loaded[champion.version] = champion
        self._evict()

    def drop(self, version: str) -> None:
        """Evicts a version; the requests that use it finish on it."""
        self._loaded.pop(version, None)

    def condemn(self, version: str, reason: str) -> None:
        """Takes a loaded version out of service, also the champion, until its files change."""
        loaded = self._loaded.pop(version, None)
        if loaded is None:
            return  # another request has found it already
        self.failures[version] = Failure(f"version {version}: {reason}", loaded.stamp, LASTING)
        if loaded is self.champion:
            self.champion = None

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
