"""Simulates rollouts of challengers, each judged after every label; prints a table.

A challenger wins a share of the disagreements on which one of the two versions is right. Some of
the labelled disagreements tell nothing, because neither is right.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from service.challenge.verdict import Tally, judged
from service.models.repository import Challenger

NAMED = Challenger("7", 0.0, "")
ROLLOUTS, LABELS = 1000, 1000
SHARES = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 2 / 3, 0.75)
NEITHER = 0.1
"""The share of labelled disagreements in which both versions are wrong."""


class Outcome(NamedTuple):
    """Shares of the rollouts, and the labels after which half and nine tenths were promoted."""

    promoted: float
    promoted_by_200: float
    rejected: float
    half: float
    most: float


@cache
def verdict(wins: int, losses: int) -> str:
    return str(judged(NAMED, Tally(wins=wins, losses=losses))["verdict"])


def simulated(share: float, *, neither: float = NEITHER, labels: int = LABELS) -> Outcome:
    """Promotes or rejects challengers of this share of wins at the first look that says so."""
    random = np.random.default_rng(round(share * 1000))
    ends: dict[str, list[int]] = {"promote": [], "reject": []}
    for _ in range(ROLLOUTS):
        tells = random.random(labels) >= neither
        wins = np.cumsum(tells & (random.random(labels) < share)).tolist()
        decisive = np.cumsum(tells).tolist()
        for label, (won, told) in enumerate(zip(wins, decisive, strict=True), 1):
            found = verdict(won, told - won)
            if found != "undecided":
                ends[found].append(label)
                break
    promoted = np.array(ends["promote"] + [np.inf] * (ROLLOUTS - len(ends["promote"])))
    half, most = np.quantile(promoted, [0.5, 0.9], method="higher")
    by_200 = float((promoted <= 200).mean())
    rejected = len(ends["reject"]) / ROLLOUTS
    return Outcome(float(np.isfinite(promoted).mean()), by_200, rejected, float(half), float(most))


def table() -> list[str]:
    """The lines of the table in ``docs/challenge.md``."""
    lines = [
        "| wins | promoted | promoted within 200 labels | rejected | half by | nine in ten by |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for share in SHARES:
        found = simulated(share)
        when = (f"{each:.0f}" if np.isfinite(each) else "-" for each in found[3:])
        shares = (f"{each:.1%}" for each in found[:3])
        lines.append(f"| {share:.0%} | {' | '.join((*shares, *when))} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
