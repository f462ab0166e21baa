"""The versions that one worker has at hand: which is champion, which are loaded, which failed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic

from service.models.loader import Loaded, LoadError
from service.models.repository import Stamp
from service.observe.metrics import Metrics

RETRY_SECONDS = 10.0
"""How long a version that failed is left alone, unless one of its files changes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version could not be loaded, and what its files were then."""

    reason: str
    stamp: Stamp | None
    when: float

    def holds(self, stamp: Stamp | None) -> bool:
        """Whether another attempt would be for nothing, as far as can be told."""
        return self.stamp == stamp and monotonic() - self.when < RETRY_SECONDS


class VersionCache:
    """At most ``room`` loaded versions, the champion always among them."""

    def __init__(self, room: int, metrics: Metrics) -> None:
        self._room = room
        self._metrics = metrics
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self.failures: dict[str, Failure] = {}
        self.champion: Loaded | None = None

    def find(self, version: str) -> Loaded | None:
        """The version where it is loaded; it is then the last that will be let go."""
        loaded = self._loaded.get(version)
        if loaded is not None:
            self._loaded.move_to_end(version)
        return loaded

    def __contains__(self, version: str) -> bool:
        return version in self._loaded

    @property
    def loaded(self) -> list[Loaded]:
        """The versions that are loaded, in the order of their numbers."""
        return sorted(self._loaded.values(), key=lambda loaded: int(loaded.version))

    def enter(self, version: str, came: Loaded | LoadError) -> None:
        """Enters what came of a load."""
        if isinstance(came, LoadError):
            self.fail(version, str(came), came.stamp)
            self._metrics.loaded("failed")
            return
        self._metrics.loaded("loaded")
        self.failures.pop(version, None)
        self._loaded.setdefault(version, came)
        self._trim()

    def fail(self, version: str, reason: str, stamp: Stamp | None = None) -> None:
        """Enters why a version is not loaded."""
        self.failures[version] = Failure(reason, stamp, monotonic())

    def serve(self, champion: Loaded) -> None:
        """Makes a loaded version the champion."""
        self.champion = champion
        self._loaded[champion.version] = champion
        self._trim()

    def drop(self, version: str) -> None:
        """Lets a version go; the requests that have it finish on it."""
        self._loaded.pop(version, None)

    def state(self, version: str) -> dict[str, str | None]:
        """One version's entry in the listing."""
        failure = self.failures.get(version)
        if self.champion is not None and version == self.champion.version:
            state = "serving"
        elif version in self._loaded:
            state = "loaded"
        else:
            state = "failed" if failure else "available"
        reason = failure.reason if failure and state == "failed" else None
        return {"version": version, "state": state, "reason": reason}

    def _trim(self) -> None:
        """Lets the versions go that were asked for longest ago, but never the champion."""
        for version in list(self._loaded):
            if len(self._loaded) <= self._room:
                return
            if self.champion is None or version != self.champion.version:
                del self._loaded[version]
