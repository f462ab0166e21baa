"""Which versions are loaded in this worker, and which of them is the champion.

A version is read, checked against its card, loaded and warmed beside those that serve, and only
then takes its place; a version that fails at any of this changes nothing but its own state.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from service.batch import INLINE_SECONDS, Batcher, Queue
from service.errors import Invalid, NotFound, Unavailable
from service.logs import LOGGER
from service.metrics import Metrics
from service.repository import Repository, RepositoryError, parse_version
from service.runtime import Images, Runtime, RuntimeLoadError
from service.settings import Settings
from service.statistics import Statistics
from service.threads import worker_threads

FOLLOW_SECONDS = 0.5
"""How often the champion file is read; the contract allows two seconds."""
RETRY_SECONDS = 10.0
"""How long a version that failed is left alone, unless the champion file changes."""

_RETRY_AFTER = ((b"retry-after", b"1"),)


class StartError(Exception):
    """The service cannot start; one line says why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version that can answer."""

    version: str
    card: dict[str, Any]
    runtime: Runtime
    batcher: Batcher

    @property
    def statistics(self) -> Statistics:
        """What this version has done in this worker since it was loaded."""
        return self.batcher.statistics


class Lifecycle:
    """The loaded versions of one worker. All methods are called on its event loop."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._repository = Repository(settings.models)
        self._threads = worker_threads(settings.workers)
        self._runners = ThreadPoolExecutor(self._threads, "runner")
        self._queue = Queue(settings.queue_rows, metrics)
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Loaded]] = {}
        self._failed: dict[str, str] = {}
        self._champion: Loaded | None = None
        self._champion_fault: str | None = None
        self._follower: asyncio.Task[None] | None = None
        self.draining = False
        """Readiness says no, everything is still served."""
        self.stopped = False
        """The listener is closed; what still arrives on open connections is refused."""

    async def start(self) -> None:
        """Loads the champion and begins to follow it. Raises :class:`StartError`."""
        try:
            champion = await self._loaded_once(await self._named())
        except (RepositoryError, RuntimeLoadError) as error:
            raise StartError(str(error)) from error
        self._serve(champion)
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stops following and lets the runner threads go."""
        if self._follower is not None:
            self._follower.cancel()
        self._runners.shutdown(wait=False, cancel_futures=True)

    def why_not_ready(self) -> str | None:
        """The reason not to send requests here, or None when ready."""
        if self.draining:
            return "draining"
        return None if self._champion else "no champion is loaded"

    @property
    def champion(self) -> Loaded:
        """The version that serves now."""
        if self._champion is None:
            raise Unavailable("no champion is loaded", headers=_RETRY_AFTER)
        return self._champion

    async def version(self, text: str | None) -> Loaded:
        """The champion, or the version asked for, loaded where it is not yet.

        Raises :class:`NotFound` for a version that is not there, however spelt, and
        :class:`Unavailable` for one that cannot be loaded.
        """
        if text is None:
            return self.champion
        loaded = self._loaded.get(text)
        if loaded is not None:
            self._loaded.move_to_end(text)
            return loaded
        await self._number(text)
        try:
            return await self._loaded_once(text)
        except (RepositoryError, RuntimeLoadError) as error:
            told = f"version {text} cannot be loaded: {error}"
            raise Unavailable(told, headers=_RETRY_AFTER) from error

    async def card(self, text: str) -> dict[str, Any]:
        """The card of a version, loaded or not. Raises :class:`NotFound`."""
        number = await self._number(text)
        try:
            return await asyncio.to_thread(self._repository.card, number)
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
            numbers = await asyncio.to_thread(self._repository.versions)
        except RepositoryError:
            numbers = []  # the champion file cannot be read either, so the fault is told below
        champion = self.champion
        names = sorted({*map(str, numbers), *self._loaded}, key=int)
        return {
            "name": "mnist",
            "champion": champion.version,
            "champion_fault": self._champion_fault,
            "versions": [self._state(name) for name in names],
            "provider": {**champion.runtime.report.as_dict(), "threads": self._threads},
        }

    async def state(self, text: str) -> dict[str, str | None]:
        """One version's entry in the listing. Raises :class:`NotFound`."""
        if text not in self._loaded:
            await self._number(text)
        return self._state(text)

    @property
    def loaded(self) -> list[Loaded]:
        """The versions that are loaded, in the order of their numbers."""
        return sorted(self._loaded.values(), key=lambda loaded: int(loaded.version))

    async def take_up_champion(self) -> None:
        """Serves what the champion file names, now instead of at the next look at it.

        Raises :class:`Unavailable` where that cannot be; what serves goes on.
        """
        try:
            await self._take_up(await self._named())
        except (RepositoryError, RuntimeLoadError) as error:
            self._champion_is(str(error))
            going_on = f"version {self.champion.version} goes on: {error}"
            raise Unavailable(going_on, headers=_RETRY_AFTER) from error

    async def unload(self, text: str) -> None:
        """Lets a version go whose requests then finish; it is loaded again when asked for.

        Raises :class:`NotFound`, and :class:`Invalid` for the champion.
        """
        if text not in self._loaded:
            await self._number(text)
        if text == self.champion.version:
            raise Invalid(f"version {text} is the champion, which is not unloaded; name another")
        self._loaded.pop(text, None)

    async def _number(self, text: str) -> int:
        """The number of a version that is there. Raises :class:`NotFound`."""
        number = parse_version(text)
        if number is None or not await asyncio.to_thread(self._repository.has, number):
            raise NotFound(f"there is no version {text[:40]!r}")
        return number

    def _state(self, version: str) -> dict[str, str | None]:
        if version == self.champion.version:
            state = "serving"
        elif version in self._loaded:
            state = "loaded"
        else:
            state = "failed" if version in self._failed else "available"
        reason = self._failed.get(version) if state == "failed" else None
        return {"version": version, "state": state, "reason": reason}

    async def _loaded_once(self, version: str) -> Loaded:
        """Loads a version, once for all who ask for it meanwhile."""
        task = self._loading.get(version)
        if task is None:
            task = self._loading[version] = asyncio.create_task(self._load_beside(version))
            task.add_done_callback(partial(self._loading_ended, version))
        return await asyncio.shield(task)

    def _loading_ended(self, version: str, task: asyncio.Task[Loaded]) -> None:
        del self._loading[version]
        if not task.cancelled():
            task.exception()  # seen, though all who asked may have left

    async def _load_beside(self, version: str) -> Loaded:
        try:
            loaded = await asyncio.to_thread(self._load, version)
        except (RepositoryError, RuntimeLoadError) as error:
            self._failed[version] = str(error)
            self._metrics.loaded("failed")
            raise
        self._metrics.loaded("loaded")
        self._failed.pop(version, None)
        self._loaded[version] = loaded
        self._trim()
        return loaded

    def _trim(self) -> None:
        """Lets the versions go that were asked for longest ago, but never the champion."""
        for version in list(self._loaded):
            if len(self._loaded) <= self._settings.max_loaded:
                return
            if self._champion is None or version != self._champion.version:
                del self._loaded[version]

    def _load(self, version: str) -> Loaded:
        """Reads, checks, loads and warms one version; runs in a thread."""
        number = int(version)
        card = self._repository.card(number)
        model = self._repository.read_model(number)
        try:
            runtime = Runtime.load(model, provider=self._settings.provider)
            runtime.warm((1, 2, self._settings.batch_rows))
        except RuntimeLoadError as error:
            raise RuntimeLoadError(f"version {version}: {error}") from error
        batcher = Batcher(
            runtime,
            self._queue,
            self._metrics,
            self._runners,
            batch_rows=self._settings.batch_rows,
            inline_rows=_inline_rows(runtime, self._settings.batch_rows),
            threads=self._threads,
        )
        return Loaded(version, card, runtime, batcher)

    def _serve(self, champion: Loaded) -> None:
        """Makes a loaded version the one that answers; the next request is its first."""
        self._champion = champion
        self._loaded[champion.version] = champion
        self._champion_is(None)
        self._trim()
        report = champion.runtime.report
        architecture = str(champion.card.get("architecture", "unknown"))
        self._metrics.serving(
            champion.version, architecture, report.active, report.fallback is not None
        )
        story = {"version": champion.version, "architecture": architecture}
        LOGGER.info("serving", extra={**story, "provider": report.active, "threads": self._threads})
        if report.fallback:
            LOGGER.warning("running on the CPU: %s", report.fallback)

    async def _follow(self) -> None:
        """Takes up whichever version the champion file names."""
        tried: str | None = None
        again = 0.0
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                version = await self._named()
                if version == tried and monotonic() < again:
                    continue
                tried, again = version, monotonic() + RETRY_SECONDS
                await self._take_up(version)
                tried = None
            except (RepositoryError, RuntimeLoadError) as error:
                self._champion_is(str(error))
            except Exception:  # noqa: BLE001 - whatever it is, the champion must go on
                LOGGER.exception("following failed; version %s goes on", self.champion.version)

    async def _named(self) -> str:
        """The version that the champion file names."""
        return str(await asyncio.to_thread(self._repository.champion))

    async def _take_up(self, version: str) -> None:
        """Serves a version, loaded where it is not yet."""
        if version == self.champion.version:
            self._champion_is(None)
            return
        loaded = self._loaded.get(version) or await self._loaded_once(version)
        if version != self.champion.version:  # it may have been taken up meanwhile
            self._serve(loaded)

    def _champion_is(self, fault: str | None) -> None:
        """Keeps why the named champion does not serve, and tells it where it is news."""
        if fault is not None and fault != self._champion_fault:
            LOGGER.error("version %s goes on: %s", self.champion.version, fault)
        self._champion_fault = fault
        self._metrics.champion_fault(fault is not None)


def _inline_rows(runtime: Runtime, batch_rows: int) -> int:
    """How many images a run may have and still be short enough for the event loop's thread."""
    batch = np.zeros((batch_rows, 28, 28), np.uint8)
    best = min(_timed(runtime, batch) for _ in range(5))
    return min(batch_rows, int(INLINE_SECONDS / best * batch_rows))


def _timed(runtime: Runtime, batch: Images) -> float:
    start = perf_counter()
    runtime.run(batch)
    return perf_counter() - start
