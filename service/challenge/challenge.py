"""A version that challenges the champion: in the shadow, or with a share of the callers.

In the shadow, each of the two answers what the other one has answered, on a thread beside the event
loop. A challenger that fails is out; the champion answers callers in its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter, thread_time
from typing import Any, NamedTuple

from service.background.large_work import small_come
from service.background.threads import DaemonThreads
from service.challenge.verdict import Compared, judged
from service.errors import DeadlineExceeded, Fault, NotFound, QueueFull, Unavailable
from service.inference.batch import Result, digits
from service.inference.runtime import Runtime, Watchdog
from service.models.loader import Loaded
from service.models.repository import Challenger, RepositoryError
from service.models.versions import Versions
from service.observe.logs import LOGGER
from service.observe.metrics import Metrics
from service.store.capture import is_drawn
from service.store.store import Store
from service.types import Images

LOOK_SECONDS = 0.75  # between two looks at the challenger's file, its speed, and the store
_HANG_SECONDS, _PATIENCE_SECONDS, _PER_ROW = 1.0, 0.25, 0.001
"""How long a run may take, and how long a caller waits before the champion answers."""
_BACKLOG, _MOST_ROWS = 64, 16  # requests that wait for the shadow, and images of each it answers
_BUSY_REST_SECONDS = 0.3  # after a run while requests come: p99 feels a hundredth of the time
SLOWER, _RUNS = 3.0, 3  # the challenger's best run of three may take so many times the champion's


class _Piece(NamedTuple):
    """Images (n, 28, 28), and the digits that the champion or the challenger has answered."""

    images: Images
    digits: Sequence[int]
    champion: Loaded
    challenger: Loaded
    by_champion: bool


class Challenge:
    """The challenge in one worker. Call all on its event loop; it follows the answers."""

    def __init__(self, versions: Versions, metrics: Metrics, store: Store | None) -> None:
        self._versions, self._metrics, self._store = versions, metrics, store
        self.named: Challenger | None = None
        self.follows = False  # whether there is a challenger
        self._challenger: Loaded | None = None  # the named one, once loaded and until it fails
        self._fault: str | None = None
        self._is_out = False
        self._backlog, self._news = asyncio.Queue[_Piece](_BACKLOG), list[Compared]()
        self._threads = DaemonThreads("challenger", 2)
        self._watchdog = Watchdog(_HANG_SECONDS)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Follows the challenger's file from now on, unless it does."""
        if all(task.done() for task in self._tasks):
            self._backlog = asyncio.Queue(_BACKLOG)  # of this event loop
            self._tasks = [asyncio.create_task(each) for each in (self._follow(), self._shadow())]

    def stop(self) -> None:
        """Follows nothing any more."""
        for task in self._tasks:
            task.cancel()
        self._watchdog.close()

    def canary(self, caller: str) -> Loaded | None:
        """Returns the challenger if it answers this caller; every worker says the same."""
        challenger = self._challenger
        if challenger is None or self.named is None or not (share := self.named.share):
            return None
        return challenger if is_drawn(f"{challenger.version} {caller}".encode(), share) else None

    async def infer(
        self, challenger: Loaded, images: Images, deadline: float, caller: str
    ) -> Result | None:
        """Returns the challenger's result; None if it fails. Raises :class:`QueueFull`."""
        until = min(deadline, perf_counter() + _PATIENCE_SECONDS + _PER_ROW * len(images))
        result = None
        try:
            result = await challenger.batcher.infer(images, until, aside=True, caller=caller)
        except Exception as error:
            if isinstance(error, QueueFull):
                raise
            if not isinstance(error, DeadlineExceeded):  # the watchdog ends a run that hangs
                self._out(challenger, str(error))
        self._metrics.count("canary_answers", "champion" if result is None else "challenger")
        return result

    def answered(
        self, _id: bytes, _caller: str, served: Loaded, result: Result, _doubts: object
    ) -> None:
        """Puts the first of a request's images into the backlog, if there is room."""
        challenger, champion = self._challenger, self._versions.serving
        if challenger is None or champion is None or served not in (champion, challenger):
            return
        rows = 0 if self._backlog.full() else min(result.rows, _MOST_ROWS)
        self._metrics.count("challenger_images", "shed", by=result.rows - rows)
        if not rows:
            return
        images = result.images if rows == result.rows else result.images[:rows].copy()
        known = result.each(digits)[:rows]
        self._backlog.put_nowait(_Piece(images, known, champion, challenger, served is champion))

    async def report(self) -> dict[str, Any]:
        """Returns what ``/models/mnist/challenger`` answers. Raises NotFound and Unavailable."""
        champion, named = self._versions.champion.version, self.named
        if named is None:
            none = "no version challenges the champion; `models challenge N` names one"
            raise NotFound(self._fault or none)
        if self._store is None:
            raise NotFound("nothing is kept, so there is no verdict; MNIST_STORE names a store")
        found = await self._store.run(_work("tally", champion, named))
        if self._is_out:
            found = found._replace(failure=self._fault or "")
        return judged(named, found, None if self._challenger else self._fault)

    async def _follow(self) -> None:
        while True:
            fault: str | None = None
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, the champion must go on
                fault = str(error) if isinstance(error, (Fault, RepositoryError)) else repr(error)
                if isinstance(error, Fault) and self._challenger is not None:
                    self._out(self._challenger, fault)  # found by a caller who asked for it
                if fault != self._fault:
                    LOGGER.error("the challenger cannot be followed: %s", fault)
            if not self._is_out:
                self._fault = fault
            self._metrics.set("challenger_fault", self._fault is not None)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        """Takes up what the challenger's file and the store say. Raises RepositoryError, Fault."""
        serving = self._versions.serving
        champion = "" if serving is None else serving.version
        named = await self._threads.run(self._versions.repository.challenger)
        if named is not None and named.version == champion:
            named = None  # it has won
        if named != self.named:
            self._end()
            self.named, self._fault, self._is_out = named, None, False
        if named is not None and (why := await self._exchange(champion, named)):
            self._out(self._challenger, why)
        if named is None or self._is_out:
            await self._versions.challenger(None)
            return
        loaded = await self._versions.challenger(named.version)
        if loaded is not None and loaded is not self._challenger:
            self._challenger, self._watchdog = loaded, Watchdog(_HANG_SECONDS)
            self.follows = True
            self._watchdog.watch(loaded.runtime)
            self._metrics.tell("challenger_info", loaded.version)
            LOGGER.info("challenging", extra={"version": loaded.version, "share": named.share})

    async def _exchange(self, champion: str, named: Challenger) -> str:
        """Tells the store what was compared; returns why the challenger is out, as others found."""
        news, self._news = self._news, []
        if self._store is not None:
            own = (self._is_out and self._fault) or ""
            asked = self._store.run(_work("exchange", champion, named, news, own))
            with suppress(Unavailable, TimeoutError):
                return str(await asyncio.wait_for(asked, LOOK_SECONDS))
        return ""

    def _end(self) -> None:
        if self._challenger is not None:
            LOGGER.info("no longer challenging", extra={"version": self._challenger.version})
            self._metrics.tell("challenger_info")
            self._watchdog.close()
        self._challenger, self.follows = None, False

    def _out(self, challenger: Loaded | None, why: str) -> None:
        """Ends the challenge of a version that failed; the store tells whoever shares it."""
        if challenger is not self._challenger or self._is_out:
            return
        LOGGER.error("the challenger is out: %s", why)
        self._end()
        self._fault, self._is_out = why, True
        if challenger is not None and challenger.runtime.ended:
            challenger.batcher.condemn(why)

    async def _shadow(self) -> None:
        timed = 0.0
        while True:
            piece = await self._backlog.get()
            if piece.challenger is not self._challenger:
                continue
            begun = perf_counter()
            is_busy, is_timed = small_come(begun), begun - timed > LOOK_SECONDS
            timed = begun if is_timed else timed
            try:
                compared = await self._threads.run(_compare, piece, is_timed)
            except Exception as error:  # noqa: BLE001 - a hostile file may raise anything
                if piece.by_champion or isinstance(error, TimeoutError):
                    self._out(piece.challenger, str(error))
            else:
                self._news.append(compared)
                apart = len(compared.apart)
                self._metrics.count("challenger_images", "agreed", by=compared.images - apart)
                self._metrics.count("challenger_images", "disagreed", by=apart)
            await asyncio.sleep(_BUSY_REST_SECONDS if is_busy else perf_counter() - begun)


