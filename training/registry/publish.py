"""Publishes a finished version: stages it, makes it durable, renames it into the repository.

Readers see a whole version or none; after a crash the next run removes the hidden folder. Under the
lock nobody else takes the same number, or changes the champion after the gate's decision.
"""

import hashlib
import json
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
        number = _next_version(Repository(root))
        model = (staged / "model.onnx").read_bytes()
        digest = hashlib.sha256(model).hexdigest()
        described = {"version": str(number), **card, "sha256": digest, "size_bytes": len(model)}
        text = json.dumps(described, indent=2, allow_nan=False)
        (staged / "card.json").write_text(text + "\n", encoding="utf-8")
        for path in (*staged.iterdir(), staged):
            sync(path)
        staged.rename(folder / str(number))
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


def _next_version(repository: Repository) -> int:
    """Returns one above every name in use, and every number in the journal: none is used twice."""
    used = [path.name for path in repository.folder.iterdir()]
    for entry in repository.journal():
        used += [str(entry.get(key)) for key in ("version", "previous")]
    with suppress(RepositoryError):
        used.append(str(repository.champion()))
    return max((parse_version(name) or 0 for name in used), default=0) + 1
