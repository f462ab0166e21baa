"""Traffic made of the champion's real answers, and what the service makes of it.

``python -m tests.bench.drift`` prints the tables of these simulations; the tests run parts of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from service.answer.quality import least_confidence
from service.drift.evidence import BLOCK, WINDOW
from service.drift.reference import STRATA, Reference, unsure
from service.drift.watch import Watch
from service.inference.batch import BatchResult, Result
from service.models.loader import Loaded
from service.models.repository import Repository
from service.observe.metrics import Metrics
from service.types import Images, Labels, Probabilities
from tests.service.imaging.champion import MODELS
from training.data.loading import load, split
from training.export.verify import answers
from training.measure.robustness import non_digits
from training.measure.robustness.corruptions import CORRUPTIONS

VERSION = Repository(MODELS).champion()
CARD = Repository(MODELS).card(VERSION)
THRESHOLD = least_confidence(CARD)
DRIFTS = {
    "rotation 25 degrees": "appearance",
    "blur 1 pixel": "appearance",
    "normal noise 0.25": "appearance",
    "contrast x 0.5": "appearance",
    "erosion 2x2": "appearance",
    "30 % ones": "labels",
    "10 % doodles": "no digits",
}
"""Each drift, and the kind that its first alarm should name."""
DAMAGES = [name for name in DRIFTS if name in CORRUPTIONS]


@dataclass(frozen=True)
class Answers:
    """The champion's probabilities (n, 10), digits (n,), -1 for none, and largest pixels (n,)."""

    probabilities: Probabilities
    labels: Labels
    largest: NDArray[np.uint8]

    def __getitem__(self, rows: Any) -> Answers:
        return Answers(self.probabilities[rows], self.labels[rows], self.largest[rows])

    @property
    def images(self) -> Images:
        """Images (n, 28, 28) with these largest pixels."""
        return np.repeat(self.largest, 784).reshape(-1, 28, 28)

    def reference(self) -> Reference:
        """The reference that a card would have of these answers."""
        found = Reference.of(self.images, self.probabilities, self.labels, THRESHOLD)
        assert found is not None
        return found

    def __len__(self) -> int:
        return len(self.labels)

    def some(self, count: int, random: Generator) -> Answers:
        """Draws answers with replacement."""
        return self[random.integers(0, len(self), count)]


def mixed(parts: list[Answers], random: Generator) -> Answers:
    """Joins answers in a random order."""
    rows = np.concatenate([each.probabilities for each in parts])
    labels = np.concatenate([each.labels for each in parts])
    largest = np.concatenate([each.largest for each in parts])
    return Answers(rows, labels, largest)[random.permutation(len(labels))]


def images(kind: str) -> tuple[Images, Labels]:
    """Held-out digits, test digits, damaged test digits, or doodles."""
    if kind == "doodles":
        return non_digits.doodles(1000, np.random.default_rng(7)), np.full(1000, -1)
    dataset = load()
    if kind == "held out":
        settings = CARD["settings"]
        parts = split(dataset, settings["validation_fraction"], settings["seed"])
        return parts.validation_images, parts.validation_labels
    if kind == "test":
        return dataset.test_images, dataset.test_labels
    return CORRUPTIONS[kind](dataset.test_images[::2]), dataset.test_labels[::2]


@cache
def answered(kind: str) -> Answers:
    """What the champion answers to :func:`images`."""
    pictures, labels = images(kind)
    found = answers(MODELS / "mnist" / str(VERSION) / "model.onnx", pictures)
    return Answers(found, labels, pictures.max(axis=(1, 2)))


def drifted(kind: str, count: int, random: Generator) -> Answers:
    """Draws the answers to so many images of one of ``DRIFTS``."""
    test = answered("test")
    if kind == "30 % ones":
        ones = random.binomial(count, 0.3)
        parts = [test[test.labels == 1].some(ones, random)]
        return mixed([*parts, test[test.labels != 1].some(count - ones, random)], random)
    if kind == "10 % doodles":
        doodles = random.binomial(count, 0.1)
        parts = [answered("doodles").some(doodles, random)]
        return mixed([*parts, test.some(count - doodles, random)], random)
    return answered(kind).some(count, random)


def served(card: Mapping[str, Any] = CARD, version: str = "6") -> Loaded:
    """A loaded version, of which only the card matters."""
    nothing: Any = None
    return Loaded(version, dict(card), None, nothing, nothing, THRESHOLD, nothing)


