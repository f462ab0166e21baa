"""Prints the accuracy by kind of picture: ``python -m tests.corpus [--models DIR] [--count N]``.

With ``--strings`` it prints instead how many whole numbers are read as ``POST /read`` does.

Each kind is made from MNIST test images, and most also from digits of other writers, drawn anew
with a fixed seed. The first row of each source is the model on shapes that were given to it in its
own form, without any picture between: no kind can be much better than that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np

from service.decode import Images, Limits
from service.doubt import doubts, least_confidence
from service.picture.look import look
from service.picture.normalise import normalise
from service.picture.open import open_picture
from service.repository import Repository
from service.routes.read import SURE_ENOUGH
from service.runtime import Runtime
from tests.corpus.digits import Shape, mnist, other_writers
from tests.corpus.kinds import KINDS, Kind
from tests.corpus.strings import string_rows

SEED = 2026


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind fared; accuracy and doubtful in per cent of ``count`` pictures."""

    name: str
    source: str
    count: int
    accuracy: float
    doubtful: float
    milliseconds: float
    target: float | None


def rows(runtime: Runtime, least: float, count: int, kinds: Sequence[Kind] = KINDS) -> list[Row]:
    """One row for each source and kind, from ``count`` digits of each source."""
    table = []
    for source, shapes in (
        ("MNIST", mnist(count, SEED)),
        ("others", other_writers(count, SEED)),
    ):
        given = np.array([normalise(ink, ink > 100, 100) for ink in map(_bytes, shapes)])
        table.append(_row(runtime, least, shapes, given, name="(as given)", source=source))
        table += [
            measured(runtime, least, kind, shapes, source)
            for kind in kinds
            if not kind.draws or source == "MNIST"
        ]
    return table


def measured(
    runtime: Runtime, least: float, kind: Kind, shapes: Sequence[Shape], source: str
) -> Row:
    """One kind, made from ``shapes`` and read."""
    random = np.random.default_rng(SEED)
    images = np.empty((len(shapes), 28, 28), np.uint8)
    seconds = 0.0
    for index, shape in enumerate(shapes):
        body = kind.make(shape, random)
        start = process_time()
        images[index] = look(open_picture(body, Limits())).image
        seconds += process_time() - start
    target = kind.target if source == "MNIST" else None
    milliseconds = 1000 * seconds / len(shapes)
    return _row(
        runtime,
        least,
        shapes,
        images,
        name=kind.name,
        source=source,
        milliseconds=milliseconds,
        target=target,
    )


def _row(
    runtime: Runtime,
    least: float,
    shapes: Sequence[Shape],
    images: Images,
    *,
    name: str,
    source: str,
    milliseconds: float = 0.0,
    target: float | None = None,
) -> Row:
    probabilities = runtime.run(images)
    right = probabilities.argmax(axis=1) == [shape.label for shape in shapes]
    doubtful = [bool(found) for found in doubts(images, probabilities, least)]
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
    """Prints the table; 1 where a kind of MNIST's digits is below its target."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", type=Path, help="a model file, instead of the champion")
    parser.add_argument("--count", type=int, default=300, help="digits of each source")
    parser.add_argument("--kinds", nargs="*", help="the kinds to make (default: all)")
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
    kinds = [kind for kind in KINDS if not options.kinds or kind.name in options.kinds]
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
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
