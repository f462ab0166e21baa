"""The journal of champions: one line for each change, and the history read back from it.

The ``champion`` file alone says who serves; the journal says since when and why. A line is
written before the change it tells of, and a crash between the two leaves a line whose change never
came. Each line therefore names the champion it found, and :func:`champions` passes over a line
where the next one, or the ``champion`` file, still finds the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.models.repository import parse_version

ROLLBACK = "models rollback"


@contextmanager
def entered(path: Path, entry: Mapping[str, Any]) -> Iterator[None]:
    """Appends ``entry`` to the journal; takes it out again where the ``with`` block fails."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o666), "rb+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            line = b"\n" + line  # a crash tore the line before
        try:
            _write(file.fileno(), line)
            os.fsync(file.fileno())
            yield
        except BaseException:
            file.truncate(size)
            raise


def champions(journal: Sequence[Mapping[str, Any]], champion: int) -> list[int]:
    """Who was champion before whom, each once where it was last, ending with ``champion``.

    A rollback takes those after its version off the end, so that rolling back twice goes back two
    steps and not to and fro. A champion set by hand counts as promoted.
    """
    changes = [
        (version, parse_version(str(entry.get("previous"))), entry.get("command") == ROLLBACK)
        for entry in journal
        if (version := parse_version(str(entry.get("version")))) is not None
    ]
    found_after = [previous for _, previous, _ in changes[1:]] + [champion]
    history: list[int] = []
    for (version, previous, is_rollback), after in zip(changes, found_after, strict=False):
        _enter(history, previous, is_rollback=False)
        if after != previous:
            _enter(history, version, is_rollback=is_rollback)
    _enter(history, champion, is_rollback=False)
    return history


def _enter(history: list[int], version: int | None, *, is_rollback: bool) -> None:
    if version is None:
        return
    if is_rollback and version in history:
        del history[history.index(version) + 1 :]
        return
    if version in history:
        history.remove(version)
    history.append(version)


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
