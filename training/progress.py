"""Prints lines that stay and, on a terminal, a progress bar that disappears.

Where the output is no terminal (a file, a pipe, a log) only the lines appear.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Self, TextIO

from training.errors import TrainingError

if TYPE_CHECKING:
    import rich.progress

REDRAW_S = 0.1
BAR_WIDTH = 20
NAME_WIDTH = 10


class Progress:
    """Writes to ``stream``; raises :class:`TrainingError` when it is closed or full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._bar: rich.progress.Progress | None = None
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.erase()

    def line(self, text: str) -> None:
        """Writes one line."""
        self.erase()
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except OSError as error:
            # Without this the interpreter would write the rest again at exit, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            closed = isinstance(error, BrokenPipeError)
            why = "was closed" if closed else f"cannot be written: {error.strerror}"
            raise TrainingError(f"stopped: the output {why}") from error

    def stage(self, name: str, text: str) -> None:
        """Writes the line of a stage; the texts of all stages start in the same column."""
        self.line(f"{name:<{NAME_WIDTH}}{text}")

    def note(self, name: str, text: str) -> None:
        """Shows on a terminal what is going on, until the next line or bar."""
        self.erase()
        self.bar(name, 0, None, text)

    def bar(self, name: str, done: int, total: int | None, text: str) -> None:
        """Shows on a terminal how far it is, 10 times a second; no ``total`` is no end."""
        is_due = self._bar is None or time.monotonic() - self._drawn_at >= REDRAW_S
        if not self._is_terminal or not is_due:
            return
        bar = self._bar or _new_bar(self._stream)
        bar.update(bar.task_ids[0], description=name, completed=done, total=total, text=text)
        if self._bar is None:
            self._bar = bar
            bar.start()
        else:
            bar.refresh()
        self._drawn_at = time.monotonic()

    def erase(self) -> None:
        """Removes the bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None


def _new_bar(stream: TextIO) -> rich.progress.Progress:
    """Returns a bar with one task. It has no thread: it draws when :meth:`Progress.bar` says so."""
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn(f"{{task.description:<{NAME_WIDTH - 1}}}", markup=False),
        progress.BarColumn(BAR_WIDTH),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=stream, highlight=False),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task("", total=None, text="")
    return bar
