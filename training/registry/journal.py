"""The journal of champions: one line for each change, and the history that follows from it.

A line is written before its change, and a crash between the two leaves it alone: :func:`champions`
skips a line if the next one, or the ``champion`` file, still names the champion before it.
"""

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
    """Appends ``entry`` to the journal, and removes it again if the ``with`` block fails."""
    with path.open("ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            line = b"\n" + line  # a crash cut the last line
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
            yield
        except BaseException:
            file.truncate(size)
            raise


def champions(journal: Sequence[Mapping[str, Any]], champion: int) -> list[int]:
    """Returns the champions in order, each once, at its latest place; ``champion`` is the last.

    A rollback removes the versions after its target, so that the next one goes further back.
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
    if version in history and is_rollback:
        del history[history.index(version) + 1 :]
    elif version is not None:
        history[:] = [*(earlier for earlier in history if earlier != version), version]
