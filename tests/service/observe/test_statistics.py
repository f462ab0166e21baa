"""Statistics in Triton's form: counts and nanoseconds of requests, runs and failures."""

from __future__ import annotations

from time import time

from service.observe.statistics import Statistics, joined


def test_nothing_is_counted_before_the_first_request() -> None:
    entry = joined("3", [])
    assert (entry["name"], entry["version"]) == ("mnist", "3")
    assert entry["inference_count"] == entry["execution_count"] == entry["last_inference"] == 0
    assert entry["batch_stats"] == []
    assert {tuple(d.values()) for d in entry["inference_stats"].values()} == {(0, 0)}


def test_requests_runs_and_failures_are_counted_apart() -> None:
    statistics = Statistics()
    for rows, seconds in [(5, 0.25), (5, 0.5), (1, 0.125)]:
        statistics.executions[rows][0] += 1
        statistics.executions[rows][1] += seconds
    for rows in (3, 2, 5, 1):
        statistics.answers.append((rows, time(), 2, 0.5, 0.25, 0.125, 0.0625))
    statistics.failed(0.75)
    entry = joined("3", [statistics.told()])
    assert (entry["inference_count"], entry["execution_count"]) == (11, 3)
    assert abs(entry["last_inference"] / 1000 - time()) < 60
    input_and_answer = {"compute_input": 2, "compute_output": 0.25}
    steps = {"success": 8, "queue": 1, "compute_infer": 0.5, **input_and_answer}
    assert entry["inference_stats"] == {
        **{step: {"count": 4, "ns": seconds * 1e9} for step, seconds in steps.items()},
        "fail": {"count": 1, "ns": 750_000_000},
        **{step: {"count": 0, "ns": 0} for step in ("cache_hit", "cache_miss")},
    }
    batches = [(b["batch_size"], b["compute_infer"]) for b in entry["batch_stats"]]
    assert batches == [(1, {"count": 1, "ns": 125_000_000}), (5, {"count": 2, "ns": 750_000_000})]
