"""The verdict holds at every look, and its bounds are those of the beta-binomial mixture."""

from __future__ import annotations

from math import isclose, log
from pathlib import Path

import numpy as np
import pytest
from scipy.special import betaln  # type: ignore[import-untyped]

from service.challenge.verdict import LEVEL, Tally, bounds, judged
from tests.service.challenge import rollouts
from tests.service.challenge.rollouts import NAMED


@pytest.mark.parametrize(
    ("wins", "losses"), [(0, 0), (8, 0), (0, 9), (3, 5), (140, 60), (900, 850)]
)
def test_the_bounds_are_where_the_mixture_martingale_reaches_its_limit(
    wins: int, losses: int
) -> None:
    low, high = bounds(wins, losses)
    assert 0 <= low <= (wins + 0.5) / (wins + losses + 1) <= high <= 1
    assert (low == 0, high == 1) == (wins == 0, losses == 0)
    for edge in {low, high} - {0.0, 1.0}:
        mixture = betaln(1 + wins, 1 + losses) - wins * log(edge) - losses * log(1 - edge)
        assert isclose(mixture, log(1 / LEVEL), rel_tol=1e-6)


def test_over_1000_rollouts_read_after_every_label_few_wrong_ones_are_promoted() -> None:
    for share in (0.5, 0.45):
        assert rollouts.simulated(share).promoted <= 0.05
    assert rollouts.simulated(2 / 3, neither=0.0).promoted_by_200 >= 0.8
    assert rollouts.simulated(2 / 3).promoted_by_200 >= 0.8
    assert rollouts.simulated(1 / 3).rejected >= 0.99


def test_the_bounds_hold_at_all_looks_at_once_in_nineteen_of_twenty_rollouts() -> None:
    """A share is within the bounds while the martingale for it is below its limit, as above."""
    random = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.8):
        wins = np.cumsum(random.random((2000, 500)) < share, axis=1)
        losses = np.arange(1, 501) - wins
        mixture = betaln(1 + wins, 1 + losses) - wins * log(share) - losses * log(1 - share)
        assert (mixture.max(axis=1) >= log(1 / LEVEL)).mean() <= LEVEL


def test_the_documentation_has_the_simulation() -> None:
    assert "\n".join(rollouts.table()) in Path("docs/challenge.md").read_text()


def test_a_failed_challenger_is_rejected_whatever_it_won() -> None:
    found = judged(NAMED, Tally(images=100, agreed=70, labelled=30, wins=30, failure="it loops"))
    assert (found["verdict"], found["reason"]) == ("reject", "it is out: it loops")
    assert found["agreement"] == 0.7
    assert judged(NAMED, Tally())["agreement"] is None
