"""What happened in a fit, epoch by epoch, in plain figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


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

    ``best_epoch`` is the one whose weights were kept, or mixed with those of the first stage.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As the card keeps it."""
        return asdict(self)
