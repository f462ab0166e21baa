"""Promotes a version: decides at the gate, then changes the ``champion`` file.

Needs neither Keras nor the training data: the extra ``cpu`` is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.models.repository import NAME, NoChampion, Repository, RepositoryError
from training.durable_files import replace
from training.export.verify import VerificationFailed, check
from training.measure.card import accuracy, measured_on, part
from training.provenance import now
from training.registry import journal
from training.registry.publish import PublishError, locked, publish

# Smaller than the share of one image, larger than a rounding error of count / count.
ROUNDING = 1e-9
NOT_WANTED = "promotion was not wanted"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a version becomes champion, why, and which version was champion before."""

    promoted: bool
    reason: str
    previous: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns the decision as the card holds it."""
        previous = None if self.previous is None else str(self.previous)
        return {"promoted": self.promoted, "reason": self.reason, "previous": previous}


def gate(
    candidate: Mapping[str, Any], champion: Mapping[str, Any] | None, tolerance: float = 0.0
) -> Decision:
    """Decides from two cards whether the candidate replaces the champion.

    It does if its verification passed and its test accuracy is at most ``tolerance`` below the
    champion's (a fraction: 0.001 is 10 images of 10,000). ``champion`` is None if there is none.
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
    compared = f"is {'above' if own > best else 'below'} the {best:.4f} of"
    if abs(own - best) < ROUNDING:
        compared = "equals that of"
    reason = f"test accuracy {own:.4f} {compared} champion {previous}"
    if tolerance and own < best - ROUNDING:
        reason += f", {'within' if passed else 'beyond'} the tolerance of {tolerance:g}"
    if measured_on(candidate) != measured_on(champion):
        reason += "; they were measured on other test images"
    return Decision(passed, reason, previous)


def decide(
    repository: Repository, candidate: Mapping[str, Any], tolerance: float, *, force: bool
) -> Decision:
    """Returns the gate's decision about the candidate; ``force`` overrules a rejection.

    While the champion cannot be read, only ``force`` promotes.
    """
    try:
        decision = gate(candidate, repository.card(repository.champion()), tolerance)
    except NoChampion:
        decision = gate(candidate, None)
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
) -> tuple[int, Decision]:
    """Publishes a staged version and promotes it if it is ``wanted`` and passes the gate.

    One lock covers both, so that the decision is about the champion that the version replaces. The
    published card holds it as ``promotion``. Returns the version's number and the decision. Raises
    :class:`VerificationFailed` if the staged file does not serve, and :class:`PublishError` if
    publishing failed, or only the promotion after it; the text says which.
    """
    check(staged / "model.onnx")
    with locked(root):
        decision = decide(Repository(root), card, tolerance, force=force)
        if not wanted:
            decision = Decision(False, NOT_WANTED, decision.previous)
        version = publish(staged, root, {**card, "promotion": decision.as_dict()})
        if decision.promoted:
            try:
                promote(root, version, reason=decision.reason, command="train")
            except PublishError as error:
                raise PublishError(f"version {version} was published, but {error}") from error
    return version, decision


def promote_past_gate(
    root: Path, version: int, *, tolerance: float, force: bool, command: str
) -> Decision:
    """Promotes a published version if it passes the gate. Does nothing if it is champion.

    Raises :class:`RepositoryError` if its card cannot be read, and as :func:`promote` does.
    """
    with locked(root):
        repository = Repository(root)
        decision = decide(repository, repository.card(version), tolerance, force=force)
        if _previous(repository) == str(version):
            return Decision(True, "it already was", version)
        if decision.promoted:
            promote(root, version, reason=decision.reason, command=command)
    return decision


def promote(root: Path, version: int, *, reason: str, command: str) -> None:
    """Makes ``version`` champion if it can serve. The caller holds ``locked`` and asked the gate.

    It can serve if its SHA-256 is the card's, it loads with the contract's input and output, it
    runs at every batch size, and a row has the same result alone and in a batch. Otherwise, or if a
    file cannot be written, raises :class:`PublishError`, and the old champion stays.
    """
    repository = Repository(root)
    try:
        check(repository.read_model(version))
    except RepositoryError as error:
        raise PublishError(f"nothing was promoted: {error}") from error
    except VerificationFailed as error:
        raise PublishError(f"nothing was promoted: version {version}: {error}") from error
    change = {"version": str(version), "previous": _previous(repository)}
    entry = {"when": now(), **change, "reason": reason, "command": command}
    try:
        with journal.entered(repository.folder / "journal.jsonl", entry):
            replace(repository.folder / "champion", f"{version}\n".encode())
    except OSError as error:
        raise PublishError.because(error, "nothing was promoted", root / NAME) from error


def _previous(repository: Repository) -> str | None:
    try:
        return str(repository.champion())
    except RepositoryError:
        return None
