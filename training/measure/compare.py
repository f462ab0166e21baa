"""Compares two versions on the same labelled images, and tests whether they differ by chance."""

import statistics
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import exp, lgamma, log, log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.models.repository import Repository
from training.errors import TrainingError
from training.measure.card import flat, part

Digits = NDArray[np.integer[Any]]

MARGIN = 0.002
"""How much less accurate than another a version may be to count as not worse: a share of images."""
LEVEL = 0.05
"""The probability at most that a version counts as not worse which is worse by the margin."""


def compare(first: Digits, second: Digits, labels: Digits) -> dict[str, Any]:
    """Compares digits (n,) of two versions with labels (n,), n > 0; returns JSON values."""
    first_right, second_right = first == labels, second == labels
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    return {
        "count": len(labels),
        "first_accuracy": float(first_right.mean()),
        "second_accuracy": float(second_right.mean()),
        "both_right": int((first_right & second_right).sum()),
        "only_first_right": only_first,
        "only_second_right": only_second,
        "both_wrong": int((~first_right & ~second_right).sum()),
        "p_value": mcnemar(only_first, only_second),
        "changes": [
            {"index": i, "label": int(labels[i]), "first": int(first[i]), "second": int(second[i])}
            for i in np.flatnonzero(first_right != second_right).tolist()
        ],
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided p-value of McNemar's exact test on two counts of discordant pairs.

    If both are equally accurate, the smaller is binomial (Agresti, section 11.1).
    """
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    tail = term = 1
    for count in range(fewer):
        term = term * (discordant - count) // (count + 1)
        tail += term
    return float(min(Fraction(1), Fraction(2 * tail, 2**discordant)))


def not_worse(won: int, lost: int, count: int, margin: float) -> float:
    """Returns the one-sided p-value that a version is not worse by ``margin`` on ``count`` images.

    ``won`` and ``lost`` count the images that only it, or only the other version, reads. The test
    is McNemar's exact one with the null hypothesis moved by the margin: given the discordant
    images, so many that a version worse by exactly ``margin`` loses ``margin * count`` more of them
    than it wins, the losses are binomial (Liu et al. 2002, "Tests for equivalence or
    non-inferiority for paired binary data").
    """
    discordant = won + lost
    if lost - won >= margin * count:
        return 1.0
    loses = 0.5 + margin * count / (2 * discordant) if discordant else 1.0
    if loses >= 1:  # even if all of them were lost, it would not be worse by the margin
        return 0.0
    return at_most(lost, discordant, loses)


def worse(won: int, lost: int) -> float:
    """Returns the one-sided p-value of McNemar's exact test that a version is worse."""
    return at_most(won, won + lost, 0.5)


def at_most(count: int, total: int, share: float) -> float:
    """Returns the probability that a binomial of ``total`` trials is at most ``count``."""
    below = 0.0
    for hits in range(count + 1):
        rest = total - hits
        ways = lgamma(total + 1) - lgamma(hits + 1) - lgamma(rest + 1)
        below += exp(ways + hits * log(share) + rest * log1p(-share))
    return min(1.0, below)


PARTS = ("training", "test", "robustness", "doubt")
SEED = "seed"


def spread(repository: Repository, versions: Sequence[int]) -> dict[str, Any]:
    """Returns mean, deviation (n - 1) and values of every figure; raises :class:`TrainingError`."""
    if len(set(versions)) < 2:
        raise TrainingError("a spread needs two versions or more")
    cards = [repository.card(version) for version in versions]
    for version, card in zip(versions, cards, strict=True):
        first, own = part(cards[0], "settings"), part(card, "settings")
        names = sorted({*first, *own} - {SEED})
        if others := [name for name in names if first.get(name) != own.get(name)]:
            raise TrainingError(
                f"versions {versions[0]} and {version} differ in {', '.join(others)}: "
                "a spread needs runs that differ only in their seed"
            )
    figures = [_figures(card) for card in cards]
    report: dict[str, dict[str, Any]] = {}
    for name in figures[0]:
        values = [found[name] for found in figures if name in found]
        if len(values) == len(cards):
            mean, deviation = statistics.fmean(values), statistics.stdev(values)
            report[name] = {"mean": mean, "deviation": deviation, "values": values}
    seeds = [part(card, "settings").get(SEED) for card in cards]
    return {"versions": list(map(str, versions)), "seeds": seeds, "figures": report}


def _figures(card: Mapping[str, Any]) -> dict[str, float]:
    """Returns every number by its path in the card, without lists and booleans."""
    parts = flat({name: card.get(name) for name in PARTS})
    return {name: float(value) for name, value in parts if type(value) in (int, float)}
