"""Follows the champion file: which version it names, and the way of that version to its service.

Nothing here is waited for without a bound, and nothing on the event loop: a champion file that
cannot be read and a version that takes long to load only become a fault that is told. A name that
comes while another version still loads is taken up at once, whatever becomes of the other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from service.background.threads import Answer, Aside
from service.models.loader import Loaded, LoadError, Loads
from service.models.repository import Repository, RepositoryError
from service.models.version_cache import VersionCache

FOLLOW_SECONDS = 0.5
"""How often the champion file is read; the contract allows two seconds."""
STALL_SECONDS = 2.0
"""How long the champion file may take to be read before that is a fault."""
LOAD_SECONDS = 30.0
"""How long a named version may load before that is a fault; it still serves when it is done."""
_PARTS = 4


class ChampionFault(Exception):
    """The named champion does not serve; one line says why."""


class ChampionLate(ChampionFault):
    """It does not serve yet; it may still."""


@dataclass(frozen=True, slots=True)
class _Coming:
    version: str
    load: asyncio.Task[Loaded]
    since: float


class ChampionWatcher:
    """Gives ``serve`` whichever version the champion file names, as often as it names another."""

    def __init__(
        self,
        repository: Repository,
        cache: VersionCache,
        loads: Loads,
        serve: Callable[[Loaded], None],
    ) -> None:
        self._repository = repository
        self._cache = cache
        self._loads = loads
        self._serve = serve
        self._aside = Aside("follower", 1)
        self._looking = asyncio.Lock()
        self._coming: _Coming | None = None

    async def follow(self, tell: Callable[[str | None], None]) -> None:
        """Keeps looking, for ever; what comes of each look, a fault or None, is told."""
        # Workers that start together would else also load together, on all cores at once.
        await asyncio.sleep(random.uniform(0, FOLLOW_SECONDS))  # noqa: S311
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                if await self.look():
                    tell(None)
            except ChampionFault as fault:
                tell(str(fault))
            except Exception as error:  # noqa: BLE001 - whatever it is, the champion must go on
                tell(f"the champion file cannot be followed: {error!r}")

    async def look(self, *, again: bool = False) -> bool:
        """Serves what the champion file names; False while that is still being loaded.

        A version that failed is tried ``again`` at once, or else when it may have been put right.
        Raises :class:`ChampionFault`.
        """
        async with self._looking:  # so that no earlier look outdoes a later one
            named = str(await self._read(self._repository.champion))
            champion = self._cache.champion
            if champion is None or named != champion.version:
                loaded = self._cache.find(named) or await self._come(named, again=again)
                if loaded is None:
                    return False
                self._serve(loaded)
            self._coming = None
            return True

    async def _come(self, named: str, *, again: bool) -> Loaded | None:
        """The version if it is loaded by the time of the next look."""
        coming = self._coming
        if coming is None or coming.version != named:
            failure = self._cache.failures.get(named)
            if failure and not again:
                stamp = await self._read(self._repository.stamp, int(named))
                if failure.holds(stamp):
                    raise ChampionFault(failure.reason)
            coming = self._coming = _Coming(named, self._loads.of(named), monotonic())
        await asyncio.wait({coming.load}, timeout=FOLLOW_SECONDS)
        if coming.load.done():
            self._coming = None
            try:
                return coming.load.result()
            except LoadError as error:
                raise ChampionFault(str(error)) from error
        if monotonic() - coming.since > LOAD_SECONDS:
            told = f"version {named}: it could not be loaded within {LOAD_SECONDS:g} s"
            self._cache.fail(named, told)
            raise ChampionLate(told)
        return None

    async def _read(self, read: Callable[..., Answer], *arguments: Any) -> Answer:
        reading = asyncio.create_task(self._aside.run(partial(read, *arguments)))
        try:
            # In parts, as a loop that was held up sees that the time is over before it sees an
            # answer that has come meanwhile: that must be the loop's fault and not the disk's.
            for _ in range(_PARTS):
                await asyncio.wait({reading}, timeout=STALL_SECONDS / _PARTS)
                if reading.done():
                    return reading.result()
        except RepositoryError as error:
            raise ChampionFault(str(error)) from error
        finally:
            reading.cancel()
        told = f"{self._repository.folder} cannot be read: no answer in {STALL_SECONDS:g} s"
        raise ChampionLate(told)
