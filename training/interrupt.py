"""Ctrl-C and SIGTERM as one exception that unwinds the run, until it is too late to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Stopped(BaseException):
    """The user or the system wants the run to end. No Exception, so that no library eats it."""

    def __init__(self, number: int) -> None:
        super().__init__(NAMES[signal.Signals(number)])
        self.exit_status = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raises :class:`Stopped` in the block, in the main thread, when a signal comes."""
    before = {number: signal.signal(number, _stop) for number in NAMES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Lets signals wait for the end of the block: within, a process can be started and noted down.

    A mask would not do: a thread of a library, which has none, would take the signal.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in NAMES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in came:
            signal.raise_signal(each)


def finish_first() -> None:
    """From here to the end of the block signals are ignored: what is left is short."""
    for number in NAMES:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)
