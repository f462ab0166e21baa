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
    labels: Sequence[str]
    rows: Sequence[tuple[str, ...]]
    bounds: Sequence[float]
    first: int
    slot: dict[tuple[str, ...], int] = field(init=False)
    end: int = field(init=False)

    def __post_init__(self) -> None:
        width = len(self.bounds) + 2 if self.kind == "histogram" else 1
        self.slot = {row: self.first + i * width for i, row in enumerate(self.rows)}
        self.end = self.first + len(self.rows) * width
