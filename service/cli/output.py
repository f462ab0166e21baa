"""Writes to standard output, and explains in one line what the system refused."""

from __future__ import annotations

import errno
import os
import sys


def print_text(text: str) -> None:
    """Prints and flushes ``text``. Escapes the characters that the output cannot encode.

    Raises OSError if the output is closed or full, BrokenPipeError if its reader has gone.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", "standard output")
    try:
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        # At exit the interpreter flushes once more: that must not fail with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error.filename = "standard output"
        raise


def in_one_line(error: OSError) -> str:
    """Returns the file and the reason of a failed system call."""
    why = error.strerror or str(error)
    return f"{error.filename}: {why}" if error.filename else why
