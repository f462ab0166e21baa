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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np

from service.answer.quality import SURE_ENOUGH, doubts, least_confidence
from service.decode.pictures import picture_doubts
from service.imaging.load import open_picture
from service.imaging.normalise import normalise
from service.imaging.pipeline import Seen, preprocess
from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.types import Images, Limits
from tests.corpus.digits import Shape, mnist, other_writers
from tests.corpus.kinds import KINDS, Kind, Random
from tests.corpus.non_digits import NON_DIGITS
from tests.corpus.strings import string_rows

SEED = 2026


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one kind: accuracy and doubtful are in per cent of ``count`` pictures."""

    name: str
    source: str
    count: int
    accuracy: float
    doubtful: float
    milliseconds: float
    target: float | None


def rows(
    runtime: Runtime, least: float, count: int, kinds: Sequence[Kind] = KINDS
) -> Iterator[Row]:
    """Yields one row per source and kind, each measured on ``count`` digits."""
    for source, shapes in (
        ("MNIST", mnist(count, SEED)),
        ("others", other_writers(count, SEED)),
    ):
        given = np.array([normalise(ink, ink > 100, 100) for ink in map(_bytes, shapes)])
        yield _row(runtime, least, shapes, given, name="(as given)", source=source)
        for kind in kinds:
            if not kind.draws or source == "MNIST":
                yield measured(runtime, least, kind, shapes, source)


def measured(
    runtime: Runtime, least: float, kind: Kind, shapes: Sequence[Shape], source: str
) -> Row:
    """Draws one kind from ``shapes`` and measures it."""
    random = np.random.default_rng(SEED)
    seen, milliseconds = _looked_at(kind.make(shape, random) for shape in shapes)
    images = np.array([one.image for one in seen])
    target = kind.target if source == "MNIST" else None
    return _row(
        runtime,
        least,
        shapes,
        images,
        name=kind.name,
        source=source,
        known=picture_doubts(seen),
        milliseconds=milliseconds,
        target=target,
    )


def doubted(
    runtime: Runtime, least: float, make: Callable[[Random], bytes], count: int
) -> tuple[float, float]:
    """Returns the doubted share of ``count`` pictures without a digit, in %, and CPU ms of each."""
    random = np.random.default_rng(SEED)
    seen, milliseconds = _looked_at(make(random) for _ in range(count))
    images = np.array([one.image for one in seen])
    found = doubts(images, runtime.run(images), least, picture_doubts(seen))
    return 100 * sum(map(bool, found)) / count, milliseconds


def _looked_at(bodies: Iterator[bytes]) -> tuple[list[Seen], float]:
    """Locates the digit in each picture. Returns the results and the mean CPU milliseconds."""
    seen, seconds = [], 0.0
    for body in bodies:
        start = process_time()
        seen.append(preprocess(open_picture(body, Limits())))
        seconds += process_time() - start
    return seen, 1000 * seconds / len(seen)


def _row(
    runtime: Runtime,
    least: float,
    shapes: Sequence[Shape],
    images: Images,
    *,
    name: str,
    source: str,
    known: Sequence[tuple[str, ...] | None] | None = None,
    milliseconds: float = 0.0,
    target: float | None = None,
) -> Row:
    probabilities = runtime.run(images)
    right = probabilities.argmax(axis=1) == [shape.label for shape in shapes]
    doubtful = [bool(found) for found in doubts(images, probabilities, least, known)]
    return Row(
        name,
        source,
        len(shapes),
        100 * float(right.mean()),
        100 * float(np.mean(doubtful)),
        milliseconds,
        target,
    )


def _bytes(shape: Shape) -> Images:
    return (shape.ink * 255).astype(np.uint8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table. Returns 1 if a kind of MNIST's digits is below its target."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", type=Path, help="a model file, instead of the champion")
    parser.add_argument("--count", type=int, default=300, help="digits of each source")
    names = [kind.name for kind in KINDS]
    told = "the kinds to make (default: all); none after it: shapes as given alone"
    parser.add_argument("--kinds", nargs="*", choices=names, metavar="KIND", help=told)
    parser.add_argument("--strings", action="store_true", help="numbers of 1 to 8 digits instead")
    parser.add_argument("--training", action="store_true", help="strings of training images")
    options = parser.parse_args(arguments)
    repository = Repository(options.models)
    version = repository.champion()
    model = options.model or repository.read_model(version)
    least = least_confidence(repository.card(version))
    runtime = Runtime.load(model, provider="cpu")
    if options.strings:
        print(f"{'string':<16}{'count':>6}{'right %':>9}{'CPU ms':>8}")
        subset = "train" if options.training else "t10k"
        for one in string_rows(runtime, SURE_ENOUGH * least, options.count, SEED, subset):
            figures = f"{one.count:>6}{one.accuracy:>9.2f}{one.milliseconds:>8.1f}"
            print(f"{one.name:<16}{figures}", flush=True)
        return 0
    kinds = [kind for kind in KINDS if options.kinds is None or kind.name in options.kinds]
    print(f"{'kind':<16}{'digits':<8}{'count':>6}{'right %':>9}{'doubtful %':>12}{'CPU ms':>8}")
    missed = 0
    for row in rows(runtime, least, options.count, kinds):
        below = row.target is not None and row.accuracy < row.target
        missed += below
        print(
            f"{row.name:<16}{row.source:<8}{row.count:>6}{row.accuracy:>9.2f}"
            f"{row.doubtful:>12.2f}{row.milliseconds:>8.1f}"
            + (f"  below {row.target:g}" if below else ""),
            flush=True,
        )
    if options.kinds is None:
        print(f"\n{'no digit':<24}{'count':>6}{'':>9}{'doubtful %':>12}{'CPU ms':>8}")
        for make in NON_DIGITS:
            share, milliseconds = doubted(runtime, least, make, options.count)
            name = make.__name__.replace("_", " ")
            figures = f"{options.count:>6}{'':>9}{share:>12.2f}{milliseconds:>8.1f}"
            print(f"{name:<24}{figures}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
