"""Turns Ctrl-C and SIGTERM into an exception that ends a run cleanly."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_arrived: list[int] = []


class Stopped(BaseException):
    """A signal asked the run to end. A BaseException, so that no library catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(NAMES[signal.Signals(number)])
        self.exit_status = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raises :class:`Stopped` in the block, in the main thread, when a signal arrives."""
    _arrived.clear()
    with _handled_by(_stop):
        yield


@contextmanager
def held() -> Iterator[None]:
    """Delays signals until the block ends; a library's thread would ignore a signal mask."""
    arrived: list[int] = []
    try:
        with _handled_by(lambda number, _: arrived.append(number)):
            yield
    finally:
        for each in arrived:
            signal.raise_signal(each)


def raise_swallowed() -> None:
    """Raises :class:`Stopped` again if C code, such as TensorFlow's, has swallowed it."""
    if _arrived:
        raise Stopped(_arrived[0])


def finish_first() -> None:
    """Ignores signals until the surrounding :func:`stoppable` block ends: little work is left."""
    for number in NAMES:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in NAMES}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _stop(number: int, _frame: FrameType | None) -> None:
    _arrived.append(number)
    raise Stopped(number)
