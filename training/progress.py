"""What a run shows: one line a stage and an epoch, and between them a bar where it can move.

In a terminal the bar is one line that is written over and over and gone at the end; in a log it
does not appear.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import TextIO

ERASE_LINE = "\r\x1b[K"
REDRAW_S = 0.1
BAR_WIDTH = 20


class Progress:
    """Writes to ``stream``; closing the bar before a line is its own affair."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._moving = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn_at = 0.0
        self._drawn = False

    def line(self, text: str = "") -> None:
        """Writes one lasting line."""
        self.erase()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def stage(self, name: str, text: str) -> None:
        """Writes the line of a stage, the texts of all stages one below the other."""
        self.line(f"{name:<10}{text}")

    def bar(self, name: str, done: int, total: int, text: str) -> None:
        """Draws ``done`` of ``total``, at most ten times a second, where the line can move."""
        if not self._moving or time.monotonic() - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = time.monotonic()
        filled = "=" * (BAR_WIDTH * done // total)
        line = f"{name:<10}[{filled:<{BAR_WIDTH}}] {done * 100 // total:3d} %  {text}"
        # A line that wraps could not be erased.
        line = line[: shutil.get_terminal_size().columns - 1]
        self._stream.write(ERASE_LINE + line)
        self._stream.flush()
        self._drawn = True

    def erase(self) -> None:
        """Takes the bar away, if there is one."""
        if self._drawn:
            self._stream.write(ERASE_LINE)
            self._stream.flush()
            self._drawn = False
