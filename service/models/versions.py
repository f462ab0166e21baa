"""Which versions are loaded in this worker, and which of them is the champion.

A version is read, checked against its card, loaded and warmed beside those that serve, and only
then takes its place; a version that fails at any of this changes nothing but its own state. No
disk and no load is waited for without a bound, and none on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from time import perf_counter
from typing import Any

from service.background.threads import Aside
from service.errors import DeadlineExceeded, Invalid, NotFound, Unavailable
from service.inference.admission import Queue
from service.inference.runtime import has_nvidia_device
from service.models.champion_watcher import ChampionFault, ChampionLate, ChampionWatcher
from service.models.loader import Loaded, Loader, LoadError, Loads
from service.models.repository import Repository, RepositoryError, parse_version
from service.models.version_cache import VersionCache
from service.observe.logs import LOGGER
from service.observe.metrics import Metrics
from service.settings import Settings

__all__ = ["Loaded", "StartError", "Versions"]

_LOADS_ASKED, _LOADS_NAMED, _READS = 2, 3, 4
"""At a time: versions loaded by number, versions loaded as champion, small files read."""
_RETRY_AFTER = ((b"retry-after", b"1"),)


class StartError(Exception):
    """The service cannot start; one line says why."""


class Versions:
    """The loaded versions of one worker. All methods are called on its event loop."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._repository = Repository(settings.models)
        self._cache = VersionCache(settings.max_loaded, metrics)
        self._loader = Loader(settings, metrics, self._repository)
        self._asked = Loads(self._loader.load, _LOADS_ASKED, self._cache.enter)
        # Its own threads, so that no version asked for by number makes the champion wait.
        named = Loads(self._loader.load, _LOADS_NAMED, self._cache.enter)
        self._watcher = ChampionWatcher(self._repository, self._cache, named, self._serve)
        self._following: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._champion_fault: str | None = None
        self._reads = Aside("reader", _READS)
        self.draining = False
        """Readiness says no, everything is still served."""

    async def start(self) -> None:
        """Loads the champion, however long that takes, and starts to follow the champion file.

        Raises :class:`StartError` if the champion cannot be loaded.
        """
        async with self._starting:
            if not self.started:
                await self._start()

    @property
    def started(self) -> bool:
        """Whether a champion is loaded and its file is followed, on an event loop that runs."""
        return self._following is not None and not self._following.done()

    async def _start(self) -> None:
        while self._cache.champion is None:
            try:
                await self._watcher.look()
            except ChampionLate as fault:
                self._champion_is(str(fault))
            except ChampionFault as fault:
                raise StartError(str(fault)) from fault
        self._champion_is(None)
        self._following = asyncio.create_task(self._watcher.follow(self._champion_is))

    async def stop(self) -> None:
        """Stops following and lets the runner threads go."""
        if self._following is not None:
            self._following.cancel()
        self._loader.close()

    @property
    def queue(self) -> Queue:
        """What waits in this worker, whichever version it is for."""
        return self._loader.queue

    def why_not_ready(self) -> str | None:
        """The reason not to send requests here, or None when ready."""
        if self.draining:
            return "draining"
        return None if self._cache.champion else "no champion is loaded"

    @property
    def champion(self) -> Loaded:
        """The version that serves now."""
        if self._cache.champion is None:
            raise Unavailable("no champion is loaded", headers=_RETRY_AFTER)
        return self._cache.champion

    async def version(self, text: str | None, deadline: float | None = None) -> Loaded:
        """The champion, or the version asked for, loaded where it is not yet.

        To be called when the images are there, so that no slow sender keeps a version loaded.
        Raises :class:`NotFound` for a version that is not there, however spelt,
        :class:`Unavailable` for one that cannot be loaded, and :class:`DeadlineExceeded` where
        ``deadline``, on ``perf_counter``'s clock, passes before it is.
        """
        if text is None:
            return self.champion
        loaded = self._cache.find(text)
        if loaded is not None:
            return loaded
        try:
            async with asyncio.timeout(None if deadline is None else deadline - perf_counter()):
                return await self._load(text)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the deadline passed before version {text} was loaded"
            ) from None

    async def card(self, text: str) -> dict[str, Any]:
        """The card of a version, loaded or not. Raises :class:`NotFound`."""
        number = await self._number(text)
        try:
            return await self._reads.run(lambda: self._repository.card(number))
        except RepositoryError as error:
            raise Unavailable(str(error), headers=_RETRY_AFTER) from error

    async def picture(self, text: str, name: str) -> bytes:
        """The PNG file ``name`` of a version, loaded or not. Raises :class:`NotFound`."""
        number = await self._number(text)
        try:
            picture = await self._reads.run(lambda: self._repository.picture(number, name))
        except RepositoryError as error:
            raise Unavailable(str(error), headers=_RETRY_AFTER) from error
        if picture is None:
            raise NotFound(f"version {text} has no picture {name[:40]!r}")
        return picture

    async def listing(self) -> dict[str, Any]:
        """The model as ``GET /models`` shows it: every version with its state and reason."""
        try:
            numbers = await self._reads.run(self._repository.versions)
        except RepositoryError:
            numbers = []  # the champion file cannot be read either, so the fault is told below
        champion = self.champion
        loaded = (each.version for each in self._cache.loaded)
        names = sorted({*map(str, numbers), *loaded}, key=int)
        return {
            "name": "mnist",
            "champion": champion.version,
            "champion_fault": self._champion_fault,
            "versions": [self._cache.state(name) for name in names],
            "provider": {**champion.runtime.report.as_dict(), "threads": self._loader.threads},
        }

    async def state(self, text: str) -> dict[str, str | None]:
        """One version's entry in the listing. Raises :class:`NotFound`."""
        if text not in self._cache:
            await self._number(text)
        return self._cache.state(text)

    @property
    def loaded(self) -> list[Loaded]:
        """The versions that are loaded, in the order of their numbers."""
        return self._cache.loaded

    async def take_up_champion(self) -> None:
        """Serves what the champion file names, now instead of at the next look at it.

        Raises :class:`Unavailable` where that cannot be; what serves goes on.
        """
        try:
            while not await self._watcher.look(again=True):
                pass
            self._champion_is(None)
        except ChampionFault as fault:
            self._champion_is(str(fault))
            going_on = f"version {self.champion.version} goes on: {fault}"
            raise Unavailable(going_on, headers=_RETRY_AFTER) from fault

    async def unload(self, text: str) -> None:
        """Lets a version go whose requests then finish; it is loaded again when asked for.

        Raises :class:`NotFound`, and :class:`Invalid` for the champion.
        """
        if text not in self._cache:
            await self._number(text)
        if text == self.champion.version:
            raise Invalid(f"version {text} is the champion, which is not unloaded; name another")
        self._cache.drop(text)

    async def _number(self, text: str) -> int:
        """The number of a version that is there. Raises :class:`NotFound`."""
        number = parse_version(text)
        if number is None or not await self._reads.run(lambda: self._repository.has(number)):
            raise NotFound(f"there is no version {text[:40]!r}")
        return number

    async def _load(self, text: str) -> Loaded:
        """Loads a version, unless that has just failed and nothing has changed since."""
        number = await self._number(text)
        failure = self._cache.failures.get(text)
        if failure is not None:
            stamp = await self._reads.run(partial(self._repository.stamp, number))
            if failure.holds(stamp):
                raise _cannot_load(text, failure.reason)
        loaded = self._cache.find(text)  # another's load may have ended meanwhile
        if loaded is not None:
            return loaded
        try:
            return await asyncio.shield(self._asked.of(text))
        except LoadError as error:
            raise _cannot_load(text, str(error)) from error

    def _serve(self, champion: Loaded) -> None:
        """Makes a loaded version the one that answers; the next request is its first."""
        self._cache.serve(champion)
        report = champion.runtime.report
        architecture = str(champion.card.get("architecture", "unknown"))
        self._metrics.serving(
            champion.version, architecture, report.active, report.fallback is not None
        )
        story = {"version": champion.version, "architecture": architecture}
        LOGGER.info(
            "serving",
            extra={**story, "provider": report.active, "threads": self._loader.threads},
        )
        if report.fallback:
            # Where there is no such device, the CPU is what anybody expects.
            level = logging.WARNING if has_nvidia_device() else logging.INFO
            LOGGER.log(level, "running on the CPU: %s", report.fallback)

    def _champion_is(self, fault: str | None) -> None:
        """Keeps why the named champion does not serve, and tells it where it is news."""
        if fault is not None and fault != self._champion_fault:
            champion = self._cache.champion
            going_on = f"version {champion.version} goes on" if champion else "nothing serves yet"
            LOGGER.error("%s: %s", going_on, fault)
        self._champion_fault = fault
        self._metrics.champion_fault(fault is not None)


def _cannot_load(version: str, reason: str) -> Unavailable:
    return Unavailable(f"version {version} cannot be loaded: {reason}", headers=_RETRY_AFTER)
