"""Mean and spread of the figures of several versions: one recipe, one run for each seed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from service.models.repository import Repository
from training.errors import TrainingError
from training.measure.card import flat, part

PARTS = ("training", "test", "robustness", "doubt")
SEED = "seed"


def spread(repository: Repository, versions: Sequence[int]) -> dict[str, Any]:
    """Returns mean, standard deviation (with n - 1) and values of every figure in all the cards.

    Raises :class:`TrainingError` for fewer than two versions, or if other settings than the seed
    differ, and :class:`RepositoryError` if a card cannot be read.
    """
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
