"""Tells which images of a request are faulty, a few in full and the rest by their count."""

from __future__ import annotations

from service.errors import Fault, Flaw, Invalid, TooLarge
from service.types import Limits

LISTED = 20


class Flaws:
    """Collects what is wrong with the items of one field.

    ``noun`` is what an item is called in a message: image, file, picture, label.
    """

    def __init__(self, field: str, noun: str = "image") -> None:
        self.field = field
        self.noun = noun
        self._found: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, index: int, message: str) -> None:
        """Notes one faulty item; ``index`` counts from 0."""
        self._found.append((index, message))

    def raise_any(self, kind: type[Fault] = Invalid) -> None:
        """Raises ``kind`` if anything was noted, with the first 20 items in full."""
        if not self._found:
            return
        self._found.sort()
        index, message = self._found[0]
        detail = f"{self.noun} {index}: {message}"
        if len(self) > 1:
            detail = f"{len(self):,} {self.noun}s are faulty, the first is {detail}"
        if len(self) > LISTED:
            detail += f" (the first {LISTED} are listed)"
        raise kind(detail, *(Flaw(i, self.field, text) for i, text in self._found[:LISTED]))


def check_count(count: int, limits: Limits, field: str, noun: str = "image") -> None:
    """Refuses no images at all (Invalid) and more than the limit (TooLarge)."""
    if count == 0:
        message = f"no {noun}s; at least one is expected"
        raise Invalid(f"{field}: {message}", Flaw(None, field, message))
    if count > limits.images:
        raise TooLarge(f"{count:,} {noun}s; at most {limits.images:,} are read in one request")


def refuse(index: int | None, field: str, message: str) -> Invalid:
    """The fault to raise for one thing wrong; ``index`` counts from 0, None for no one image."""
    place = field if index is None else f"{field} {index}"
    return Invalid(f"{place}: {message}", Flaw(index, field, message))
