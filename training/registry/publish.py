"""Publishes a finished version: stages it, makes it durable, renames it into the repository.

Readers see a whole version or none; after a crash the next run removes the hidden folder. The lock
keeps others from changing the champion between the gate's decision and the promotion. Where a
filesystem has no locks the kernel still refuses a rename to a number that is taken.
"""

import errno
import hashlib
import itertools
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from service.models.repository import NAME, Repository, RepositoryError, parse_version
from training.durable_files import STAGING_PREFIX, opened, sweep, sync
from training.errors import TrainingError
from training.measure.card import part


class PublishError(TrainingError):
    """Nothing was published, or nothing was promoted; one line says why."""

    @classmethod
    def because(cls, error: OSError, outcome: str, path: Path) -> Self:
        """Returns the error for what the system refused; ``path`` if ``error`` names no file."""
        return cls(f"{outcome}: {error.filename or path}: {error.strerror or error}")


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keeps others from publishing and promoting under ``root``, which it creates if missing."""
    folder = root / NAME
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(opened(folder, wait=True))
        except OSError as error:
            raise PublishError(f"{folder} cannot be used: {error.strerror}") from error
        yield


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Yields an empty folder for a version's files, and removes it unless it was published."""
    folder = root / NAME / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
    with ExitStack() as held:
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            with locked(root):
                sweep(root / NAME)
                folder.mkdir()
                held.enter_context(opened(folder))
            yield folder
        except OSError as error:
            raise PublishError.because(error, "nothing was published", folder) from error


def publish(staged: Path, root: Path, card: Mapping[str, Any]) -> int:
    """Publishes the files in ``staged`` with this card. The caller holds :func:`locked`.

    Adds ``version``, ``sha256`` and ``size_bytes`` to the card. Returns the version's number, one
    above every number that was ever used.
    """
    folder = root / NAME
    try:
        model = (staged / "model.onnx").read_bytes()
        digest = hashlib.sha256(model).hexdigest()
        described = {"version": "", **card, "sha256": digest, "size_bytes": len(model)}
        for number in itertools.count(_next_version(Repository(root))):
            described["version"] = str(number)
            text = json.dumps(described, indent=2, allow_nan=False)
            (staged / "card.json").write_text(text + "\n", encoding="utf-8")
            for path in (*staged.iterdir(), staged):
                sync(path)
            if _rename_into_place(staged, folder / str(number)):
                break
        sync(folder)
    except OSError as error:
        raise PublishError.because(error, "nothing was published", staged) from error
    return number


def published(repository: Repository, epochs: object) -> int | None:
    """Returns the version whose card has these epochs, which have the times of one run alone."""
    for version in reversed(repository.versions()):
        with suppress(RepositoryError):
            if part(repository.card(version), "training").get("epochs") == epochs:
                return version
    return None


def _rename_into_place(staged: Path, target: Path) -> bool:
    """Renames the folder. Returns False if the target's name is taken."""
    try:
        # The kernel lets a folder replace an empty one; it refuses every other name in use.
        if not (taken := os.path.lexists(target)):
            staged.rename(target)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
            raise
        return False
    return not taken


def _next_version(repository: Repository) -> int:
    """Returns one above every number in use or in the journal: a removed version's stays unused."""
    used = [0, *repository.versions()]
    for entry in repository.journal():
        used += [parse_version(str(entry.get(key))) or 0 for key in ("version", "previous")]
    with suppress(RepositoryError):
        used.append(repository.champion())
    return max(used) + 1
