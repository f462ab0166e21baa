"""The words of the ``models`` command, one function each: its flags, and what it calls."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from service.models.repository import Repository, RepositoryError, parse_version
from training.cli.importing import import_file
from training.cli.usage import Parser, add_models
from training.measure.spread import spread
from training.onnx_import.options import ANSWERS, INKS, LAYOUTS, SCALES, SIZES, Wishes, scale_of
from training.registry import operations
from training.registry.operations import Answer

Words: TypeAlias = "argparse._SubParsersAction[Parser]"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; ends with status 2 and one line where it cannot be used."""
    return _parser().parse_args(arguments)


def answer(options: argparse.Namespace) -> Answer:
    """Does what was asked for.

    Raises:
        TrainingError, RepositoryError: it cannot be done; one line says why.
    """
    repository = Repository(options.models)
    if not (options.publishes or options.checkpoints or repository.folder.is_dir()):
        raise RepositoryError(
            f"{repository.folder} is not there: no model was ever published to it (see --models)"
        )
    done: Answer = options.run(repository, options)
    return done


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="models", description="Looks after the model repository.")
    words = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_list, _show, _verify, _promote, _rollback, _diff, _spread, _prune, _import):
        add(words)
    return parser


def _list(words: Words) -> None:
    _add(words, "list", "list the versions", lambda r, _: operations.listed(r))


def _show(words: Words) -> None:
    word = _add(words, "show", "show a version's card", lambda r, o: operations.show(r, o.version))
    _add_version(word)


def _verify(words: Words) -> None:
    told = "prove a version again: hash, ends, batches, accuracy on the test images"
    word = _add(words, "verify", told, lambda r, o: operations.verify(r, o.version, o.data))
    _add_version(word)
    _add_data(word)


def _promote(words: Words) -> None:
    word = _add(
        words,
        "promote",
        "make a version champion, past the gate",
        lambda r, o: operations.promote_past_gate(r, o.version, o.tolerance, force=o.force),
    )
    _add_version(word)
    word.add_argument("--force", action="store_true", help="whatever the gate says")
    told = "how far the test accuracy may be below the champion's (default: 0)"
    word.add_argument("--tolerance", type=_fraction, default=0.0, metavar="FRACTION", help=told)


def _rollback(words: Words) -> None:
    told = "make the champion before champion again"
    word = _add(words, "rollback", told, lambda r, o: operations.rollback(r, o.steps))
    told = "how many champions to go back (default: 1)"
    word.add_argument("steps", type=_count, nargs="?", default=1, metavar="STEPS", help=told)


def _diff(words: Words) -> None:
    told = "compare two versions on the same test images"
    word = _add(words, "diff", told, lambda r, o: operations.diff(r, o.version, o.other, o.data))
    _add_version(word)
    word.add_argument("other", type=_version, metavar="M", help="another version")
    _add_data(word)


def _spread(words: Words) -> None:
    told = "mean and spread of the figures of runs that differ in their seeds"
    word = _add(words, "spread", told, lambda r, o: spread(r, o.versions))
    told = "their numbers, two or more"
    word.add_argument("versions", type=_version, nargs="+", metavar="N", help=told)


def _prune(words: Words) -> None:
    word = _add(
        words,
        "prune",
        "remove all but the newest versions and the champion, or what stopped runs keep",
        lambda r, o: (
            operations.prune(r, o.keep) if o.keep else operations.prune_checkpoints(o.checkpoints)
        ),
    )
    one = word.add_mutually_exclusive_group(required=True)
    one.add_argument("--keep", type=_count, metavar="K", help="how many versions to keep")
    told = "remove the checkpoints of stopped runs in this folder, so that none can go on"
    one.add_argument("--checkpoints", type=Path, metavar="DIR", help=told)


def _import(words: Words) -> None:
    word = _add(
        words,
        "import",
        "publish an ONNX digit model from elsewhere, once it is measured and proved",
        lambda r, o: import_file(r, o.file, Wishes.of(vars(o)), o.data),
    )
    word.set_defaults(publishes=True)
    word.add_argument("file", type=Path, metavar="FILE.onnx", help="the model to take in")
    fixed = word.add_argument_group("what shall not be found out by measuring")
    told = "shape of the images: [n,1,28,28], [n,28,28,1], [n,784] or [n,28,28]"
    fixed.add_argument("--layout", choices=list(LAYOUTS), help=told)
    told = "what is done to images where the model wants larger ones"
    fixed.add_argument("--size", choices=SIZES[1:], help=told)
    names = ", ".join(scale.name for scale in SCALES)
    told = f"{names}, or MEAN,DEVIATION of pixels from 0 to 1; --scale=-1..1 needs the sign ="
    fixed.add_argument("--scale", type=_scale, metavar="SCALE", help=told)
    fixed.add_argument("--ink", choices=INKS, help="what the digits look like to the model")
    fixed.add_argument("--output", metavar="NAME", help="the output to take")
    fixed.add_argument("--answer", choices=ANSWERS, help="what that output is")
    _add_data(word)


def _add(
    words: Words, name: str, told: str, run: Callable[[Repository, argparse.Namespace], Answer]
) -> argparse.ArgumentParser:
    """A word with what every word has."""
    word = words.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
    word.set_defaults(run=run, publishes=False, checkpoints=None)
    add_models(word)
    word.add_argument("--json", action="store_true", help="answer in JSON")
    return word


def _add_version(word: argparse.ArgumentParser) -> None:
    word.add_argument("version", type=_version, metavar="N", help="a version's number")


def _add_data(word: argparse.ArgumentParser) -> None:
    told = "folder of IDX files, or .npz, to take the test images from (default: MNIST)"
    word.add_argument("--data", type=Path, metavar="PATH", help=told)


def _version(text: str) -> int:
    number = parse_version(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version: 1, 2, 3, ...")
    return number


def _count(text: str) -> int:
    number = parse_version(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _scale(text: str) -> str:
    try:
        scale_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no scale") from error
    return text


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number
