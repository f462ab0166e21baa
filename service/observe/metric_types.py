"""A metric, and which slots of a worker's row it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

PREFIX = "mnist_"
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(slots=True)
class Metric:
    """A Prometheus metric, with one or several slots for each combination of label values.

    ``labels`` has all values of each label. A counter and a gauge have one slot each. A histogram
    has a slot for each bucket, for the overflow, and for the sum. ``over`` says how the exposition
    joins a gauge's values of the living workers; ``least`` and ``most`` ignore a gauge never set.
    """

    kind: Kind
    name: str
    text: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    bounds: Sequence[float] = ()
    over: Literal["sum", "least", "most"] = "sum"
    slot: dict[tuple[str, ...], int] = field(init=False)
    first: int = field(init=False)

    def place(self, first: int) -> int:
        """Gives the metric the slots from ``first`` on, and returns the next free one."""
        self.first = first
        width = len(self.bounds) + 2 if self.kind == "histogram" else 1
        rows = list(product(*self.labels.values()))
        self.slot = {row: first + i * width for i, row in enumerate(rows)}
        return first + len(rows) * width
