"""The loaded versions of one worker, and which of them is the champion.

The worker reads, checks, loads and warms a version while the others serve; only then the version
takes its place. A version that fails changes nothing but its own state. Reads and loads never block
the event loop, and every wait for them has a bound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from service.background.threads import DaemonThreads, Result
from service.errors import DeadlineExceeded, Invalid, NotFound, Unavailable
from service.inference.admission import Queue
from service.inference.runtime import has_nvidia_device
from service.models.champion_watcher import ChampionFault, ChampionLate, ChampionWatcher
from service.models.loader import Loaded, Loader, LoadError, Loads
from service.models.repository import Repository, RepositoryError, default_root, parse_version
from service.models.version_cache import VersionCache
from service.observe.logs import LOGGER
from service.observe.metrics import Metrics
from service.settings import Settings

_LOADS_BY_NUMBER, _LOADS_OF_CHAMPION, _READS = 2, 3, 4
"""How many of each run at a time."""
_RETRY_AFTER = ((b"retry-after", b"1"),)


class StartError(Exception):
    """The service cannot start; one line says why."""


class Versions:
    """The loaded versions of one worker. Call all methods on its event loop."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        named = "models" in settings.model_fields_set
        self._repository = Repository(settings.models if named else default_root())
        self._metrics = metrics
        self._cache = VersionCache(settings.max_loaded, metrics)
        self._loader = Loader(settings, metrics, self._repository)
        self._by_number = Loads(self._loader.load, _LOADS_BY_NUMBER, self._cache.enter)
        # These have their own threads, so that no version by number delays the champion.
        of_champion = Loads(self._loader.load, _LOADS_OF_CHAMPION, self._cache.enter)
        self._watcher = ChampionWatcher(self._repository, self._cache, of_champion, self._serve)
        self._following: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._champion_fault: str | None = None
        self.serving: Loaded | None = None
        """The champion, once it is loaded."""
        self._reads = DaemonThreads("reader", _READS)
        self.draining = False
        """Readiness answers 503, while every request is still answered."""

    async def start(self) -> None:
        """Loads the champion, however long that takes, and starts the watcher.

        Raises :class:`StartError` if the champion cannot be loaded.
        """
        async with self._starting:
            if not self.started:
                await self._start()

    @property
    def started(self) -> bool:
        """Whether the watcher runs; it does not once its event loop has ended."""
        return self._following is not None and not self._following.done()

    async def _start(self) -> None:
        while self._cache.champion is None:
            try:
                await self._watcher.look()
            except ChampionLate as fault:
                self._report(str(fault))
            except ChampionFault as fault:
                raise StartError(str(fault)) from fault
        self._report(None)
        self._following = asyncio.create_task(self._watcher.follow(self._report))

    async def stop(self) -> None:
        """Stops the watcher and the runner threads."""
        if self._following is not None:
            self._following.cancel()
        self._loader.close()

    @property
    def queue(self) -> Queue:
        """The images that wait in this worker, for whichever version."""
        return self._loader.queue

    def why_not_ready(self) -> str | None:
        """Returns the reason why a load balancer must not send requests here, or None."""
        if self.draining:
            return "draining"
        return None if self._cache.champion else "no champion is loaded"

    @property
    def champion(self) -> Loaded:
        """The version that serves. Raises :class:`Unavailable` before the first is loaded."""
        if self.serving is None:
            raise Unavailable("no champion is loaded", headers=_RETRY_AFTER)
        return self.serving

    async def version(self, text: str | None, deadline: float | None = None) -> Loaded:
        """Returns the champion, or the version named ``text``, and loads it if necessary.

        Call it once the images are decoded, so that a slow sender does not keep a version loaded.
        Raises :class:`NotFound` for a version that does not exist, however spelt,
        :class:`Unavailable` for one that cannot be loaded, and :class:`DeadlineExceeded` if it is
        not loaded at ``deadline``, a time on ``perf_counter``'s clock.
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
            late = f"the deadline passed before version {text} was loaded"
            raise DeadlineExceeded(late) from None

    async def card(self, text: str) -> dict[str, Any]:
        """Returns the card of any version. Raises :class:`NotFound`."""
        return await self._read(self._repository.card, text)

    async def picture(self, text: str, name: str) -> bytes:
        """Returns the PNG file ``name`` of any version. Raises :class:`NotFound`."""
        picture = await self._read(self._repository.picture, text, name)
        if picture is None:
            raise NotFound(f"version {text} has no picture {name[:40]!r}")
        return picture

    async def listing(self) -> dict[str, Any]:
        """Returns the model's entry of ``GET /models``, with every version's state and reason."""
        try:
            numbers = await self._reads.run(self._repository.versions)
        except RepositoryError:
            numbers = []  # then the champion file is unreadable too, and the fault below says why
        champion = self.champion
        names = {*map(str, numbers), *(each.version for each in self._cache.loaded)}
        return {
            "name": "mnist",
            "champion": champion.version,
            "champion_fault": self._champion_fault,
            "versions": [self._cache.state(name) for name in sorted(names, key=int)],
            "provider": {**champion.runtime.report.as_dict(), "threads": self._loader.threads},
        }

    async def state(self, text: str) -> dict[str, str | None]:
        """Returns one version's entry in the listing. Raises :class:`NotFound`."""
        if text not in self._cache:
            await self._number(text)
        return self._cache.state(text)

    @property
    def loaded(self) -> list[Loaded]:
        """The loaded versions, in the order of their numbers."""
        return self._cache.loaded

    async def take_up_champion(self) -> None:
        """Serves the version that the champion file names, without waiting for the next look.

        Raises :class:`Unavailable` if it cannot be loaded; the champion before it continues.
        """
        try:
            while not await self._watcher.look(again=True):
                pass
            self._report(None)
        except ChampionFault as fault:
            self._report(str(fault))
            kept = f"version {self.champion.version} keeps serving: {fault}"
            raise Unavailable(kept, headers=_RETRY_AFTER) from fault

    async def unload(self, text: str) -> None:
        """Evicts a version, once its requests have finished; the next request loads it again.

        Raises :class:`NotFound`, and :class:`Invalid` for the champion.
        """
        if text not in self._cache:
            await self._number(text)
        if text == self.champion.version:
            raise Invalid(f"version {text} is the champion, which is not unloaded; name another")
        self._cache.drop(text)

    async def _number(self, text: str) -> int:
        number = parse_version(text)
        if number is None or not await self._reads.run(lambda: self._repository.has(number)):
            raise NotFound(f"there is no version {text[:40]!r}")
        return number

    async def _read(self, read: Callable[..., Result], text: str, *arguments: str) -> Result:
        number = await self._number(text)
        try:
            return await self._reads.run(partial(read, number, *arguments))
        except RepositoryError as error:
            raise Unavailable(str(error), headers=_RETRY_AFTER) from error

    async def _load(self, text: str) -> Loaded:
        """Loads a version, unless it has just failed and its files are still the same."""
        number = await self._number(text)
        failure = self._cache.failures.get(text)
        if failure is not None:
            stamp = await self._reads.run(partial(self._repository.stamp, number))
            if failure.holds(stamp):
                raise _cannot_load(text, failure.reason)
        loaded = self._cache.find(text)  # another request may have loaded it meanwhile
        if loaded is not None:
            return loaded
        try:
            return await asyncio.shield(self._by_number.of(text))
        except LoadError as error:
            raise _cannot_load(text, str(error)) from error

    def _serve(self, champion: Loaded) -> None:
        """Makes a loaded version the champion, from the next request on."""
        self._cache.serve(champion)
        self.serving = champion
        report = champion.runtime.report
        architecture = str(champion.card.get("architecture", "unknown"))
        is_fallback = report.fallback is not None
        self._metrics.serving(champion.version, architecture, report.active, is_fallback)
        extra = {"version": champion.version, "architecture": architecture}
        where = {"provider": report.active, "threads": self._loader.threads}
        LOGGER.info("serving", extra={**extra, **where})
        if report.fallback:
            # Without an NVIDIA device, everybody expects the CPU.
            level = logging.WARNING if has_nvidia_device() else logging.INFO
            LOGGER.log(level, "running on the CPU: %s", report.fallback)

    def _report(self, fault: str | None) -> None:
        """Sets why the named champion does not serve, and logs each new reason once."""
        if fault is not None and fault != self._champion_fault:
            champion = self._cache.champion
            state = (
                f"version {champion.version} keeps serving" if champion else "nothing serves yet"
            )
            LOGGER.error("%s: %s", state, fault)
        self._champion_fault = fault
        self._metrics.champion_fault(fault is not None)


def _cannot_load(version: str, reason: str) -> Unavailable:
    return Unavailable(f"version {version} cannot be loaded: {reason}", headers=_RETRY_AFTER)
