"""Mean and spread of the figures of several versions: one recipe, one run for each seed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.models.repository import Repository
from training.errors import TrainingError
from training.measure.card import part

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
        if others := _differ(part(cards[0], "settings"), part(card, "settings")):
            raise TrainingError(
                f"versions {versions[0]} and {version} differ in {', '.join(others)}: "
                "a spread needs runs that differ only in their seed"
            )
    figures = [dict(_figures({name: card.get(name) for name in PARTS})) for card in cards]
    report: dict[str, dict[str, Any]] = {}
    for name in figures[0]:
        values = [found[name] for found in figures if name in found]
        if len(values) == len(cards):
            mean, deviation = statistics.fmean(values), statistics.stdev(values)
            report[name] = {"mean": mean, "deviation": deviation, "values": values}
    seeds = [part(card, "settings").get(SEED) for card in cards]
    return {"versions": list(map(str, versions)), "seeds": seeds, "figures": report}


def _differ(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    names = sorted((first.keys() | second.keys()) - {SEED})
    return [name for name in names if first.get(name) != second.get(name)]


def _figures(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yields every number with its path in the card; skips lists and booleans."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _figures(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)
