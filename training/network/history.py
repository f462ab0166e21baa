"""What happened in a fit, epoch by epoch, in plain figures."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training images came to; times are seconds since the start."""

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
    """The epochs in order, through all stages; ``seconds`` cover whatever the fit did.

    ``clean_epochs`` of them were the first stage, 0 where there is one stage only. ``best_epoch``
    is the last stage's whose weights were kept. ``kept`` are all whose weights are in those of the
    version, each as its number (``epoch``) and its ``share``. ``run`` is the run's own name, in its
    checkpoint as in the card of what it published.
    """

    epochs: list[Epoch] = field(default_factory=list)
    clean_epochs: int = 0
    best_epoch: int = 0
    kept: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    run: str = field(default_factory=lambda: secrets.token_hex(8))

    def as_dict(self) -> dict[str, Any]:
        """As the card keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The history that :meth:`as_dict` gave."""
        return cls(**{**plain, "epochs": [Epoch(**epoch) for epoch in plain["epochs"]]})


def kept_in_words(kept: Sequence[Mapping[str, float]]) -> str:
    """``epoch 9``, or ``30 % of epoch 11 and 70 % of epoch 20``."""
    if len(kept) == 1:
        return f"epoch {kept[0]['epoch']}"
    return " and ".join(f"{100 * each['share']:.3g} % of epoch {each['epoch']}" for each in kept)
