"""Names the version that challenges the champion, ends its challenge, and reads the verdict."""

from __future__ import annotations

import os
from typing import Any

from service.challenge.verdict import Tally, described
from service.models.repository import Challenger, Repository
from service.store.store import FILE, SQLITE, Store, file_of
from training.durable_files import replace, sync
from training.errors import TrainingError
from training.export.verify import VerificationFailed, check
from training.provenance import now
from training.registry import journal
from training.registry.publish import locked

Report = dict[str, Any]


def challenge(repository: Repository, version: int, share: float) -> Report:
    """Names a version that can serve. Raises :class:`TrainingError` if it cannot, or serves."""
    with locked(repository.root):
        if version == repository.champion():
            raise TrainingError(f"version {version} is the champion")
        try:
            check(repository.read_model(version))
        except VerificationFailed as error:
            raise TrainingError(f"version {version}: {error}") from error
        return _enter(repository, Challenger(str(version), share, now()), "challenge")


def end(repository: Repository) -> Report:
    """Ends the challenge. Raises :class:`TrainingError` if there is none."""
    with locked(repository.root):
        return _enter(repository, named(repository), "challenge --end")


def verdict(repository: Repository, url: str | None) -> Report:
    """Returns what the service answers to ``GET /models/mnist/challenger``, from the store."""
    challenger, champion = named(repository), str(repository.champion())
    url = url or os.environ.get("MNIST_STORE") or f"{SQLITE}{repository.root / FILE}"
    found = Tally()
    if not url.startswith(SQLITE) or file_of(url).exists():
        found = _tally(url, champion, challenger)
    return {"champion": champion, **described(challenger, found)}


def enter_verdict(repository: Repository, report: Report) -> None:
    """Writes a verdict into the journal, before it is acted on."""
    with locked(repository.root):
        _enter(repository, named(repository), "verdict", **report)


def named(repository: Repository) -> Challenger:
    """Returns the challenger. Raises :class:`TrainingError` without one."""
    challenger = repository.challenger()
    if challenger is None:
        raise TrainingError("no version challenges the champion; `models challenge N` names one")
    return challenger


def _enter(repository: Repository, challenger: Challenger, command: str, **facts: Any) -> Report:
    """Writes the journal's entry, and the change of the file that the command makes."""
    version, share, _ = challenger
    entry = {"challenger": version, "champion": str(repository.champion()), "share": share, **facts}
    path, told = repository.folder / "challenger", {"when": now(), "command": f"models {command}"}
    with journal.entered(repository.folder / "journal.jsonl", {**told, **entry}):
        if command == "challenge":
            replace(path, f"{version} {share:.6f} {challenger.begun}\n".encode())
        elif command == "challenge --end":
            path.unlink()
            sync(path.parent)
    return entry


def _tally(url: str, champion: str, challenger: Challenger) -> Tally:
    from sqlalchemy.exc import SQLAlchemyError

    from service.challenge.record import tally

    store = Store(url)
    try:
        with store.begin() as connection:
            return tally(connection, champion, challenger)
    except SQLAlchemyError as error:
        raise TrainingError(f"the store cannot be read: {error}".partition("\n")[0]) from error
    finally:
        store.close()
