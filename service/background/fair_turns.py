"""Whose turn it is: callers share by the work that each has had."""

from collections import deque
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import Generic, TypeVar

Item = TypeVar("Item")

_MOST_REMEMBERED = 1024


class FairTurns(Generic[Item]):
    """Items that wait, in the order of each caller; whoever has had the least work comes next.

    This is start-time fair queuing (Goyal, Vin and Cheng 1996), charged once the work is known. A
    caller who comes back after a pause begins where the others are: nobody saves up work.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[Item]] = {}
        self._order: list[tuple[float, int, str]] = []
        """A heap of the callers with items; an entry may tell less than its caller has had."""
        self._numbers = count()
        self._had: dict[str, float] = {}
        self._now = 0.0  # what a caller has had who has just come

    def __bool__(self) -> bool:
        return bool(self._queues)

    def put(self, caller: str, item: Item, *, first: bool = False) -> None:
        """Adds an item after the caller's others, or before them."""
        queue = self._queues.get(caller)
        if queue is None:
            queue = self._queues[caller] = deque()
            heappush(self._order, (self.had(caller), next(self._numbers), caller))
        if first:
            queue.appendleft(item)
        else:
            queue.append(item)

    def first(self) -> Item:
        """Returns the item that comes next."""
        return self._queues[self.next_caller()][0]

    def take(self, work: float = 0.0) -> Item:
        """Removes the item that comes next, and charges its caller with ``work``."""
        caller = self.next_caller()
        queue = self._queues[caller]
        self._now = max(self._now, self._order[0][0])
        item = queue.popleft()
        if len(self._order) > 1:  # alone, a caller keeps nobody waiting
            self.charge(caller, work)
        if not queue:
            del self._queues[caller]
            heappop(self._order)
            if not self._order:
                self._had.clear()
                self._now = 0.0
        return item

    def charge(self, caller: str, work: float) -> None:
        """Counts ``work`` that the caller has had."""
        if len(self._had) >= _MOST_REMEMBERED:  # who waits comes before all who come from now on
            self._now = max(self._had.values())
            self._had.clear()
        self._had[caller] = self.had(caller) + work

    def had(self, caller: str) -> float:
        """Returns what the caller has had, on the scale of all."""
        return max(self._had.get(caller, 0.0), self._now)

    def next_caller(self) -> str:
        """Returns whose turn it is; somebody must wait."""
        while True:
            before, _, caller = self._order[0]
            had = self._had.get(caller, before)
            if had <= before:
                return caller
            heapreplace(self._order, (had, next(self._numbers), caller))
