"""Names the version that challenges the champion, ends its challenge, and reads the verdict."""

from contextlib import closing
from typing import Any

from service.challenge.verdict import Tally, judged
from service.models.repository import Challenger, Repository
from service.store.store import SQLITE, Store, file_of
from training.durable_files import replace, sync
from training.errors import TrainingError
from training.export.verify import VerificationFailed, check
from training.provenance import now
from training.registry import journal
from training.registry.publish import locked

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
    with locked(repository.root):
        version, share, begun = challenger or named(repository)
        champion = str(repository.champion())
        entry = {"challenger": version, "champion": champion, "share": share, **facts}
        when = {"when": now(), "command": f"models {command}"}
        with journal.entered(repository.folder / "journal.jsonl", {**when, **entry}):
            path = repository.folder / "challenger"
            if challenger:
                replace(path, f"{version} {share:.6f} {begun}\n".encode())
            elif command == "challenge --end":
                path.unlink()
                sync(path.parent)
    return entry


def verdict(repository: Repository, url: str) -> Report:
    """Returns what the service answers to ``GET /models/mnist/challenger``, from the store."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.challenge.record import tally

    challenger, champion, found = named(repository), str(repository.champion()), Tally()
    if url != "none" and not (url.startswith(SQLITE) and not file_of(url).exists()):
        try:
            with closing(Store(url)) as store, store.begin() as connection:
                found = tally(connection, champion, challenger)
        except SQLAlchemyError as error:
            raise TrainingError(f"the store cannot be read: {error}".partition("\n")[0]) from error
    return {"champion": champion, **judged(challenger, found)}


def named(repository: Repository) -> Challenger:
    """Returns the challenger. Raises :class:`TrainingError` without one."""
    challenger = repository.challenger()
    if challenger is None:
        raise TrainingError("no version challenges the champion; `models challenge N` names one")
    return challenger
