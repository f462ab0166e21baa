"""Fits the weights of the lattice: ``python -m tests.corpus.fit [--models DIR] [--count N]``.

The program splits strings of training images in every way, once. Then it makes one weight after
the other smaller or larger while that reads more strings right (coordinate descent). The final
weights, rounded, are in ``service.numbers.lattice``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.answer.quality import SURE_ENOUGH, least_confidence
from service.imaging.load import Picture
from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.numbers.lattice import WEIGHTS
from service.numbers.number import Number, segment
from service.types import Probabilities
from tests.corpus.digits import mnist
from tests.corpus.strings import apart, text_of, touching, uneven, with_a_sign

SEED = 1998
ROUNDS = 3
FACTORS = (0.5, 0.7, 1.4, 2.0)
_KINDS = ((apart, 4), (touching, 2), (touching, 3), (with_a_sign, 3), (uneven, 3))


@dataclass(frozen=True, slots=True)
class Example:
    """A string in pieces, the model's probabilities for the pieces, and the string's text."""

    kind: str
    number: Number
    probabilities: Probabilities
    text: str


def examples(runtime: Runtime, count: int) -> Iterator[Example]:
    """Yields ``count`` strings of each kind."""
    random = np.random.default_rng(SEED)
    shapes = mnist(5000, SEED, "train")
    for make, length in _KINDS:
        for _ in range(count):
            grey, text = make(shapes, length, random)
            number = segment(Picture(grey, (grey.shape[1], grey.shape[0])))
            number = number.cut(np.zeros((len(number.images), 10), np.float32))  # all are unsure
            yield Example(f"{length} {make.__name__}", number, runtime.run(number.images), text)


def right(
    strings: Sequence[Example], least: float, weights: Mapping[str, float]
) -> dict[str, float]:
    """Returns the share of strings of each kind that is read right, in per cent."""
    hits: dict[str, list[bool]] = {}
    for one in strings:
        read = text_of(one.number.read(one.probabilities, least, weights))
        hits.setdefault(one.kind, []).append(read == one.text)
    return {kind: 100 * float(np.mean(found)) for kind, found in hits.items()}


def fit(strings: Sequence[Example], least: float) -> Iterator[tuple[str, float, dict[str, float]]]:
    """Yields each better weight: its name, its value and the shares that are read right."""
    weights = dict(WEIGHTS)
    most = sum(right(strings, least, weights).values())
    for _ in range(ROUNDS):
        for name in WEIGHTS:
            for factor in FACTORS:
                tried = {**weights, name: weights[name] * factor}
                read = right(strings, least, tried)
                if sum(read.values()) > most:
                    weights, most = tried, sum(read.values())
                    yield name, weights[name], read


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints each better weight and the shares that are read right."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus.fit", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--count", type=int, default=150, help="strings of each kind")
    options = parser.parse_args(arguments)
    repository = Repository(options.models)
    version = repository.champion()
    least = SURE_ENOUGH * least_confidence(repository.card(version))
    runtime = Runtime.load(repository.read_model(version), provider="cpu")
    strings = list(examples(runtime, options.count))
    print("current weights", right(strings, least, WEIGHTS), flush=True)
    for name, weight, read in fit(strings, least):
        print(f"{name:<22}{weight:>7.2f}  {read}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
