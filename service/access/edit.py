"""Changes the file of keys, for the ``keys`` command."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.access.keys import Key, parse_keys, read_file, write_file

PREFIX = "mnist_"
"""Keys begin so, that scanners of source code can tell one."""


def new_key() -> tuple[str, str]:
    """A new key of 256 random bits, and its SHA-256."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> dict[str, Key]:
    """The keys in the file, by their names. Raises :class:`KeysError`."""
    return parse_keys(read_file(path)[1] or b"")


@contextmanager
def changed(path: Path, *, made: bool = False) -> Iterator[dict[str, Key]]:
    """Yields the keys to change, and then replaces the file, unless the block raises.

    With ``made``, it makes a file that is not there. The lock of the folder keeps others from
    changing the file meanwhile. A file that its group may read stays so, with its owner and group,
    so that the service can go on to read it. Raises :class:`KeysError` and OSError.
    """
    path = path.resolve()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        state = None if made and not path.exists() else path.stat()
        keys = {} if state is None else read_keys(path)
        yield keys
        rows = [k.model_dump(mode="json") | {"scopes": sorted(k.scopes)} for k in keys.values()]
        content = json.dumps({"keys": rows}, indent=1).encode() + b"\n"
        write_file(path, content, 0o600 | (stat.S_IMODE(state.st_mode) & 0o040 if state else 0))
        if state is not None:
            with suppress(PermissionError):
                os.chown(path, state.st_uid, state.st_gid)
        os.fsync(folder)
    finally:
        os.close(folder)
