"""The versions in one worker's memory: which is champion, which are loaded, which failed."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from os import getpid
from time import monotonic
from typing import Any

from service.models.loader import LASTING, Failure, Loaded
from service.observe.metrics import Metrics

_MOST_CALLERS = 1024
_HALF_LIFE_S = 60.0


class VersionCache:
    """At most ``room`` loaded versions; it evicts the least used, no champion or challenger.

    A version that more callers chose last stays longer; among equals, the one that was used more
    of late. So a caller who goes through all versions evicts its own.
    """

    def __init__(self, room: int, metrics: Metrics) -> None:
        self._room = room
        self._metrics = metrics
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._chosen: OrderedDict[str, str] = OrderedDict()
        """The version that each caller chose last."""
        self._uses: dict[str, tuple[float, float]] = {}
        """How often each version was used, the older uses halved each minute, and when last."""
        self.failures: dict[str, Failure] = {}
        self.champion: Loaded | None = None
        self.challenger: str | None = None
        """The version that challenges the champion, loaded or not; it is not evicted either."""
        self.tell: Callable[[str, str], object] = lambda verb, version: None
        """Tells the other workers what had to make room."""

    def find(self, version: str, caller: str | None = None) -> Loaded | None:
        """Returns the version if it is loaded, and marks it as used, by ``caller``."""
        loaded = self._loaded.get(version)
        if loaded is not None:
            self._loaded.move_to_end(version)
            self._uses[version] = self._used(version) + 1.0, monotonic()
            if caller is not None:
                self.choose(version, caller)
        return loaded

    def choose(self, version: str, caller: str) -> None:
        """Notes that this is the version that the caller wants now."""
        self._chosen[caller] = version
        self._chosen.move_to_end(caller)
        if len(self._chosen) > _MOST_CALLERS:
            self._chosen.popitem(last=False)

    def _used(self, version: str) -> float:
        uses, when = self._uses.get(version, (0.0, 0.0))
        return float(uses * 0.5 ** ((monotonic() - when) / _HALF_LIFE_S))

    def __contains__(self, version: str) -> bool:
        return version in self._loaded

    @property
    def loaded(self) -> list[Loaded]:
        """The loaded versions, in the order of their numbers."""
        return sorted(self._loaded.values(), key=lambda loaded: int(loaded.version))

    def enter(self, version: str, result: Loaded | Failure) -> None:
        """Adds a loaded version, or the failure to load it."""
        if isinstance(result, Failure):
            self._metrics.count("model_loads", "failed")
            self.failures[version] = result
        else:
            self._metrics.count("model_loads", "loaded")
            self.failures.pop(version, None)
            self._loaded.setdefault(version, result)
            self._evict()

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

    def view(self) -> dict[str, Any]:
        """Returns what other workers need to know: champion, states and statistics."""
        loaded = {name: each.batcher.statistics for name, each in self._loaded.items()}
        return {
            "process": getpid(),
            "champion": self.champion and self.champion.version,
            "states": {name: self.state(name) for name in {*loaded, *self.failures}},
            "statistics": {name: each.told() for name, each in loaded.items()},
        }

    def _evict(self) -> None:
        kept = {self.champion and self.champion.version, self.challenger}
        others = [name for name in self._loaded if name not in kept]
        callers = Counter(self._chosen.values())
        others.sort(key=lambda name: (callers[name], self._used(name)))
        for version in others[: max(0, len(self._loaded) - self._room)]:
            del self._loaded[version]
            self._uses.pop(version, None)
            self.tell("drop", version)
