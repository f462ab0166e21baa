"""The field set: images that people labelled, checked, and split into what is learnt and the rest.

An image is held out by its id, the hash of its pixels. It stays so from night to night, and no
version ever learns from what the gate measures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from service.models.repository import NoChampion, Repository
from service.types import Images, Labels
from training.config import Config
from training.export.verify import answers
from training.feedback.contradictions import contradicted
from training.measure.card import part
from training.registry.store import opened

if TYPE_CHECKING:
    from service.store.labels import Labelled

Pairs = tuple[Images, Labels]
NOTHING = hashlib.sha256().hexdigest()


class SetAside(NamedTuple):
    """A label that the rest of the data contradict; digits are -1 for no digit."""

    image: str
    digit: int
    expected: int
    labeller: str

    def __str__(self) -> str:
        given, expected = ("no digit" if d < 0 else str(d) for d in (self.digit, self.expected))
        return f"labelled {given}, where the rest of the data say {expected}"


@dataclass(frozen=True, slots=True)
class Field:
    """What people labelled; labels are 0 to 9, in ``learnt`` also -1 for no digit."""

    sha256: str = NOTHING
    """Of the ids of the images, their labels, and which of them two people gave."""
    learnt: Pairs | None = None
    held_out: Pairs | None = None
    set_aside: tuple[SetAside, ...] = ()
    refused: tuple[str, ...] = ()  # the labellers of whom nothing is used
    champion_accuracy: float | None = None  # of the champion on the images held out

    def describe(self) -> dict[str, Any]:
        """Returns the part of the card, which names nobody."""
        learnt, held_out = (len(each[1]) if each else 0 for each in (self.learnt, self.held_out))
        counts = {"learnt": learnt, "held_out": held_out, "set_aside": len(self.set_aside)}
        counts["labellers_refused"] = len(self.refused)
        return {"sha256": self.sha256, **counts, "champion_accuracy": self.champion_accuracy}


def collect(url: str, repository: Repository, share: float, *, ask: bool = False) -> Field:
    """Reads the labelled images of the store at ``url`` and holds out a ``share`` of them.

    With ``ask``, reviewers will be shown what is set aside. Raises :class:`TrainingError`.
    """
    with opened(url, repository.root) as store:
        if store is None:
            return Field()
        from service.store.labels import labelled

        with store.begin() as connection:
            found = labelled(connection)
        field = _field(found, repository, share) if found.ids else Field()
        if ask and field.set_aside:
            from service.store.tables import ASKED, insert

            rows = [{"image": each.image, "reason": str(each)} for each in field.set_aside]
            with store.begin() as connection:
                connection.execute(insert(connection, ASKED).on_conflict_do_nothing(), rows)
    return field


def unchanged(
    repository: Repository, field: Field, files: Mapping[str, str], config: Config
) -> int | None:
    """Returns the champion, if it learnt from the same data and labels by the same settings."""
    try:
        champion = repository.champion()
        card = repository.card(champion)
        # An older version's card may have settings that are no more.
        known = {k: v for k, v in part(card, "settings").items() if k in Config.model_fields}
        settings = Config(**known).model_dump(exclude={"seed"})
    except (NoChampion, ValidationError):
        return None
    learnt = part(card, "feedback").get("sha256", NOTHING), part(card, "data", "files"), settings
    now = field.sha256, files, config.model_dump(exclude={"seed"})
    return champion if known and learnt == now else None


def seed_of(repository: Repository, field: Field, config: Config) -> int:
    """Returns a seed that is new for each version, and the same for a run that is resumed."""
    last = max(repository.versions(), default=0)
    text = f"{last} {field.sha256} {config.model_dump_json(exclude={'seed'})}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _field(found: Labelled, repository: Repository, share: float) -> Field:
    try:
        known = answers(repository.read_model(repository.champion()), found.images)
    except NoChampion:
        known = np.full((len(found.ids), 10), 0.1, np.float32)
    names, numbers = np.unique(found.callers, return_inverse=True)
    labellers = np.where(found.agreed, -1, numbers)
    doubtful, expected, refused = contradicted(found.images, found.digits, labellers, known)
    parts = np.array([int(name[:8], 16) for name in found.ids]) / 2**32
    held_out = ~doubtful & (parts < share) & (found.digits >= 0)
    learnt = ~doubtful & (parts >= share)
    text = [f"{i} {d} {a}\n" for i, d, a in zip(found.ids, found.digits, found.agreed, strict=True)]
    right = (known.argmax(axis=1) == found.digits)[held_out]
    return Field(
        hashlib.sha256("".join(sorted(text)).encode()).hexdigest(),
        (found.images[learnt], found.digits[learnt]) if learnt.any() else None,
        (found.images[held_out], found.digits[held_out]) if held_out.any() else None,
        tuple(
            SetAside(found.ids[i], int(found.digits[i]), int(expected[i]), found.callers[i])
            for i in np.flatnonzero(doubtful).tolist()
        ),
        tuple(str(names[number]) for number in refused),
        float(right.mean()) if len(right) and np.ptp(known) else None,
    )
