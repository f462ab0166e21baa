"""The checkpoints that interrupted runs left on disk: lists, describes and removes them."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.durable_files import abandoned
from training.errors import TrainingError
from training.network.checkpoint import STATE
from training.provenance import as_text


@dataclass(frozen=True, slots=True)
class Kept:
    """The checkpoint of one run that no process works on."""

    folder: Path
    size_bytes: int
    written: float
    """The time of the last checkpoint, in seconds since 1970."""

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return {**asdict(self), "folder": str(self.folder), "written": as_text(self.written)}


def kept(root: Path) -> list[Kept]:
    """Returns the checkpoints of interrupted runs under ``root``, the oldest first."""
    found = []
    for path in root.glob(f"*/{STATE}"):
        with suppress(OSError), abandoned(path.parent) as free:
            if free:
                size = sum(file.stat().st_size for file in path.parent.iterdir())
                found.append(Kept(path.parent, size, path.stat().st_mtime))
    return sorted(found, key=lambda each: each.written)


def remove(root: Path) -> list[Kept]:
    """Removes the checkpoints of interrupted runs and returns them; keeps those of running ones.

    Raises :class:`TrainingError` if a file cannot be removed.
    """
    removed = []
    for each in kept(root):
        try:
            with abandoned(each.folder) as free:
                if free:
                    shutil.rmtree(each.folder)
                    removed.append(each)
        except OSError as error:
            raise TrainingError(f"{each.folder} cannot be removed: {error.strerror}") from error
    with suppress(OSError):
        root.rmdir()  # succeeds if the folder is empty
    return removed


def summary(runs: Sequence[Kept]) -> str:
    """Returns one line: how much is where, since when, and the command that removes it."""
    root, since = runs[0].folder.parent, as_text(runs[0].written)
    count = "1 interrupted run" if len(runs) == 1 else f"{len(runs)} interrupted runs"
    return (
        f"{count} left {mebibytes(runs)} in {root}, the oldest since {since}; "
        f"to remove: models prune --checkpoints {shlex.quote(str(root))}"
    )


def mebibytes(runs: Sequence[Kept]) -> str:
    """Returns the size of all of them together."""
    return f"{sum(each.size_bytes for each in runs) / (1 << 20):.1f} MiB"
