from __future__ import annotations

import os

import pytest

from training.network.load_tensorflow import quiet_stderr


def test_standard_error_is_held_back_unless_the_block_fails(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def write(text: bytes, error: type[Exception] | None = None) -> None:
        with quiet_stderr():
            os.write(2, text)
            if error:
                raise error

    write(b"chatter\n")
    with pytest.raises(ImportError):
        write(b"the reason\n", ImportError)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "the reason\nafter\n"
