"""Watches the champion file, and loads the version that it names, beside the event loop."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from service.background.threads import DaemonThreads, Result
from service.models.loader import Failure, Loaded, Loader
from service.models.repository import Repository, RepositoryError

FOLLOW_SECONDS = 0.5
"""The pause between two reads of the champion file; workers must follow it within two seconds."""
STALL_SECONDS = 2.0  # how long a read of the champion file may take before that is a fault
LOAD_SECONDS = 30.0
"""How long a named version may load before that is a fault; once it is loaded, it still serves."""
_MOST_LOADS = 3


class ChampionFault(Exception):
    """The named champion does not serve; one line says why."""


class ChampionLate(ChampionFault):
    """The named champion does not serve yet."""


@dataclass(slots=True)
class ChampionWatcher:
    """Calls ``serve`` with the version that the champion file names, whenever that changes."""

    repository: Repository
    loader: Loader
    serve: Callable[[Loaded], None]
    _reads: DaemonThreads = field(default_factory=lambda: DaemonThreads("watcher", 1))
    _loads: DaemonThreads = field(default_factory=lambda: DaemonThreads("loader", _MOST_LOADS))
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _since: float = 0.0  # when the file first named this version

    async def follow(self, report: Callable[[str | None], None]) -> None:
        """Looks at the file for ever; reports the fault of each look, or None."""
        # Workers that started together would otherwise load together, on all cores at once.
        await asyncio.sleep(random.uniform(0, FOLLOW_SECONDS))  # noqa: S311
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                if await self.look():
                    report(None)
            except ChampionFault as fault:
                report(str(fault))
            except Exception as error:  # noqa: BLE001 - whatever it is, the champion must go on
                report(f"the champion file cannot be followed: {error!r}")

    async def look(self) -> bool:
        """Serves the version that the champion file names; returns False while it is loading.

        It retries a version that failed once its files have changed, or after a pause. Raises
        :class:`ChampionFault`.
        """
        async with self._looking:  # so that an earlier look cannot overrule a later one
            named = str(await self._read(self.repository.champion))
            if named != self.loader.named:
                self.loader.named, self._since = named, monotonic()
            champion = self.loader.champion
            if champion and named == champion.version:
                return True
            if loaded := self.loader.find(named) or await self._load(named):
                self.serve(loaded)
            return loaded is not None

    async def _load(self, named: str) -> Loaded | None:
        failure = self.loader.failures.get(named)
        if failure and failure.holds(await self._read(self.repository.stamp, int(named))):
            raise ChampionFault(failure.reason)
        load = self.loader.load(named, self._loads)
        if (await asyncio.wait({load}, timeout=FOLLOW_SECONDS))[0]:
            if isinstance(result := load.result(), Failure):
                raise ChampionFault(result.reason)
            return result
        if monotonic() - self._since > LOAD_SECONDS:
            reason = f"version {named}: it could not be loaded within {LOAD_SECONDS:g} s"
            self.loader.failures[named] = Failure(reason)
            raise ChampionLate(reason)
        return None

    async def _read(self, read: Callable[..., Result], *arguments: Any) -> Result:
        reading = asyncio.create_task(self._reads.run(read, *arguments))
        try:
            # Not by `timeout`: after a stall of the event loop, it would blame the disk.
            await asyncio.wait({reading}, timeout=STALL_SECONDS)
            if reading.done():
                return reading.result()
        except RepositoryError as error:
            raise ChampionFault(str(error)) from error
        finally:
            reading.cancel()
        folder = self.repository.folder
        raise ChampionLate(f"{folder} cannot be read: no answer in {STALL_SECONDS:g} s")
