"""Promotes a version: asks the gate, then changes the ``champion`` file.

Needs neither Keras nor the training data: the extra ``cpu`` is enough.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.models.repository import NAME, Repository, RepositoryError
from training import durable_files
from training.data.loading import load
from training.export.verify import VerificationFailed, check
from training.measure.card import now
from training.registry import journal
from training.registry.challenge import present
from training.registry.gate import Decision, Labelled, decide
from training.registry.publish import PublishError, locked, publish

NOT_WANTED = "promotion was not wanted"


def release(
    staged: Path,
    root: Path,
    card: Mapping[str, Any],
    test: Labelled | None = None,
    field: Labelled | None = None,
    *,
    force: bool = False,
) -> tuple[int, Decision]:
    """Publishes a staged version, and promotes it if it passes the gate on ``test`` and ``field``.

    Without ``test`` it promotes nothing. One lock covers both, so that the decision, which the card
    holds, is about the champion that the version replaces. Raises :class:`VerificationFailed` if
    the staged file does not serve, and :class:`PublishError`, whose text says what was done.
    """
    file = staged / "model.onnx"
    check(file)
    with locked(root):
        repository = Repository(root)
        decision = Decision(False, NOT_WANTED, _previous(repository))
        if test is not None:
            decision = decide(repository, file, test, field, force=force)
        version = publish(staged, root, {**card, "promotion": decision.as_dict()})
        try:
            return version, _carry_out(decision, root, version, "train")
        except PublishError as error:
            raise PublishError(f"version {version} was published, but {error}") from error


def promote_past_gate(
    root: Path,
    version: int,
    data: Path | None,
    field: Labelled | None = None,
    *,
    force: bool,
    command: str,
) -> Decision:
    """Promotes a published version if it passes the gate and is not champion."""
    with locked(root):
        repository = Repository(root)
        model = repository.read_model(version)
        if _previous(repository) == version:
            return Decision(True, "it already was", version)
        dataset = load(data)
        test = dataset.test_images, dataset.test_labels
        decision = decide(repository, model, test, field, force=force)
        return _carry_out(decision, root, version, command)


def promote(root: Path, version: int, *, reason: str, command: str) -> str:
    """Makes ``version`` champion if it can serve. The caller holds ``locked`` and asked the gate.

    Returns the reason with what becomes of a challenge. Raises :class:`PublishError` if its files
    are damaged, fail ``check``, or a file cannot be written; the old champion stays.
    """
    repository = Repository(root)
    try:
        check(repository.read_model(version))
    except RepositoryError as error:
        raise PublishError(f"nothing was promoted: {error}") from error
    except VerificationFailed as error:
        raise PublishError(f"nothing was promoted: version {version}: {error}") from error
    previous = _previous(repository)
    change = {"version": str(version), "previous": None if previous is None else str(previous)}
    challenger, has_won = present(repository), False
    if challenger:
        has_won = challenger.version == str(version)
        after = "its challenge has ended" if has_won else f"{challenger.version} challenges it now"
        reason = f"{reason}; {after}"
    entry = {"when": now(), **change, "reason": reason, "command": command}
    try:
        with journal.entered(repository.folder / "journal.jsonl", entry):
            durable_files.replace(repository.folder / "champion", f"{version}\n".encode())
        if has_won:
            (repository.folder / "challenger").unlink()
    except OSError as error:
        raise PublishError.because(error, "nothing was promoted", root / NAME) from error
    return reason


def _carry_out(decision: Decision, root: Path, version: int, command: str) -> Decision:
    if not decision.promoted:
        return decision
    return replace(decision, reason=promote(root, version, reason=decision.reason, command=command))


def _previous(repository: Repository) -> int | None:
    try:
        return repository.champion()
    except RepositoryError:
        return None
