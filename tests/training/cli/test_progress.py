from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from training.cli import progress
from training.cli.progress import Progress
from training.errors import TrainingError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(written: str) -> list[str]:
    """What is left to see: a carriage return and ``erase to the end`` clear the line."""
    return [line.split("\x1b[K")[-1] for line in written.split("\n")]


@pytest.fixture(autouse=True)
def every_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def test_in_a_terminal_the_bar_is_one_line_that_moves_and_vanishes() -> None:
    terminal = Terminal()
    shown = Progress(terminal)
    shown.bar("fit", 1, 4, "loss 2.3")
    assert screen(terminal.getvalue()) == ["fit       [=====               ]  25 %  loss 2.3"]
    shown.bar("fit", 4, 4, "loss 0.1")
    assert screen(terminal.getvalue()) == ["fit       [====================] 100 %  loss 0.1"]
    shown.stage("fit", "done")
    assert screen(terminal.getvalue()) == ["fit       done", ""]


def test_a_bar_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    Progress(terminal).bar("fit", 1, 4, "x" * 100)
    assert len(screen(terminal.getvalue())[0]) == 29


def test_a_bar_is_not_drawn_more_often_than_anyone_can_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "REDRAW_S", 60.0)
    terminal = Terminal()
    shown = Progress(terminal)
    for step in range(1, 1001):
        shown.bar("fit", step, 1000, "")
    assert terminal.getvalue().count("fit") == 1


@pytest.mark.parametrize("dumb", [False, True])
def test_in_a_log_and_in_a_dumb_terminal_only_lasting_lines_are_written(
    monkeypatch: pytest.MonkeyPatch, dumb: bool
) -> None:
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    log = Terminal() if dumb else io.StringIO()
    shown = Progress(log)
    shown.note("model", "loading")
    shown.bar("fit", 1, 4, "")
    shown.stage("fit", "done")
    shown.erase()
    assert log.getvalue() == "fit       done\n"


def test_a_reader_that_has_gone_is_told_in_one_line() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream, pytest.raises(TrainingError, match="output was closed"):
        Progress(stream).line("anyone?")


def test_an_output_that_is_full_is_told_in_one_line() -> None:
    with (
        Path("/dev/full").open("w") as stream,
        pytest.raises(TrainingError, match=r"^stopped: the output cannot be written: No space"),
    ):
        Progress(stream).line("anything")
