"""Names the version that challenges the champion, ends its challenge, and reads the verdict."""

from contextlib import suppress
from typing import Any

from service.challenge.verdict import Tally, judged
from service.models.repository import Challenger, Repository, RepositoryError
from training.durable_files import replace, sync
from training.errors import TrainingError
from training.export.verify import VerificationFailed, check
from training.measure.card import now
from training.registry import journal
from training.registry.publish import locked
from training.registry.store import opened

Report = dict[str, Any]


def challenge(repository: Repository, version: int, share: float) -> Report:
    """Names a version that can serve. Raises :class:`TrainingError` if it cannot, or serves."""
    if version == repository.champion():
        raise TrainingError(f"version {version} is the champion")
    try:
        check(repository.read_model(version))
    except VerificationFailed as error:
        raise TrainingError(f"version {version}: {error}") from error
    return enter(repository, "challenge", Challenger(str(version), share, now()))


def enter(
    repository: Repository, command: str, challenger: Challenger | None = None, **facts: Any
) -> Report:
    """Writes the journal's entry about a challenge, and the change that the command makes."""
    path, is_end = repository.folder / "challenger", command == "challenge --end"
    with locked(repository.root):
        damaged = Challenger("?", 0.0, "") if is_end and path.exists() else None
        version, share, begun = challenger or present(repository) or damaged or named(repository)
        champion = str(repository.champion())
        entry = {"challenger": version, "champion": champion, "share": share, **facts}
        when = {"when": now(), "command": f"models {command}"}
        with journal.entered(repository.folder / "journal.jsonl", {**when, **entry}):
            if challenger:
                replace(path, f"{version} {share:.6f} {begun}\n".encode())
            elif is_end:
                path.unlink()
                sync(path.parent)
    return entry


def verdict(repository: Repository, url: str) -> Report:
    """Returns what the service answers to ``GET /models/mnist/challenger``, from the store."""
    challenger, champion, found = named(repository), str(repository.champion()), Tally()
    with opened(url, repository.root) as store:
        if store is not None:
            from service.challenge.record import tally

            with store.begin() as connection:
                found = tally(connection, champion, challenger)
    version = challenger.version
    fault = None if repository.has(int(version)) else f"there is no version {version!r}"
    return {"champion": champion, **judged(challenger, found, fault)}


def present(repository: Repository) -> Challenger | None:
    """Returns the challenger; None without one, or where its file is damaged."""
    with suppress(RepositoryError):
        return repository.challenger()
    return None


def named(repository: Repository) -> Challenger:
    """Returns the challenger. Raises :class:`TrainingError` without one."""
    challenger = repository.challenger()
    if challenger is None:
        raise TrainingError("no version challenges the champion; `models challenge N` names one")
    return challenger
