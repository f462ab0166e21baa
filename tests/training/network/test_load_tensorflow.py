from __future__ import annotations

import os

import pytest

from training.network.load_tensorflow import quiet_stderr


def test_what_is_written_to_the_descriptor_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"chatter\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_it_is_shown_where_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def load() -> None:
        os.write(2, b"the reason\n")
        raise ImportError

    with pytest.raises(ImportError), quiet_stderr():
        load()
    assert capfd.readouterr().err == "the reason\n"
