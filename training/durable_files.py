"""Locks, and writes that survive a crash: a reader sees the old file or the new one, whole.

What a process is still writing has a hidden name with :data:`STAGING_PREFIX` and a lock, which the
kernel releases when the process ends, so that :func:`sweep` removes only what is left behind.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STAGING_PREFIX = ".staging-"


@contextmanager
def opened(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Opens and locks a file or folder until the block or the process ends.

    Yields whether it is locked, or another process holds the lock. Raises OSError if the path
    cannot be opened, or its filesystem has no locks.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    locked = False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            locked = True
        yield locked
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes) -> None:
    """Replaces a file's content in one step or raises OSError; the caller holds the lock."""
    staged = path.with_name(f"{STAGING_PREFIX}{path.name}-{secrets.token_hex(8)}")
    try:
        staged.write_bytes(content)
        sync(staged)
        staged.replace(path)
        sync(path.parent)
    finally:
        staged.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes the staged files and folders whose processes have ended."""
    for path in folder.glob(f"{STAGING_PREFIX}*"):
        with suppress(OSError), opened(path) as locked:  # what stays is hidden
            if locked:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
