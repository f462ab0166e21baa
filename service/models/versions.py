"""The loaded versions of one worker, and which of them is the champion."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any
from weakref import WeakValueDictionary

from service.background.large_work import recent
from service.background.threads import DaemonThreads, Result
from service.errors import DeadlineExceeded, Invalid, NotFound, Unavailable
from service.models import workers
from service.models.champion_watcher import ChampionFault, ChampionLate, ChampionWatcher
from service.models.loader import Failure, Loaded, Loader
from service.models.repository import Repository, RepositoryError, default_root, parse_version
from service.models.workers import View, Workers, joint_fault, joint_state
from service.observe.logs import LOGGER
from service.observe.metrics import Metrics
from service.settings import Settings

_LOADS_BY_NUMBER, _READS = 2, 4  # how many of each run at a time
_PAUSES, _LONGEST_PAUSE = 100, 0.5
"""While others ask, a caller's next load waits 100 times as long as its last took, or 0.5 s if that
is less."""


class StartError(Exception):
    """The service cannot start; one line says why."""


class Versions:
    """The loaded versions of a worker, joint with the others. Call all on its event loop."""

    def __init__(self, settings: Settings, metrics: Metrics, shared: Path | None = None) -> None:
        root = settings.models if "models" in settings.model_fields_set else default_root()
        self.repository = Repository(root, settings.max_model_bytes)
        self._metrics = metrics
        self._loader = Loader(settings, metrics, self.repository, self._condemn)
        self.queue = self._loader.queue  # images of this worker, for whichever version
        self._workers = Workers(shared, self._answer)
        self._watcher = ChampionWatcher(self.repository, self._loader, self._serve)
        # The champion has other threads, so that no version by number delays it.
        self._by_number = DaemonThreads("loader", _LOADS_BY_NUMBER)
        self._reads = DaemonThreads("reader", _READS)
        self._loading = WeakValueDictionary[str, asyncio.Lock]()  # held by who loads a version
        self._following: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop
        self.verbs: dict[str, Callable[[], View]] = {"view": self._view}
        """What workers may :meth:`ask` of each other; others add to it."""
        self._former = ""  # the champion before the one that serves
        self._champion_fault: str | None = None
        self.serving: Loaded | None = None  # the champion, once it is loaded
        self.draining = False  # readiness answers 503, while every request is still answered

    async def start(self) -> None:
        """Loads the champion, and starts the watcher. Raises :class:`StartError`."""
        self._loop = asyncio.get_running_loop()
        async with self._starting:
            while self.serving is None:
                try:
                    await self._watcher.look()
                except ChampionLate as fault:
                    self._report(str(fault))
                except ChampionFault as fault:
                    raise StartError(str(fault)) from fault
            if not self.started:
                self._report(None)
                await self._workers.start()
                self._following = asyncio.create_task(self._watcher.follow(self._report))

    @property
    def started(self) -> bool:
        """Whether the watcher runs; it does not once its event loop has ended."""
        return self._following is not None and not self._following.done()

    async def stop(self) -> None:
        """Stops the watcher and the runner threads."""
        if self._following is not None:
            self._following.cancel()
        self._workers.stop()
        self._loader.close()

    def why_not_ready(self) -> str | None:
        """Returns the reason why a load balancer must not send requests here, or None."""
        if self.draining:
            return "draining"
        return None if self.serving else self._champion_fault or "no champion is loaded"

    @property
    def champion(self) -> Loaded:
        """The version that serves. Raises :class:`Unavailable` before the first is loaded."""
        if self.serving is None:
            raise Unavailable(self._champion_fault or "no champion is loaded")
        return self.serving

    async def version(
        self, text: str | None, deadline: float | None = None, caller: str = ""
    ) -> Loaded:
        """Returns the champion or a version; raises NotFound, Unavailable, DeadlineExceeded."""
        if text is None:
            return self.champion
        if loaded := self._loader.find(text, caller):
            return loaded
        left_s = None if deadline is None else deadline - perf_counter()
        mine = self._loading.setdefault(caller, asyncio.Lock())
        try:
            async with asyncio.timeout(left_s):
                await mine.acquire()
                start = perf_counter()
                try:
                    return await self._load(text, caller)
                finally:
                    now = perf_counter()
                    pauses = _PAUSES if recent.others(caller, now) else 0
                    pause_s = min(pauses * (now - start), _LONGEST_PAUSE)
                    self._loop.call_later(pause_s, mine.release)
        except TimeoutError:
            late = f"the deadline passed before version {text} was loaded"
            raise DeadlineExceeded(late) from None

    async def challenger(self, version: str | None) -> Loaded | None:
        """Returns the champion's challenger, which stays loaded. Raises as :meth:`version`."""
        self._loader.challenger = version
        return None if version is None else await self._load(version, "")

    async def read(self, read: Callable[..., Result], text: str, *arguments: str) -> Result:
        """Returns what the repository reads of any version. Raises NotFound and Unavailable."""
        try:
            return await self._reads.run(read, await self._number(text), *arguments)
        except RepositoryError as error:
            raise Unavailable(str(error)) from error

    async def listing(self) -> dict[str, Any]:
        """Returns the model's entry of ``GET /models``, with every version's state and reason."""
        try:
            numbers = await self._reads.run(self.repository.versions)
        except RepositoryError:
            numbers = []  # then the champion file is unreadable too, and the fault below says why
        provider, views = asdict(self.champion.runtime.report), await self.views()
        names = {*map(str, numbers), *(name for view in views for name in view["states"])}
        return {
            "name": "mnist",
            "champion": views[0]["champion"],
            "champion_fault": joint_fault(views),
            "versions": [joint_state(name, views) for name in sorted(names, key=int)],
            "provider": {**provider, "threads": self._loader.threads},
        }

    async def state(self, text: str) -> dict[str, str | None]:
        """Returns one version's entry in the listing. Raises :class:`NotFound`."""
        await self._number(text)
        return joint_state(text, await self.views())

    async def take_up_champion(self) -> None:
        """Serves the version that the champion file names now. Raises :class:`Unavailable`."""
        views = [await self._look(), *await self._workers.ask("look", seconds=workers.LOOK_SECONDS)]
        if fault := joint_fault(views):
            raise Unavailable(f"version {self.champion.version} keeps serving: {fault}")

    async def _look(self) -> View:
        try:
            while not await self._watcher.look():
                pass
            self._report(None)
        except ChampionFault as fault:
            self._report(str(fault))
        return self._view()

    async def unload(self, text: str) -> None:
        """Evicts a version. Raises NotFound, and Invalid for the champion and its challenger."""
        await self._number(text)
        roles = {self._loader.challenger: "challenger", self.champion.version: "champion"}
        if role := roles.get(text):
            raise Invalid(f"version {text} is the {role}, which is not unloaded; name another")
        self._loader.drop(text)
        await self._workers.ask("drop", text)

    async def views(self) -> list[View]:
        """Returns the views of all workers, in the same order whichever of them asks."""
        return sorted(await self.ask("view"), key=lambda view: int(view["process"]))

    async def ask(self, verb: str) -> list[View]:
        """Returns what all workers answer to one of ``verbs``, this worker's answer first."""
        return [self.verbs[verb](), *await self._workers.ask(verb)]

    def _view(self) -> View:
        return {**self._loader.view(), "champion_fault": self._champion_fault}

    async def _answer(self, verb: str, version: str) -> View:
        if verb == "look":
            return await self._look()
        if verb == "drop":
            self._loader.drop(version)
        return self.verbs.get(verb, self._view)()

    async def _number(self, text: str) -> int:
        number = parse_version(text)
        if number and (text in self._loader or await self._reads.run(self.repository.has, number)):
            return number
        raise NotFound(f"there is no version {text[:40]!r}")

    async def _load(self, text: str, caller: str) -> Loaded:
        number = await self._number(text)
        self._loader.choose(text, caller)
        if loaded := self._loader.find(text):  # meanwhile
            return loaded
        result: Loaded | Failure | None = self._loader.failures.get(text)
        stamp = await self._reads.run(self.repository.stamp, number)
        if not (isinstance(result, Failure) and result.holds(stamp)):
            result = await asyncio.shield(self._loader.load(text, self._by_number))
        if isinstance(result, Failure):
            raise Unavailable(f"version {text} cannot be loaded: {result.reason}")
        return result

    def _serve(self, champion: Loaded) -> None:
        if self.serving and self.serving is not champion:
            self._former = self.serving.version
        self._loader.serve(champion)
        self.serving = champion
        report = champion.runtime.report
        architecture = str(champion.card.get("architecture", "unknown"))
        served = {"version": champion.version, "architecture": architecture}
        served["provider"] = report.active
        self._metrics.serving(**served, fallback=report.fallback is not None)
        LOGGER.info("serving", extra={**served, "threads": self._loader.threads})
        if report.fallback:
            LOGGER.info("running on the CPU: %s", report.fallback)

    def _condemn(self, version: str, reason: str) -> None:  # any thread may call it
        self._loop.call_soon_threadsafe(self._take_out, version, reason)

    def _take_out(self, version: str, reason: str) -> None:
        # The champion before it answers, if it is still loaded.
        if version not in self._loader:
            return
        self._loader.condemn(version, reason)
        self._metrics.count("model_condemned")
        LOGGER.error("version %s is out of service: %s", version, reason)
        if self._loader.champion is None:
            self.serving = None
            if former := self._loader.find(self._former):
                self._serve(former)
            self._report(self._loader.failures[version].reason)

    def _report(self, fault: str | None) -> None:
        if fault is not None and fault != self._champion_fault:
            now = f"version {self.serving.version} keeps" if self.serving else "nothing is"
            LOGGER.error("%s serving: %s", now, fault)
        self._champion_fault = fault
        self._metrics.set("champion_fault", fault is not None)
