"""What a run shows: one line a stage and an epoch, and between them a bar where it can move.

In a terminal the bar is one line that is written over and over and gone at the end; in a log it
does not appear.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import TextIO

from training.errors import TrainingError

ERASE_LINE = "\r\x1b[K"
REDRAW_S = 0.1
BAR_WIDTH = 20
NAME_WIDTH = 10


class Progress:
    """Writes to ``stream``.

    Every method raises :class:`TrainingError` once nothing can be written there any more.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._moving = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn_at = 0.0
        self._drawn = False

    def line(self, text: str) -> None:
        """Writes one lasting line."""
        self.erase()
        self._write(f"{text}\n")

    def stage(self, name: str, text: str) -> None:
        """Writes the lasting line of a stage, the texts of all stages one below the other."""
        self.line(f"{name:<{NAME_WIDTH}}{text}")

    def bar(self, name: str, done: int, total: int, text: str) -> None:
        """Draws ``done`` of ``total``, at most ten times a second, where the line can move."""
        if time.monotonic() - self._drawn_at >= REDRAW_S:
            filled = "=" * (BAR_WIDTH * done // total)
            share = f"[{filled:<{BAR_WIDTH}}] {done * 100 // total:3d} %"
            self.note(name, f"{share}  {text}")

    def note(self, name: str, text: str) -> None:
        """Writes a line that the next one replaces, where the line can move."""
        if not self._moving:
            return
        # A line that wraps could not be erased.
        line = f"{name:<{NAME_WIDTH}}{text}"[: shutil.get_terminal_size().columns - 1]
        self._write(ERASE_LINE + line)
        self._drawn, self._drawn_at = True, time.monotonic()

    def erase(self) -> None:
        """Takes the bar or note away, if there is one."""
        if self._drawn:
            self._drawn = False
            self._write(ERASE_LINE)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            # Else the interpreter would try once more to write the rest, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            closed = isinstance(error, BrokenPipeError)
            why = "was closed" if closed else f"cannot be written: {error.strerror}"
            raise TrainingError(f"stopped: the output {why}") from error
