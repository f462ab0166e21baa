"""A metric, and which slots of a worker's row it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

PREFIX = "mnist_"
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(slots=True)
class Metric:
    """A Prometheus metric, with one or several slots for each combination of label values.

    A counter and a gauge have one slot each; the exposition sums a gauge over the living workers.
    A histogram has a slot for each bucket, for the overflow, and for the sum.
    """

    kind: Kind
    name: str
    text: str
    labels: Sequence[str] = ()
    rows: Sequence[tuple[str, ...]] = ((),)
    bounds: Sequence[float] = ()
    first: int = 0
    slot: dict[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """The number of slots for each combination."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1

    def place(self, first: int) -> int:
        """Assigns its slots, from ``first``; returns the slot after its last."""
        self.first = first
        self.slot = {row: first + i * self.width for i, row in enumerate(self.rows)}
        return first + len(self.rows) * self.width
