"""The kinds of figures, and where in a worker's row of slots each has its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PREFIX = "mnist_"


class Counter:
    """A family of counts: one slot for each combination of label values."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[str, ...]]
    ) -> None:
        self.name, self.text, self.labels = PREFIX + name, text, tuple(labels)
        self.rows = tuple(rows)
        self.first = 0
        self.size = len(self.rows)
        self.slot: dict[tuple[str, ...], int] = {}

    def place(self, first: int) -> None:
        """Gives the family its slots, from ``first``."""
        self.first = first
        self.slot = {row: first + i for i, row in enumerate(self.rows)}


class Gauge(Counter):
    """One value as it is now, summed over the workers alive."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text, (), ((),))


class Histogram(Counter):
    """A family of histograms: for each row of labels its buckets, the overflow and the sum."""

    def __init__(
        self,
        name: str,
        text: str,
        bounds: Sequence[float],
        labels: Sequence[str] = (),
        rows: Iterable[tuple[str, ...]] = ((),),
    ) -> None:
        super().__init__(name, text, labels, rows)
        self.bounds = tuple(bounds)
        self.width = len(self.bounds) + 2
        self.size = len(self.rows) * self.width

    def place(self, first: int) -> None:
        """Gives the family its slots, from ``first``."""
        self.first = first
        self.slot = {row: first + i * self.width for i, row in enumerate(self.rows)}
