"""Threads for large work: the event loop stays free for small requests, and callers take turns.

Large work calls :func:`give_way` all the time. While small requests follow each other closely, it
works for 0.1 ms at a time and then sleeps for twice as long, so the event loop gets the
interpreter's lock. A thread has the loop's priority: with a lower one it would be preempted while
it holds the lock. When a caller's turn is over and one who has had less waits, its thread waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import perf_counter, sleep
from typing import Any, Generic, TypeVar

from service.background.fair_turns import FairTurns
from service.background.threads import usable_cores
from service.errors import BodiesFull, DeadlineExceeded, Fault

Result = TypeVar("Result")

SMALL_JSON_BYTES = 1 << 17
"""The event loop itself decodes JSON up to this size, in at most some 700 microseconds."""
SMALL_BYTES = 1 << 18  # the same for binary bodies, which take a tenth of that
SMALL_ROWS = 256  # the event loop itself builds answers for up to this many images

_PIECE_SECONDS = 0.0001
_LONGEST_REST = 0.01
"""Seconds of sleep at most, so that a stalled machine does not add a second stall."""
_BYTES_A_SECOND = 256e6  # of large bodies, while small requests come
_CLOSE_SECONDS = 0.02  # small requests that come within this time follow each other closely
TURN_SECONDS = 0.005
LONG_SECONDS = 0.25  # whose work takes longer gets no more of it while others ask
TAKES_LONG = f"your work takes over {LONG_SECONDS:g} s, and others ask too"
_RECENT_SECONDS = 1.0
_MOST_ASIDE = 28  # begun jobs that wait for their next turn, each on a thread of its own
_CORES = usable_cores()


class _Stopped(Exception):
    """The deadline of the work has passed, or its caller has left."""


class Recent:
    """When requests came of late, on perf_counter's clock, and whether of several callers."""

    caller, at, other_at, small_at = "", -inf, -inf, -inf
    read_at = 0.0  # when the next piece of a large body may be read

    def others(self, caller: str, now: float) -> bool:
        """Whether a caller other than this one has asked of late."""
        return now - (self.other_at if caller == self.caller else self.at) < _RECENT_SECONDS


recent = Recent()
_here = threading.local()  # its ``job`` is what this thread works on, if it is one of these


