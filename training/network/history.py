"""The figures of a fit, epoch by epoch."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one pass over the training images; times are seconds since the fit began."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class History:
    """The epochs of all stages in order, and the duration of the whole fit.

    ``clean_epochs`` counts those of the first stage, 0 if there is only one. ``best_epoch`` is the
    best of the last stage. ``kept`` lists every epoch whose weights are part of the final ones, and
    its ``share``. ``run`` names the run in its checkpoint and in the card of its version.
    """

    epochs: list[Epoch] = field(default_factory=list)
    clean_epochs: int = 0
    best_epoch: int = 0
    kept: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    run: str = field(default_factory=lambda: secrets.token_hex(8))

    def as_dict(self) -> dict[str, Any]:
        """Returns the form that the card has."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Returns the history from the form of :meth:`as_dict`."""
        return cls(**{**plain, "epochs": [Epoch(**epoch) for epoch in plain["epochs"]]})


def kept_in_words(kept: Sequence[Mapping[str, float]]) -> str:
    """Returns ``epoch 9``, or ``30 % of epoch 11 and 70 % of epoch 20``."""
    if len(kept) == 1:
        return f"epoch {kept[0]['epoch']}"
    return " and ".join(f"{100 * each['share']:.3g} % of epoch {each['epoch']}" for each in kept)