class Follower:
    """A watch on one version, to which answers are shown."""

    def __init__(self, card: Mapping[str, Any] = CARD) -> None:
        self.version, self.metrics = served(card), Metrics()
        self.metrics.serving("6", "", "", fallback=False)
        self.watch = Watch(lambda: self.version, self.metrics)
        self.shown = 0

    def show(self, answers: Answers, rows: int = BLOCK) -> None:
        """Shows answers in requests of so many rows, with the ids r0, r1 and so on."""
        for first in range(0, len(answers), rows):
            piece = answers[first : first + rows]
            batch = BatchResult(piece.images, piece.probabilities)
            result = Result(batch, slice(0, len(piece)), 0, 0)
            name = f"r{self.shown}".encode()
            self.watch.answered(name, "caller", self.version, result, None)
            self.shown += 1

    def told(self) -> dict[str, Any]:
        """What ``GET /drift`` answers."""
        found = self.watch.joined([self.watch.view()])
        assert found is not None
        return found

    def alarms(self) -> list[str]:
        """The kinds of the present alarms, the strongest first."""
        return [alarm["kind"] for alarm in self.told()["alarms"]]

    def count(self) -> float:
        """How many alarms there have been."""
        text = self.metrics.exposition()[0].decode()
        lines = [each for each in text.splitlines() if each.startswith("mnist_drift_alarms_total")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


def seen_after(kind: str, random: Generator) -> tuple[int, str]:
    """After how many drifted answers the first alarm came, up to 1,000, and its kind.

    A steady service meets the drift at any moment.
    """
    follower = Follower()
    follower.show(answered("test").some(1000 + int(random.integers(0, 1000)), random), rows=1)
    assert not follower.alarms()
    stream = drifted(kind, WINDOW, random)
    for first in range(0, WINDOW, 10):
        follower.show(stream[first : first + 10], rows=1)
        if found := follower.alarms():
            return first + 10, found[0]
    return WINDOW, "none"


def steady_alarms(services: int, random: Generator) -> float:
    """The false alarms of so many services, each in 10 windows and with a reference of its own.

    The answers to 13,000 held-out and test digits are dealt anew for each service: 3,000 are the
    reference, the others the traffic. Drawing with replacement would repeat what is odd in them.
    """
    pool, false = mixed([answered("held out"), answered("test")], random), 0.0
    for _ in range(services):
        pool = pool[random.permutation(len(pool))]
        held_out = pool[:3000]
        reference = held_out.reference()
        follower = Follower({"reference": reference.as_dict()})
        follower.show(pool[3000:])
        false += follower.count()
    return false


@dataclass(frozen=True)
class Week:
    """A week's true accuracy, and what the service says of it."""

    truth: float
    told: dict[str, Any]

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth."""
        covered: bool = self.told["low"] <= self.truth <= self.told["high"]
        return covered


TRAFFIC: dict[str, dict[str, float]] = {
    "test digits": {"test": 1.0},
    "a third damaged": {"test": 0.67, **dict.fromkeys(DAMAGES, 0.066)},
    "all eroded": {"erosion 2x2": 1.0},
    "5 % doodles": {"test": 0.95, "doodles": 0.05},
}
ORDERS = ("at random", "least sure first", "half and half")


def weeks(count: int, traffic: str, order: str, labelled: int, random: Generator) -> Iterator[Week]:
    """Weeks of 7,000 answers, a tenth of them captured, so many of those labelled in an order."""
    reference = Reference.from_card(CARD)
    assert reference is not None
    mix = TRAFFIC[traffic]
    for _ in range(count):
        sizes = random.multinomial(7000, list(mix.values()))
        parts = [answered(name).some(size, random) for name, size in zip(mix, sizes, strict=True)]
        week = mixed(parts, random)
        digits, how = unsure(week.probabilities)
        right = digits == week.labels
        window = reference.counted(digits[-WINDOW:], how[-WINDOW:])
        captured = random.permutation(7000)[:700]
        hardest = captured[np.argsort(-how[captured])]
        half = labelled // 2
        chosen = {
            "at random": captured[:labelled],
            "least sure first": hardest[:labelled],
            "half and half": np.unique([*hardest[:half], *captured[:half]]),
        }[order]
        labels = np.zeros((len(STRATA) + 1, 2))
        np.add.at(labels, (STRATA.searchsorted(how[chosen]), (~right[chosen]).astype(int)), 1)
        yield Week(float(right.mean()), reference.accuracy(window, labels))


def shares_error(kind: str, random: Generator) -> float:
    """By how much an estimated share of a digit is off at most, in a window of 1,000."""
    follower = Follower()
    stream = (
        drifted(kind, WINDOW, random) if kind in DRIFTS else answered(kind).some(WINDOW, random)
    )
    follower.show(stream)
    digits = stream.labels[stream.labels >= 0]
    true: NDArray[np.float64] = np.bincount(digits, minlength=10) / len(digits)
    return float(np.abs(np.array(follower.told()["shares"]) - true).max())
