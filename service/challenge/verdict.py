"""The verdict on a challenger, from labelled disagreements, valid however often somebody looks.

The bounds of the share of wins are a confidence sequence: ``beta(1 + wins, 1 + losses) / (p^wins
(1 - p)^losses)`` is a martingale for the true share ``p`` (Howard et al. 2021, section 3.2), which
ever reaches ``1 / LEVEL`` with the probability ``LEVEL`` at most (Ville 1939).
"""

from __future__ import annotations

from math import lgamma, log
from typing import Any, NamedTuple

from service.models.repository import Challenger

LEVEL = 0.05  # the probability at most that the bounds ever miss the true share of wins


class Compared(NamedTuple):
    """How many images two versions have answered, and those on which they disagree."""

    champion: str
    challenger: str
    images: int
    apart: list[tuple[bytes, int, int]]  # pixels, the champion's digit, and the challenger's


class Tally(NamedTuple):
    """What champion and challenger answered to the same images, and what their labels say."""

    images: int = 0
    agreed: int = 0
    labelled: int = 0  # disagreements with a label, each image once
    wins: int = 0  # of the challenger, which alone is right
    losses: int = 0
    failure: str = ""


def bounds(wins: int, losses: int) -> tuple[float, float]:
    """Returns the least and the greatest share of wins that these counts leave possible."""
    mixture = lgamma(1 + wins) + lgamma(1 + losses) - lgamma(2 + wins + losses)

    def edge(outside: float) -> float:
        inside = (wins + 0.5) / (wins + losses + 1)
        for _ in range(40):
            share = (outside + inside) / 2
            likelihood = wins * log(share) + losses * log(1 - share)
            if likelihood <= mixture + log(LEVEL):
                outside = share
            else:
                inside = share
        return inside

    return edge(0.0) if wins else 0.0, edge(1.0) if losses else 1.0


def judged(named: Challenger, tally: Tally, fault: str | None = None) -> dict[str, Any]:
    """Returns what ``/models/mnist/challenger`` answers; ``fault`` is why the version is absent."""
    images, agreed, labelled, wins, losses, failure = tally
    low, high = bounds(wins, losses)
    verdict, why = "undecided", "which leaves one half possible; label disagreements in /review"
    if low > 0.5:
        verdict, why = "promote", "above one half"
    elif high < 0.5:
        verdict, why = "reject", "below one half"
    reason = f"labelled disagreements: {labelled}, of which it won {wins} and lost {losses}; "
    reason += f"its share of wins lies between {low:.2f} and {high:.2f}, {why}"
    if failure:
        verdict, reason = "reject", f"it is out: {failure}"
    elif fault is not None:
        verdict, reason = "undecided", f"it does not answer: {fault}"
    mode, agreement = "canary" if named.share else "shadow", agreed / images if images else None
    told = {"version": named.version, "mode": mode, "share": named.share, "images": images}
    told |= {"agreement": agreement, "labelled": labelled, "wins": wins, "losses": losses}
    ends = {"low": round(low, 4), "high": round(high, 4)}
    return {**told, **ends, "verdict": verdict, "reason": reason}
