"""Makes a version champion: the gate it has to pass, and the change of the ``champion`` file.

Needs neither Keras nor the training data, so it works where only the service is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.models.repository import NoChampion, Repository, RepositoryError
from training.durable_files import replace
from training.export.verify import VerificationFailed, check
from training.measure.card import accuracy, measured_on, part
from training.registry import journal
from training.registry.publish import PublishError, locked, publish
from training.timestamps import now

# Accuracies are counts divided by counts: this is less than any image and more than rounding.
ROUNDING = 1e-9
NOT_WANTED = "promotion was not wanted"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a version becomes champion, why, and who was champion when that was decided."""

    promoted: bool
    reason: str
    previous: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The form kept in the card."""
        previous = None if self.previous is None else str(self.previous)
        return {"promoted": self.promoted, "reason": self.reason, "previous": previous}


def gate(
    candidate: Mapping[str, Any], champion: Mapping[str, Any] | None, tolerance: float = 0.0
) -> Decision:
    """Whether the candidate's card earns it the champion's place.

    Its verification passed, and its test accuracy is not below the champion's by more than
    ``tolerance`` (a fraction: 0.001 is 10 images of 10,000). ``champion`` is None where there is
    none yet.
    """
    if part(candidate, "verification").get("passed") is not True:
        return Decision(False, "its verification did not pass")
    own = accuracy(candidate)
    if own is None:
        return Decision(False, "its card has no test accuracy")
    if champion is None:
        return Decision(True, "there is no champion yet")
    previous, best = int(champion["version"]), accuracy(champion)
    if best is None:
        return Decision(False, f"the card of champion {previous} has no test accuracy", previous)
    passed = own + tolerance >= best - ROUNDING
    reason = f"test accuracy {own:.4f} {_comparison(own, best)} champion {previous}"
    if tolerance and own < best - ROUNDING:
        reason += f", {'within' if passed else 'beyond'} the tolerance of {tolerance:g}"
    if measured_on(candidate) != measured_on(champion):
        reason += "; they were measured on other test images"
    return Decision(passed, reason, previous)


def decide(
    repository: Repository, candidate: Mapping[str, Any], tolerance: float, *, force: bool
) -> Decision:
    """The gate's decision against the repository's champion; ``force`` passes it all the same.

    A champion that cannot be read cannot be compared with: then nothing passes but by force.
    """
    try:
        decision = gate(candidate, _champion_card(repository), tolerance)
    except RepositoryError as error:
        decision = Decision(False, f"the champion cannot be compared with: {error}")
    if force and not decision.promoted:
        return Decision(True, f"forced, although {decision.reason}", decision.previous)
    return decision


def release(
    staged: Path,
    root: Path,
    card: Mapping[str, Any],
    *,
    tolerance: float = 0.0,
    force: bool = False,
    wanted: bool = True,
    command: str = "train",
) -> tuple[int, Decision]:
    """Publishes a staged version and, where the gate allows and it is ``wanted``, promotes it.

    All under one lock, so that the decision is about the champion that is replaced. It is kept in
    the published card as ``promotion``. Gives the version's number and the decision.

    >>> with staging(root) as folder:
    ...     write_the_files_into(folder)
    ...     version, decision = release(folder, root, card)

    Raises:
        VerificationFailed: the staged file does not serve; nothing was published.
        PublishError: nothing was published, or it was but could not be promoted; it says which.
    """
    check(staged / "model.onnx")
    with locked(root):
        decision = decide(Repository(root), card, tolerance, force=force)
        if not wanted:
            decision = Decision(False, NOT_WANTED, decision.previous)
        version = publish(staged, root, {**card, "promotion": decision.as_dict()})
        if decision.promoted:
            try:
                promote(root, version, reason=decision.reason, command=command)
            except PublishError as error:
                raise PublishError(f"version {version} was published, but {error}") from error
    return version, decision


def promote_past_gate(
    root: Path, version: int, *, tolerance: float, force: bool, command: str
) -> Decision:
    """Makes a published version champion where the gate allows; the champion stays as it is.

    Raises:
        RepositoryError: the version's card cannot be read.
        PublishError: nothing was promoted, as :func:`promote` says.
    """
    with locked(root):
        repository = Repository(root)
        decision = decide(repository, repository.card(version), tolerance, force=force)
        if _previous(repository) == str(version):
            return Decision(True, "it is champion already", version)
        if decision.promoted:
            promote(root, version, reason=decision.reason, command=command)
    return decision


def promote(root: Path, version: int, *, reason: str, command: str) -> None:
    """Makes ``version`` champion, after a check that it can serve. To be called under ``locked``.

    The check: its SHA-256 is the card's, it loads, its ends are the contract's, it runs at every
    batch size and a row alone is the same row in a batch. The gate is the caller's affair.

    Raises:
        PublishError: the version does not pass the check, or a file cannot be written; the
            champion is then the one before.
    """
    repository = Repository(root)
    try:
        check(repository.read_model(version))
    except RepositoryError as error:
        raise PublishError(f"nothing was promoted: {error}") from error
    except VerificationFailed as error:
        raise PublishError(f"nothing was promoted: version {version}: {error}") from error
    entry = {
        "when": now(),
        "version": str(version),
        "previous": _previous(repository),
        "reason": reason,
        "command": command,
    }
    try:
        with journal.entered(repository.folder / "journal.jsonl", entry):
            replace(repository.folder / "champion", f"{version}\n".encode())
    except OSError as error:
        where = error.filename or repository.folder
        raise PublishError(f"nothing was promoted: {where}: {error.strerror or error}") from error


def _champion_card(repository: Repository) -> dict[str, Any] | None:
    try:
        version = repository.champion()
    except NoChampion:
        return None
    return repository.card(version)


def _previous(repository: Repository) -> str | None:
    try:
        return str(repository.champion())
    except RepositoryError:
        return None


def _comparison(own: float, best: float) -> str:
    if abs(own - best) < ROUNDING:
        return "equals that of"
    return f"is {'above' if own > best else 'below'} the {best:.4f} of"
