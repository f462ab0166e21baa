"""The follower: what it costs, what it ignores, when alarms begin and end, and what they show."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from service.drift.evidence import THRESHOLD
from tests.bench.drift import microseconds
from tests.service.drift.simulate import Follower, answered, drifted, mixed, served


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


def score(follower: Follower, kind: str) -> float:
    line = f'mnist_drift_score{{kind="{kind}"}}'
    text = follower.metrics.exposition()[0].decode()
    return float(next(each for each in text.splitlines() if each.startswith(line)).split()[-1])


def test_too_few_then_steady_then_a_window_of_the_last_thousand(
    random: np.random.Generator,
) -> None:
    follower = Follower()
    assert follower.told()["state"] == "too few"
    assert follower.told()["shares"] == []
    follower.show(answered("test").some(99, random), rows=1)
    assert (follower.told()["state"], follower.told()["answers"]) == ("too few", 0)
    follower.show(answered("test").some(1, random), rows=1)
    assert (follower.told()["state"], follower.told()["answers"]) == ("steady", 100)
    follower.show(answered("test").some(3000, random), rows=7)
    told = follower.told()
    assert told["state"] == "steady"
    assert 900 < told["answers"] <= 1000
    assert sum(told["shares"]) == pytest.approx(1)
    json.dumps(told)


def test_an_alarm_begins_and_ends_each_with_one_line(
    random: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="mnist")
    follower = Follower()
    follower.show(answered("test").some(1000, random))
    follower.show(drifted("erosion 2x2", 2000, random))
    assert follower.alarms() == ["appearance"] or set(follower.alarms()) > {"appearance"}
    (alarm,) = (each for each in follower.told()["alarms"] if each["kind"] == "appearance")
    assert follower.told()["state"] == "drift"
    assert alarm["threshold"] == THRESHOLD
    assert alarm["score"] == score(follower, "appearance") > THRESHOLD
    assert alarm["when"].endswith("Z")
    follower.show(answered("test").some(2000, random))
    assert follower.told()["state"] == "steady"
    assert score(follower, "appearance") < THRESHOLD / 2
    lines = [record for record in caplog.records if "appearance" in record.getMessage()]
    assert [record.levelname for record in lines] == ["WARNING", "INFO"]


def test_scores_are_told_over_the_whole_time_by_few_points(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("service.drift.watch.time", lambda: clock[0])
    follower = Follower()
    for _ in range(1000):
        clock[0] += 0.7
        follower.show(answered("test").some(100, random))
    times = [seconds for seconds, *scores in follower.told()["scores"] if len(scores) == 3]
    assert 40 < len(times) <= 120
    assert times == sorted(times)
    assert (times[0], times[-1]) == (1000.7, clock[0])
    assert max(np.diff(times)) < 1700 / 40
    kinds = ("labels", "appearance", "no digits")
    assert list(follower.told()["scores"][-1][1:]) == [score(follower, kind) for kind in kinds]


def test_examples_are_the_requests_that_show_it_best(random: np.random.Generator) -> None:
    follower = Follower()
    follower.show(answered("test").some(1000, random), rows=1)
    doodles = answered("doodles").some(10, random)
    stream = mixed([answered("test").some(90, random), doodles], random)
    odd = {f"r{1000 + int(row)}" for row in np.flatnonzero(stream.labels < 0)}
    while "no digits" not in follower.alarms():
        odd = {f"r{follower.shown + int(row)}" for row in np.flatnonzero(stream.labels < 0)}
        follower.show(stream, rows=1)
    (alarm,) = follower.told()["alarms"]
    assert len(alarm["examples"]) == 5
    assert set(alarm["examples"]) <= odd


def test_a_new_champion_starts_anew_and_ends_the_alarms(random: np.random.Generator) -> None:
    follower = Follower()
    follower.show(drifted("erosion 2x2", 1000, random))
    assert "appearance" in follower.alarms()
    follower.version = served(version="7")
    told = follower.told()
    assert (told["state"], told["answers"], told["alarms"]) == ("too few", 0, [])


def test_answers_of_other_versions_are_not_the_champions(random: np.random.Generator) -> None:
    follower = Follower()
    champion, other = follower.version, replace(follower.version, version="2")
    follower.show(answered("test").some(500, random))
    follower.watch._champion = lambda: champion
    follower.version = other
    follower.show(drifted("erosion 2x2", 1000, random))
    told = follower.told()
    assert (told["state"], told["answers"]) == ("steady", 500)


@pytest.mark.parametrize("card", [{}, {"reference": {"count": 3}}])
def test_without_a_reference_nothing_is_told(
    card: dict[str, object], random: np.random.Generator
) -> None:
    follower = Follower(card)
    follower.show(answered("test").some(1000, random))
    assert follower.watch.joined([follower.watch.view()]) is None


def test_workers_are_joined_and_only_those_with_the_same_champion(
    random: np.random.Generator,
) -> None:
    here, there, old = Follower(), Follower(), Follower()
    old.version = served(version="5")
    here.show(answered("test").some(500, random))
    there.show(drifted("erosion 2x2", 700, random))
    old.show(drifted("erosion 2x2", 700, random))
    views = json.loads(json.dumps([each.watch.view() for each in (here, there, old)]))
    told = here.watch.joined(views)
    assert told is not None
    assert (told["state"], told["answers"]) == ("drift", 1200)
    kinds = [alarm["kind"] for alarm in told["alarms"]]
    assert len(kinds) == len(set(kinds))
    again = there.watch.joined([views[1], views[0], views[2]])
    assert again is not None
    assert again["alarms"] == told["alarms"]


def test_one_huge_request_is_one_look_at_its_last_images(random: np.random.Generator) -> None:
    follower = Follower()
    follower.show(answered("test").some(4096, random), rows=4096)
    assert follower.told()["answers"] == 1000


@pytest.mark.alone
def test_an_answer_costs_a_microsecond_at_most() -> None:
    assert microseconds() <= 1.0


def test_a_champion_without_a_reference_leaves_no_figures_of_the_last_one(
    random: np.random.Generator,
) -> None:
    follower = Follower()
    follower.show(drifted("erosion 2x2", 1000, random))
    assert score(follower, "appearance") > THRESHOLD
    assert "mnist_accuracy{" in follower.metrics.exposition()[0].decode()
    follower.version = served({}, version="7")
    follower.show(answered("test").some(100, random))
    assert score(follower, "appearance") == 0
    assert "mnist_accuracy{" not in follower.metrics.exposition()[0].decode()
