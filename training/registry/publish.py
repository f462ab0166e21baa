"""Puts a finished version into the model repository: staged, made durable, renamed into place.

A reader sees all of a version or none of it. The files are written to a hidden folder on the same
filesystem as the versions, fsynced, and the folder is renamed to the version's number in one step
that the kernel refuses where that number is taken. Whatever stops the process before the rename,
a full disk or a SIGKILL, leaves a hidden folder that no reader looks at and the next run removes.

The lock only keeps two processes from trying for one number, and the gate's answer from growing
old; where the filesystem has no locks (some network volumes) the rename alone decides.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from service.models.repository import NAME, Repository, RepositoryError, parse_version
from training.durable_files import STAGING_PREFIX, lock, sweep, sync
from training.errors import TrainingError
from training.measure.card import part

TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


class PublishError(TrainingError):
    """Nothing was published, or nothing was promoted; one line says why."""


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keeps other publishing and promoting processes out of the repository under ``root``.

    Makes the repository's folder where it is missing. Not reentrant: one level per process.
    """
    folder = root / NAME
    try:
        _make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise PublishError(f"{folder} cannot be used: {error.strerror}") from error
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Gives an empty folder to write a version's files to; gone at the end unless published.

    Raises :class:`PublishError` where a file cannot be written, there or in the ``with`` block.
    """
    descriptor = -1
    folder = root / NAME / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
    try:
        with locked(root):
            sweep(root / NAME)
            folder.mkdir()
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            lock(descriptor, wait=False)
        yield folder
    except OSError as error:
        where = error.filename or folder
        raise PublishError(f"nothing was published: {where}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def publish(staged: Path, root: Path, card: Mapping[str, Any]) -> int:
    """Publishes the files in ``staged`` with this card, to be called under :func:`locked`.

    Adds ``version``, ``sha256`` and ``size_bytes`` of ``model.onnx`` to the card, writes it as
    ``card.json`` and gives the version's number: one above every number that was ever used.
    Raises :class:`PublishError` where a file cannot be written.
    """
    folder = root / NAME
    try:
        model = (staged / "model.onnx").read_bytes()
        described = {
            "version": "",
            **card,
            "sha256": hashlib.sha256(model).hexdigest(),
            "size_bytes": len(model),
        }
        for number in range(first := _next_version(Repository(root)), first + 1000):
            described["version"] = str(number)
            text = json.dumps(described, indent=2, allow_nan=False)
            (staged / "card.json").write_text(text + "\n", encoding="utf-8")
            for path in staged.iterdir():
                sync(path)
            sync(staged)
            if _rename_into_place(staged, folder / str(number)):
                sync(folder)
                return number
    except OSError as error:
        where = error.filename or staged
        raise PublishError(f"nothing was published: {where}: {error.strerror or error}") from error
    raise PublishError(f"nothing was published: {folder} has no free version number")


def published(repository: Repository, run: str) -> int | None:
    """The version that the run of this name has published; None where there is none."""
    for version in reversed(repository.versions()):
        with suppress(RepositoryError):
            if part(repository.card(version), "training").get("run") == run:
                return version
    return None


def _rename_into_place(staged: Path, target: Path) -> bool:
    """Renames, or gives False where the target's name is taken."""
    # The kernel would let a folder replace an empty one; every other name in use it refuses.
    if os.path.lexists(target):
        return False
    try:
        staged.rename(target)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise
    return True


def _next_version(repository: Repository) -> int:
    """One above every number in use or remembered, so that a removed version's is not reused."""
    used = [0, *repository.versions()]
    for entry in repository.journal():
        used += [parse_version(str(entry.get(key))) or 0 for key in ("version", "previous")]
    with suppress(RepositoryError):
        used.append(repository.champion())
    return max(used) + 1


def _make_folder(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)
