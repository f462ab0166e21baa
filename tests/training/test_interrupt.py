from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from training.interrupt import Stopped, held, raise_swallowed, stoppable


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_block_with_a_shells_status(number: int, status: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, stoppable():
        signal.raise_signal(number)
    assert caught.value.exit_status == status
    assert signal.getsignal(number) == before


def test_a_signal_that_is_held_comes_at_the_end_of_what_must_be_done_whole() -> None:
    done = []

    def start() -> None:
        with held():
            signal.raise_signal(signal.SIGTERM)
            done.append("started and noted down")
        done.append("never")

    with pytest.raises(Stopped), stoppable():
        start()
    assert done == ["started and noted down"]


def test_a_swallowed_signal_is_raised_again_and_does_not_outlive_its_block() -> None:
    def swallow() -> None:
        with stoppable():
            with suppress(Stopped):
                signal.raise_signal(signal.SIGTERM)
            raise_swallowed()

    with pytest.raises(Stopped, match="SIGTERM"):
        swallow()
    with stoppable():
        raise_swallowed()