@dataclass(slots=True, eq=False)
class Job(Generic[Result]):
    """A piece of work of one caller."""

    threads: FairThreads
    caller: str
    work: Callable[[], Result] | None  # None once it is done, or abandoned
    until: float
    result: Future[Result] = field(default_factory=Future)
    begun: bool = False
    is_refused: bool = False
    submitted: float = field(default_factory=perf_counter)
    since: float = 0.0  # when its turn began
    rested: float = 0.0  # when it began, or last made way for small requests
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held while this is begun and another has the turn."""

    def check(self, now: float, done: float = 0.0) -> Callable[[], Result]:
        """Returns the work, or stops it if it is late or abandoned.

        Raises BodiesFull while others ask if by what is ``done``, from 0 to 1, it would be late.
        """
        work, spent = self.work, now - self.submitted
        if work is None or now > self.until:
            raise _Stopped
        is_hopeless = spent > LONG_SECONDS and spent > done * (self.until - self.submitted)
        if done and is_hopeless and recent.others(self.caller, now):
            raise BodiesFull(TAKES_LONG)
        return work


class FairThreads:
    """``slots`` callers' jobs at a time, which sleep ``rest`` s a second while small ones come."""

    lock = threading.Lock()
    running = 0  # the jobs that run now, of all FairThreads

    def __init__(self, name: str, slots: int, rest: float = 2.0) -> None:
        self.rest = rest
        self._most = slots + _MOST_ASIDE
        self._threads = ThreadPoolExecutor(self._most, name)
        self._free = slots
        self._begun = 0
        self._turns = FairTurns[Job[Any]]()
        self._unfinished: dict[str, dict[Job[Any], None]] = {}
        self._awaited_since = 0.0  # when the first of those came that wait

    async def run(self, caller: str, work: Callable[[], Result], until: float = inf) -> Result:
        """Returns what ``work`` returns; stops it at ``until`` (perf_counter) or if cancelled.

        Raises DeadlineExceeded, or BodiesFull if the caller's other work takes long.
        """
        job = self.submit(caller, work, until)
        if not job.begun:
            self._look_later(job, asyncio.get_running_loop())
        try:
            return await asyncio.wrap_future(job.result)
        except asyncio.CancelledError:
            if job.is_refused:
                raise BodiesFull(TAKES_LONG) from None
            raise
        finally:
            job.work = None  # stops it; if it has not begun, this frees its body
            del job  # an exception holds this frame, and must not hold itself through the job

    def _look_later(self, job: Job[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Refuses a job while it has not begun, if the other work of its caller takes long."""

        def look() -> None:
            if job.work is not None and not job.begun:
                job.is_refused = self.is_long(job.caller, perf_counter()) and job.result.cancel()
                self._look_later(job, loop)

        loop.call_later(LONG_SECONDS, look)

    def submit(self, caller: str, work: Callable[[], Result], until: float = inf) -> Job[Result]:
        """Begins ``work``, or lets it wait for its turn."""
        job = Job(self, caller, work, until)
        with FairThreads.lock:
            self._unfinished.setdefault(caller, {})[job] = None
            if not self._free:
                if not self._turns:
                    self._awaited_since = perf_counter()
                self._turns.put(caller, job)
            elif self._go_on(job):
                self._free -= 1
                FairThreads.running += 1
        return job

    def is_long(self, caller: str, now: float) -> bool:
        """Whether the oldest work of this caller has begun and takes long, and others ask too."""
        with FairThreads.lock:
            jobs = self._unfinished.get(caller)
            first = next(iter(jobs)) if jobs else None
        since = now if first is None or not first.begun else first.submitted
        return now - since >= LONG_SECONDS and recent.others(caller, now)

    def pass_on(self, job: Job[Any], now: float) -> None:
        """Ends a running job's turn, on its thread, if a caller waits who has had less."""
        turns = self._turns
        if not turns or now - job.since < TURN_SECONDS:
            return
        with FairThreads.lock:
            self._charge(job, now)
            if not turns or turns.had(turns.next_caller()) >= turns.had(job.caller):
                return
            if self._begun >= self._most and not turns.first().begun:
                return
            job.turn.acquire()
            turns.put(job.caller, job, first=True)
            while not self._go_on(turns.take()):
                continue
        with job.turn:
            job.since = perf_counter()

    def shutdown(self) -> None:
        """Begins no further work."""
        self._threads.shutdown(wait=False)

    def _go_on(self, job: Job[Any]) -> bool:
        """Gives a free slot to a job; to none that has not begun once the service stops."""
        if job.begun:
            job.turn.release()
            return True
        try:
            self._threads.submit(self._run, job)
        except RuntimeError:
            job.result.cancel()
            return False
        job.begun = True
        self._begun += 1
        return True

    def _run(self, job: Job[Any]) -> None:
        """Does a job, on a thread."""
        _here.job = job
        job.since = job.rested = perf_counter()
        try:
            if job.result.set_running_or_notify_cancel():
                job.result.set_result(job.check(job.since)())
        except _Stopped:
            job.result.set_exception(
                DeadlineExceeded("the deadline passed before the work was done")
            )
        except Fault as fault:
            # Its frames hold the memory of the work, and the executor's frame holds the fault.
            fault.__traceback__ = fault.__context__ = fault.__cause__ = None
            job.result.set_exception(fault)
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            job.result.set_exception(error)
        finally:
            _here.job = job.work = None
            with FairThreads.lock:
                self._charge(job, perf_counter())
                jobs = self._unfinished[job.caller]
                del jobs[job]
                if not jobs:
                    del self._unfinished[job.caller]
                self._end()

    def _charge(self, job: Job[Any], now: float) -> None:
        """Counts what a running job has had while others waited."""
        if self._turns:
            self._turns.charge(job.caller, now - max(job.since, self._awaited_since))
        job.since = now

    def _end(self) -> None:
        """Passes the slot of a job on that has ended."""
        self._begun -= 1
        while self._turns:
            if self._go_on(self._turns.take()):
                return
        self._free += 1
        FairThreads.running -= 1


threads = FairThreads("large", min(4, int(_CORES)))


async def when_large(
    is_large: bool,
    work: Callable[..., Result],
    *arguments: object,
    until: float = inf,
    caller: str = "",
) -> Result:
    """Returns what ``work`` returns; a thread does it if it is large, until ``until`` at most."""
    if not is_large:
        return work(*arguments)
    return await threads.run(caller, partial(work, *arguments), until)


def give_way(done: float = 0.0) -> None:
    """Makes way for small requests and other callers; stops late or abandoned work.

    Large work calls it each 0.1 to 0.2 ms, with the part that is ``done`` (0 to 1) if it knows.
    """
    job: Job[Any] | None = getattr(_here, "job", None)
    if job is None or (now := perf_counter()) - job.rested < _PIECE_SECONDS:
        return
    job.check(now, done)
    # The request of this job may itself have looked small when it came; it waits for others alone.
    if small_come(now) and (recent.small_at > job.submitted or recent.others(job.caller, now)):
        crowding = max(1.0, FairThreads.running / _CORES)
        sleep(min(job.threads.rest * crowding * (now - job.rested), _LONGEST_REST))
    job.threads.pass_on(job, now)
    job.rested = perf_counter()


def small_come(now: float) -> bool:
    """Whether small requests follow each other closely."""
    return now - recent.small_at < _CLOSE_SECONDS


async def rest_after_reading(size: int) -> None:
    """Waits after ``size`` bytes of a large body, if small requests come: each 256 KiB take 0.2 ms.

    The event loop so reads at most ``_BYTES_A_SECOND`` of all large bodies together.
    """
    now = perf_counter()
    if small_come(now):
        recent.read_at = max(now, recent.read_at) + size / _BYTES_A_SECOND
        await asyncio.sleep(recent.read_at - now)
