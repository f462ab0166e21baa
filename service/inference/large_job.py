"""The executions of one large request, on runner threads beside the event loop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from time import perf_counter

from service.background.large_work import give_way, small_come
from service.types import Images, Probabilities


@dataclass(slots=True)
class LargeJob:
    """Images (n, 28, 28) and ``out`` (n, 10), executed ``batch_rows`` or ``short_rows`` at once."""

    run_batch: Callable[[Images], Probabilities]
    images: Images
    out: Probabilities
    batch_rows: int
    short_rows: int
    deadline: float
    since: float = field(default_factory=perf_counter)
    started: float = inf
    abandoned: bool = False
    late: bool = False
    executions: list[tuple[int, float]] = field(default_factory=list)

    def run(self, begin: int, end: int) -> None:
        """Classifies images ``begin`` to ``end``; stops if the job is late or abandoned."""
        self.started = min(self.started, perf_counter())
        first = begin
        while first < end:
            start = perf_counter()
            rows = self.short_rows if small_come(start) else self.batch_rows
            last = min(first + rows, end)
            self.late = self.late or start > self.deadline
            if self.abandoned or self.late:
                return
            self.out[first:last] = self.run_batch(self.images[first:last])
            self.executions.append((last - first, perf_counter() - start))
            first = last
            give_way()