def _work(name: str, *arguments: object) -> Callable[[Any], Any]:
    """A function of ``record`` as work for the store, on whose thread SQLAlchemy is imported."""

    def work(connection: Any) -> Any:
        from service.challenge import record

        return getattr(record, name)(connection, *arguments)

    return work


def _compare(piece: _Piece, is_timed: bool) -> Compared:
    """Runs the version that has not answered; TimeoutError if the challenger takes too long."""
    images, known, champion, challenger, by_champion = piece
    if is_timed:
        most = SLOWER * min(_seconds(champion.runtime, images) for _ in range(_RUNS))
        if all(_seconds(challenger.runtime, images) > most for _ in range(_RUNS)):
            raise TimeoutError(f"it takes more than {SLOWER:g} x the champion's time")
    found = (challenger if by_champion else champion).runtime.run(images).argmax(axis=1).tolist()
    pairs = zip(known, found, strict=True) if by_champion else zip(found, known, strict=True)
    apart = [(images[i].tobytes(), *pair) for i, pair in enumerate(pairs) if len(set(pair)) > 1]
    return Compared(champion.version, challenger.version, len(images), apart)


def _seconds(runtime: Runtime, images: Images) -> float:
    clock = thread_time if runtime.report.active == "cpu" else perf_counter
    begun = clock()
    runtime.run(images)
    return clock() - begun
