"""How many of the answers in use are right: without labels, and with a few of reviewers."""

from __future__ import annotations

from collections import defaultdict
from time import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.drift.reference import SEEN, STRATA, STRATUM, SURE, Counts, Reference

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DAYS_S = 7 * 86_400.0
_TRUST = np.array([1000, 100, 10, 2, 0])
"""As how many labels the reference counts in each stratum at most. The unsure answers in use are
partly to what was never held out; the surest are rarely labelled, and right in any traffic."""
_TAIL, _DRAWS = 0.01, 4000


def accuracy(reference: Reference, window: Counts, labelled: NDArray[np.float64]) -> dict[str, Any]:
    """Estimates the share of right answers in a window; an answer to no digit is wrong.

    ``labelled`` (5, 2) are right and wrong ones by stratum. Without any, the estimate is by average
    thresholded confidence (Garg et al. 2022). With some, each stratum's share is weighed by how
    many of all answers it has, so that reviewers may choose by how unsure the version is
    (post-stratification: importance weights, with a beta posterior in each stratum). ``low`` and
    ``high`` leave out 1 % each, since the posteriors borrow from the reference.
    """
    count, answers = int(labelled.sum()), window[:SURE].sum()
    if not count or not answers:
        estimate = float(window[SURE] / answers) if answers else None
        return {"estimate": estimate, "low": None, "high": None, "labelled": count}
    random, held_out = np.random.default_rng(0), reference.strata
    known = np.maximum(held_out.sum(axis=1), 1)
    prior = 0.5 + held_out * np.minimum(1, _TRUST / known)[:, np.newaxis]
    shares = random.dirichlet(window[STRATUM:SEEN] + 0.25, _DRAWS)
    right, wrong = (labelled + prior).T
    drawn = (random.beta(right, wrong, (_DRAWS, len(right))) * shares).sum(axis=1)
    low, high = np.quantile(drawn, (_TAIL, 1 - _TAIL)).tolist()
    return {"estimate": float(drawn.mean()), "low": low, "high": high, "labelled": count}


def reviewed(connection: Connection, version: str) -> NDArray[np.float64]:
    """Counts the last week's right and wrong answers of a version by stratum, (5, 2).

    Only reviewers' labels count, for others are mostly sent about mistakes; images whose labels
    differ do not.
    """
    from sqlalchemy import select

    from service.store.tables import ANSWERS, LABELS

    columns = (ANSWERS.c.image, ANSWERS.c.digit, ANSWERS.c.confidence, LABELS.c.digit)
    query = select(*columns).join(LABELS, LABELS.c.image == ANSWERS.c.image)
    recent = ANSWERS.c.answered_at > time() - _DAYS_S
    query = query.where(recent, ANSWERS.c.version == version, LABELS.c.source == "review")
    said: dict[str, set[tuple[bool, float]]] = defaultdict(set)
    for image, digit, confidence, label in connection.execute(query):
        said[image].add((digit != label, confidence))
    counts = np.zeros((len(STRATA) + 1, 2))
    for (wrong, confidence), *others in said.values():
        if not others:
            counts[STRATA.searchsorted(np.log10(max(1 - confidence, 1e-30))), int(wrong)] += 1
    return counts
