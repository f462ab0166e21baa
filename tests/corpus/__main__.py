"""Prints the accuracy by kind of picture: ``python -m tests.corpus [--models DIR] [--count N]``.

Then it prints, for pictures without a digit, the share that the service doubts.
With ``--strings`` it prints instead the share of whole numbers that ``POST /read`` reads right.

It draws each kind from MNIST test images, and most also from digits of other writers, with a
fixed seed. The first row of each source is the accuracy on the shapes in the model's input format,
without a picture: it is about the best that any kind can reach.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time

import numpy as np

from service.answer.quality import SURE_ENOUGH, doubts, least_confidence
from service.decode.pictures import picture_doubts
from service.imaging.load import open_picture
from service.imaging.normalise import normalise
from service.imaging.pipeline import preprocess
from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.types import Images, Limits, Probabilities
from tests.corpus.digits import mnist, other_writers
from tests.corpus.kinds import KINDS, Kind
from tests.corpus.non_digits import NON_DIGITS
from tests.corpus.strings import string_rows

SEED = 2026
SOURCES = {"MNIST": mnist, "others": other_writers}
Known = Sequence[tuple[str, ...] | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table; returns 1 if a kind of MNIST's digits misses its target."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", type=Path, help="a model file, instead of the champion")
    parser.add_argument("--count", type=int, default=300, help="digits of each source")
    names = [kind.name for kind in KINDS]
    which = "the kinds to make (default: all); without a name: only the shapes themselves"
    parser.add_argument("--kinds", nargs="*", choices=names, metavar="KIND", help=which)
    parser.add_argument("--strings", action="store_true", help="numbers of 1 to 8 digits instead")
    parser.add_argument("--training", action="store_true", help="strings of training images")
    options = parser.parse_args(arguments)
    repository = Repository(options.models)
    version = repository.champion()
    runtime = Runtime.load(options.model or repository.read_model(version), provider="cpu")
    least = least_confidence(repository.card(version))
    if options.strings:
        print(f"{'string':<16}{'count':>6}{'right %':>9}{'CPU ms':>8}")
        subset = "train" if options.training else "t10k"
        for row in string_rows(runtime, SURE_ENOUGH * least, options.count, SEED, subset):
            print(row, flush=True)
        return 0
    kinds = [kind for kind in KINDS if options.kinds is None or kind.name in options.kinds]
    print(f"{'kind':<16}{'digits':<8}{'count':>6}{'right %':>9}{'doubtful %':>12}{'CPU ms':>8}")
    missed = sum([print_kinds(runtime, least, options.count, kinds, name) for name in SOURCES])
    if options.kinds is None:
        print(f"\n{'no digit':<24}{'count':>6}{'':>9}{'doubtful %':>12}{'CPU ms':>8}")
        for make in NON_DIGITS:
            random = np.random.default_rng(SEED)
            images, known, ms = preprocessed(make(random) for _ in range(options.count))
            share = doubted(images, runtime.run(images), least, known)
            name = make.__name__.replace("_", " ")
            print(f"{name:<24}{options.count:>6}{'':>9}{share:>12.2f}{ms:>8.1f}", flush=True)
    return 1 if missed else 0


def print_kinds(
    runtime: Runtime, least: float, count: int, kinds: Sequence[Kind], source: str
) -> int:
    """Prints a row for each kind of ``count`` digits; returns how many miss their targets."""
    shapes = SOURCES[source](count, SEED)
    missed = 0
    for kind in (None, *kinds):
        if kind is None:
            inks = [(shape.ink * 255).astype(np.uint8) for shape in shapes]
            images, known, ms = (
                np.array([normalise(ink, ink > 100, 100) for ink in inks]),
                None,
                0.0,
            )
        elif kind.draws and source != "MNIST":
            continue
        else:
            random = np.random.default_rng(SEED)
            images, known, ms = preprocessed(kind.make(shape, random) for shape in shapes)
        probabilities = runtime.run(images)
        right = probabilities.argmax(axis=1) == [shape.label for shape in shapes]
        accuracy = 100 * float(right.mean())
        is_below = kind is not None and source == "MNIST" and accuracy < kind.target
        missed += is_below
        print(
            f"{kind.name if kind else '(as given)':<16}{source:<8}{len(shapes):>6}{accuracy:>9.2f}"
            f"{doubted(images, probabilities, least, known):>12.2f}{ms:>8.1f}"
            + (f"  below {kind.target:g}" if kind and is_below else ""),
            flush=True,
        )
    return missed


def doubted(
    images: Images, probabilities: Probabilities, least: float, known: Known | None
) -> float:
    """Returns how many images the service doubts, in per cent."""
    return 100 * float(np.mean([bool(one) for one in doubts(images, probabilities, least, known)]))


def preprocessed(bodies: Iterator[bytes]) -> tuple[Images, Known, float]:
    """Returns the images, the doubts about the pictures, and the CPU milliseconds for each."""
    seen, seconds = [], 0.0
    for body in bodies:
        start = process_time()
        seen.append(preprocess(open_picture(body, Limits())))
        seconds += process_time() - start
    images = np.array([one.image for one in seen])
    return images, picture_doubts(seen), 1000 * seconds / len(seen)


if __name__ == "__main__":
    sys.exit(main())
