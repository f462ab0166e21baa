"""The gate: decides whether a version may replace the champion.

It passes a version that is shown not to be worse: than the champion, nor than the best version that
was ever champion, since many small losses could follow each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.models.repository import NoChampion, Repository, RepositoryError
from service.types import Images, Labels
from training.export.verify import VerificationFailed, answers
from training.measure.card import accuracy
from training.measure.compare import LEVEL, MARGIN, not_worse, worse
from training.registry import journal

Labelled = tuple[Images, Labels]  # images (n, 28, 28) uint8 and their labels (n,)
TEST, FIELD = "test images", "labelled images"


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate and a rival on the same ``count`` images: ``won`` and ``lost`` by one alone.

    A field set is small at first: even a version as good as its rival could not be shown to be
    within the margin. Then the candidate passes unless it is shown to be worse.
    """

    version: int
    role: str
    images: str
    count: int
    won: int
    lost: int

    @property
    def is_small(self) -> bool:
        """Whether these are too few images to show that a version is not worse."""
        half, rest = divmod(self.won + self.lost, 2)
        return self.images == FIELD and not_worse(half, half + rest, self.count, MARGIN) > LEVEL

    @property
    def p_value(self) -> float:
        """The probability of so few losses if the candidate is worse by the margin.

        Where :attr:`is_small`, that of so many if it is as good.
        """
        if self.is_small:
            return worse(self.won, self.lost)
        return not_worse(self.won, self.lost, self.count, MARGIN)

    @property
    def passed(self) -> bool:
        """Whether the candidate is shown not to be worse, or not shown to be worse."""
        return (self.p_value <= LEVEL) != self.is_small

    def __str__(self) -> str:
        shown, points = "not " if self.passed else "not shown not to be ", ""
        if self.is_small:
            shown = "not shown to be " if self.passed else "shown to be "
        else:
            points = f"margin {100 * MARGIN:g} percentage points, "
        return (
            f"{shown}worse than {self.role} {self.version}: of {self.count:,} {self.images} only "
            f"it reads {self.won}, only {self.version} reads {self.lost} (p = {self.p_value:.2g}; "
            f"{points}level {LEVEL:g})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the trial as the card holds it."""
        return {
            "against": str(self.version),
            "images": self.images,
            "count": self.count,
            "only_it_right": self.won,
            "only_other_right": self.lost,
            "margin": None if self.is_small else MARGIN,
            "level": LEVEL,
            "p_value": self.p_value,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a version becomes champion, why, and which version was champion before."""

    promoted: bool
    reason: str
    previous: int | None = None
    trials: tuple[Trial, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the decision as the card holds it."""
        previous = None if self.previous is None else str(self.previous)
        told = {"promoted": self.promoted, "reason": self.reason, "previous": previous}
        return {**told, "tests": [trial.as_dict() for trial in self.trials]}


def gate(trials: Sequence[Trial]) -> Decision:
    """Decides about a version by its trials, the champion's first.

    The reason is the first failed trial, else that on test images of the largest p-value.
    """
    if not trials:
        return Decision(True, "there is no champion yet")
    failed = [trial for trial in trials if not trial.passed]
    surest_last = sorted(trials, key=lambda trial: (trial.images == TEST, trial.p_value))
    decisive = failed[0] if failed else surest_last[-1]
    return Decision(not failed, str(decisive), trials[0].version, tuple(trials))


def decide(
    repository: Repository,
    model: bytes | Path,
    test: Labelled,
    field: Labelled | None = None,
    *,
    force: bool = False,
) -> Decision:
    """Returns the gate's decision about a ``model``, from its answers on ``test`` and ``field``.

    ``force`` overrules a rejection. While a rival cannot be read, only ``force`` promotes.
    """
    try:
        decision = gate(_trials(repository, model, {TEST: test, FIELD: field}))
    except (RepositoryError, VerificationFailed) as error:
        decision = Decision(False, f"the champion cannot be compared with: {error}")
    if force and not decision.promoted:
        it_is = "it is " if decision.trials else ""
        reason = f"forced, although {it_is}{decision.reason}"
        return replace(decision, promoted=True, reason=reason)
    return decision


def right(model: bytes | Path, labelled: Labelled) -> NDArray[np.bool_]:
    """Returns which of the images (n,) a model reads right."""
    images, labels = labelled
    found: NDArray[np.bool_] = answers(model, images).argmax(axis=1) == labels
    return found


def _trials(
    repository: Repository, model: bytes | Path, sets: Mapping[str, Labelled | None]
) -> list[Trial]:
    rivals = [(*rival, repository.read_model(rival[0])) for rival in _rivals(repository)]
    trials = []
    for name, labelled in sets.items() if rivals else ():
        if labelled is None:
            continue
        its = right(model, labelled)
        for version, role, file in rivals:
            other = right(file, labelled)
            won, lost = int((its & ~other).sum()), int((other & ~its).sum())
            trials.append(Trial(version, role, name, len(its), won, lost))
    return trials


def _rivals(repository: Repository) -> Iterator[tuple[int, str]]:
    try:
        champion = repository.champion()
    except NoChampion:
        return
    yield champion, "champion"
    best, most = champion, -1.0
    for version in reversed(journal.champions(repository.journal(), champion)):
        with suppress(RepositoryError):
            if (its := accuracy(repository.card(version)) or 0.0) > most:
                best, most = version, its
    if best != champion:
        yield best, "the best champion on record,"
