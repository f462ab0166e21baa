"""What runs that were stopped keep on disk: told of, so that nobody forgets it, and removed."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.durable_files import abandoned
from training.errors import TrainingError
from training.network.checkpoint import STATE
from training.timestamps import as_text


class StoppedError(TrainingError):
    """What a run keeps cannot be removed; one line."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The checkpoint of one run that no process is at."""

    folder: Path
    size_bytes: int
    written: float
    """When the last epoch was kept, in seconds since 1970."""

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        written = as_text(self.written)
        return {"folder": str(self.folder), "size_bytes": self.size_bytes, "written": written}


def kept(root: Path) -> list[Kept]:
    """What the runs under ``root`` keep that were stopped, the oldest first."""
    found = []
    for path in root.glob(f"*/{STATE}"):
        with suppress(OSError), abandoned(path.parent) as free:
            if free:
                size = sum(file.stat().st_size for file in path.parent.iterdir())
                found.append(Kept(path.parent, size, path.stat().st_mtime))
    return sorted(found, key=lambda each: each.written)


def remove(root: Path) -> list[Kept]:
    """Removes them, and gives what was removed; a run that goes on keeps its own.

    Raises:
        StoppedError: a file cannot be removed.
    """
    removed = []
    for each in kept(root):
        try:
            with abandoned(each.folder) as free:
                if free:
                    shutil.rmtree(each.folder)
                    removed.append(each)
        except OSError as error:
            raise StoppedError(f"{each.folder} cannot be removed: {error.strerror}") from error
    with suppress(OSError):
        root.rmdir()  # where nothing is left
    return removed


def told(runs: Sequence[Kept]) -> str:
    """How much, where, since when and what to do about it, in one line; the oldest come first."""
    root, since = runs[0].folder.parent, as_text(runs[0].written)
    count = "1 stopped run keeps" if len(runs) == 1 else f"{len(runs)} stopped runs keep"
    return (
        f"{count} {mebibytes(runs)} in {root}, since {since}; "
        f"models prune --checkpoints {shlex.quote(str(root))} removes that"
    )


def mebibytes(runs: Sequence[Kept]) -> str:
    """What they keep, all together."""
    return f"{sum(each.size_bytes for each in runs) / (1 << 20):.1f} MiB"
