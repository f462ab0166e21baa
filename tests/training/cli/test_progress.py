"""A terminal shows a bar that disappears; everything else gets plain lines only."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

from training import progress
from training.errors import TrainingError
from training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that a terminal shows after the control sequences that rich writes."""
        lines, row = [""], 0
        for token in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", self.getvalue()):
            if token == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif token == "\x1b[2K":
                lines[row] = ""
            elif token == "\x1b[1A":
                row -= 1
            elif token[0] not in "\r\x1b":
                lines[row] += token
        return [line.rstrip() for line in lines if line.strip()]


@pytest.fixture(autouse=True)
def every_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def test_a_terminal_shows_notes_and_a_bar_that_moves_and_disappears() -> None:
    terminal = Terminal()
    with Progress(terminal) as shown:
        shown.bar("model", 0, None, "loading TensorFlow")
        assert terminal.screen()[0].startswith("model ")
        assert terminal.screen()[0].endswith("loading TensorFlow")
        shown.stage("model", "mlp")
        shown.bar("fit", 1, 4, "loss [2.3]")
        before, bar = terminal.screen()
        assert (before, bar.split()[0]) == ("model     mlp", "fit")
        assert bar.endswith(" 25% loss [2.3]")
        shown.bar("fit", 4, 4, "loss [0.1]")
        assert terminal.screen()[1].endswith("100% loss [0.1]")
    assert terminal.screen() == ["model     mlp"]


def test_a_bar_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    terminal = Terminal()
    Progress(terminal).bar("fit", 1, 4, "x" * 100)
    (line,) = terminal.screen()
    assert len(line) <= 50


def test_a_bar_is_redrawn_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_S", 60.0)
    terminal = Terminal()
    shown = Progress(terminal)
    for step in range(1, 1001):
        shown.bar("fit", step, 1000, f"step {step}")
    assert set(re.findall(r"step \d+", terminal.getvalue())) == {"step 1"}


@pytest.mark.parametrize("dumb", [False, True])
def test_a_log_and_a_dumb_terminal_get_plain_lines(
    monkeypatch: pytest.MonkeyPatch, dumb: bool
) -> None:
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    log = Terminal() if dumb else io.StringIO()
    with Progress(log) as shown:
        shown.bar("model", 0, None, "loading")
        shown.bar("fit", 1, 4, "")
        shown.stage("fit", "done")
    assert log.getvalue() == "fit       done\n"


def test_a_closed_output_is_one_line() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream, pytest.raises(TrainingError, match="output was closed"):
        Progress(stream).line("anyone?")


def test_a_full_output_is_one_line() -> None:
    with (
        Path("/dev/full").open("w") as stream,
        pytest.raises(TrainingError, match=r"^stopped: the output cannot be written: No space"),
    ):
        Progress(stream).line("anything")
