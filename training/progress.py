"""Prints lines that stay and, on a terminal, a progress bar that disappears."""

from __future__ import annotations

import os
import time
from typing import Self, TextIO

from rich import progress
from rich.console import Console

from training.errors import TrainingError

REDRAW_S = 0.1
BAR_WIDTH = 20
NAME_WIDTH = 10


class Progress:
    """Writes to ``stream``; raises :class:`TrainingError` when it is closed or full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn_at = 0.0
        # It has no thread: it draws when :meth:`bar` says so.
        self._bar = progress.Progress(
            progress.TextColumn(f"{{task.description:<{NAME_WIDTH - 1}}}", markup=False),
            progress.BarColumn(BAR_WIDTH),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[text]}", markup=False),
            console=Console(file=stream, highlight=False),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
            disable=not stream.isatty() or os.environ.get("TERM") == "dumb",
        )
        self._task = self._bar.add_task("", total=None, text="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._erase()

    def line(self, text: str) -> None:
        """Writes one line."""
        self._erase()
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

    def bar(self, name: str, done: int, total: int | None, text: str) -> None:
        """Shows on a terminal how far it is, 10 times a second; no ``total`` is no end."""
        goes_on = self._bar.live.is_started and self._bar.tasks[0].description == name
        if self._bar.disable or (goes_on and time.monotonic() - self._drawn_at < REDRAW_S):
            return
        self._bar.update(self._task, description=name, completed=done, total=total, text=text)
        self._bar.start()  # does nothing if it is shown
        self._bar.refresh()
        self._drawn_at = time.monotonic()

    def _erase(self) -> None:
        if self._bar.live.is_started:
            self._bar.stop()
