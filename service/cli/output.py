"""Writes to standard output, and explains in one line what the system refused."""

import errno
import os
import sys


def print_text(text: str) -> None:
    """Prints and flushes ``text``, escaped for the output; OSError if that is closed or full."""
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
