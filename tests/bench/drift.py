"""Prints the tables of ``docs/drift.md``: ``python -m tests.bench.drift``, some ten minutes.

``--weeks`` and ``--services`` make it shorter. The traffic is made of the champion's real answers;
see ``tests/service/drift/simulate.py``.
"""

from __future__ import annotations

import argparse
from time import thread_time

import numpy as np

from service.drift.evidence import WINDOW, Evidence
from service.drift.reference import STRATA, Reference, unsure
from service.inference.batch import BatchResult, Result
from tests.service.drift.simulate import (
    CARD,
    DAMAGES,
    DRIFTS,
    ORDERS,
    TRAFFIC,
    Follower,
    answered,
    drifted,
    seen_after,
    shares_error,
    steady_alarms,
    weeks,
)


def main() -> None:
    """Prints each table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=1000)
    parser.add_argument("--services", type=int, default=3000)
    options = parser.parse_args()
    detection(100)
    false_alarms(options.services)
    unlabelled()
    intervals(options.weeks)
    print(f"\nAn answer costs {microseconds():.2f} microseconds at one image a request.")


def detection(runs: int) -> None:
    """How soon each drift is seen, under which name, and by what score in a full window."""
    reference, random = Reference.from_card(CARD), np.random.default_rng(1)
    assert reference is not None
    evidence = Evidence(reference)
    print("\n| drift | seen after | the last | named | labels | appearance | no digits |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind, name in DRIFTS.items():
        seen = [seen_after(kind, random) for _ in range(runs)]
        after = sorted(count for count, _ in seen)
        named = sum(found == name for _, found in seen) / runs
        windows = [drifted(kind, WINDOW, random) for _ in range(runs)]
        counts = [reference.counted(*unsure(each.probabilities), each.images) for each in windows]
        scores = np.median([evidence.scores(each) for each in counts], axis=0)
        told = " | ".join(f"{score:.1f}" for score in scores)
        print(f"| {kind} | {after[runs // 2]} | {after[-1]} | {name}: {named:.0%} | {told} |")
    for kind in ("test", "30 % ones"):
        worst = max(shares_error(kind, random) for _ in range(runs))
        print(f"Estimated shares of the digits in a window, {kind}: off by at most {worst:.3f}.")


def false_alarms(services: int) -> None:
    """False alarms in steady traffic."""
    false = steady_alarms(services, np.random.default_rng(3))
    print(f"\nFalse alarms in {services * 10:,} steady windows of 1,000 answers: {false:.0f}.")


def unlabelled() -> None:
    """Accuracy without labels, and the true one."""
    reference, nothing = Reference.from_card(CARD), np.zeros((len(STRATA) + 1, 2))
    assert reference is not None
    print("\n| images | estimated | true |\n| --- | --- | --- |")
    for kind in ("test", *DAMAGES):
        answers = answered(kind)
        digits, how = unsure(answers.probabilities)
        told = reference.accuracy(reference.counted(digits, how), nothing)["estimate"]
        print(f"| {kind} | {told:.4f} | {np.mean(digits == answers.labels):.4f} |")


def intervals(count: int) -> None:
    """In how many weeks the interval holds the truth, and its mean width."""
    print(f"\n| traffic of {count} weeks | labelled | weeks covered | width |")
    print("| --- | --- | --- | --- |")
    random = np.random.default_rng(2)
    for traffic in TRAFFIC:
        for order in ORDERS:
            for labelled in (30, 300):
                found = list(weeks(count, traffic, order, labelled, random))
                covered = np.mean([week.covered for week in found])
                width = np.mean([week.told["high"] - week.told["low"] for week in found])
                print(f"| {traffic} | {labelled}, {order} | {covered:.1%} | {width:.4f} |")


def microseconds() -> float:
    """CPU time, the least of 200 means over 1,000 answers, each a request; with all tests."""
    follower, random = Follower(), np.random.default_rng(1)
    rows = answered("test").some(1000, random)
    pieces = [rows[i : i + 1] for i in range(1000)]
    batches = [BatchResult(piece.images, piece.probabilities) for piece in pieces]
    results = [Result(batch, slice(0, 1), 0, 0) for batch in batches]
    times = []
    for _ in range(200):
        start = thread_time()
        for result in results:
            follower.watch.answered(b"id", "caller", follower.version, result, None)
        times.append((thread_time() - start) / len(results) * 1e6)
    return min(times)


if __name__ == "__main__":
    main()
