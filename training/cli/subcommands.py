"""The command line of ``models``: its subcommands and their flags. ``answers`` runs them."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from service.cli.parser import Parser, add_models, add_version, parse, version_number
from service.models.repository import Repository, RepositoryError
from training.measure.compare import MARGIN
from training.onnx_import.forms import SCALES, scale_of

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"

DESCRIPTION = "Lists, checks, promotes, compares, removes and imports the versions of a model."


def parse_command(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; ``command`` is the subcommand. Wrong usage exits with status 2."""
    parser = Parser(prog="models", description=DESCRIPTION)
    add_version(parser)
    add_models(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, failures included")
    subparsers = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    _add_questions(subparsers)
    _add_changes(subparsers)
    _add_import(subparsers)
    options = parse(parser, arguments)
    if options.command == "challenge" and options.end and options.canary:
        parser.error("--canary is for a version that challenges, not for --end")
    return options


def _add_questions(subparsers: Subparsers) -> None:
    """Adds the subcommands that change nothing."""
    _add(subparsers, "list", "list the versions, and the checkpoints of interrupted runs")
    _add_version(_add(subparsers, "show", "print the card of a version: its origin and figures"))

    text = "check a version again: hash, input and output, batches, accuracy on the test images"
    verify = _add(subparsers, "verify", text)
    _add_version(verify)
    _add_data(verify)

    diff = _add(subparsers, "diff", "compare two versions on the same test images")
    _add_version(diff)
    _add_version(diff, "other", "M", help="number of the other version")
    _add_data(diff)

    text = "print mean and spread of the figures of runs that differ only in their seed"
    spread = _add(subparsers, "spread", text)
    _add_version(spread, "versions", nargs="+", help="numbers of two or more versions")


def _add_changes(subparsers: Subparsers) -> None:
    """Adds the subcommands that change the champion or remove files."""
    text = "make a version champion if it passes the gate: it serves, and is shown not to be worse"
    promote = _add(subparsers, "promote", text)
    _add_version(promote)
    text = "promote the version even if the gate rejects it"
    promote.add_argument("--force", action="store_true", help=text)
    text = "how much less accurate than the champion it may be (default: %(default)s)"
    promote.add_argument("--margin", type=_fraction, default=MARGIN, metavar="FRACTION", help=text)
    _add_store(promote)
    _add_data(promote)

    text = "let a version challenge the champion: in the shadow, or with a share of the callers"
    challenge = _add(subparsers, "challenge", text)
    one = challenge.add_mutually_exclusive_group(required=True)
    _add_version(one, nargs="?")
    one.add_argument("--end", action="store_true", help="end the challenge")
    text = "share of the callers whom it answers, always the same ones (default: none)"
    challenge.add_argument("--canary", type=_fraction, default=0.0, metavar="SHARE", help=text)

    text = "print what labelled disagreements say about the challenger"
    verdict = _add(subparsers, "verdict", text)
    _add_store(verdict)
    text = "promote the challenger if that is the verdict, and if it passes the gate"
    verdict.add_argument("--promote", action="store_true", help=text)
    text = "promote it even if the gate rejects it"
    verdict.add_argument("--force", action="store_true", help=text)
    _add_data(verdict)
    verdict.set_defaults(margin=MARGIN)

    rollback = _add(subparsers, "rollback", "make the previous champion champion again")
    text = "number of champions to go back (default: 1)"
    rollback.add_argument(
        "steps", type=version_number, nargs="?", default=1, metavar="STEPS", help=text
    )

    text = "remove old versions, or the checkpoints of interrupted runs"
    one = _add(subparsers, "prune", text).add_mutually_exclusive_group(required=True)
    text = "keep the champion and the newest K versions, remove the others"
    one.add_argument("--keep", type=version_number, metavar="K", help=text)
    text = "remove the checkpoints of interrupted runs in this folder; those runs cannot be resumed"
    one.add_argument("--checkpoints", type=Path, metavar="DIR", help=text)


def _add_import(subparsers: Subparsers) -> None:
    text = "check and measure an ONNX digit model from elsewhere and publish it as a version"
    parser = _add(subparsers, "import", text)
    parser.add_argument("file", type=Path, metavar="FILE.onnx", help="the model")
    _add_data(parser)
    text = (
        f"scale of the pixels: {', '.join(SCALES)}, or MEAN,DEVIATION of pixels from 0 to 1; "
        "write --scale=-1..1 with the equals sign (default: the one that fits best)"
    )
    parser.add_argument("--scale", type=_scale, metavar="SCALE", help=text)
    text = "name of the output with the digits (default: the one that fits best)"
    parser.add_argument("--output", metavar="NAME", help=text)


def _add(subparsers: Subparsers, name: str, text: str) -> Parser:
    """Adds a subcommand with the flags that all have."""
    parser = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    add_models(parser, inherited=True)
    text, suppress = "print JSON, failures included", argparse.SUPPRESS
    parser.add_argument("--json", action="store_true", default=suppress, help=text)
    return parser


def _add_version(
    parser: argparse._ActionsContainer, name: str = "version", metavar: str = "N", **options: Any
) -> None:
    options = {"type": version_number, "help": "number of the version", **options}
    action = parser.add_argument(name, metavar=metavar, **options)
    action.completer = _versions  # type: ignore[attr-defined]  # argcomplete calls it


def _add_store(parser: Parser) -> None:
    text = "URL of the store (default: MNIST_STORE, or learning.sqlite beside the repository)"
    parser.add_argument("--store", metavar="URL", help=text)


def _add_data(parser: Parser) -> None:
    text = "folder of IDX files, or an .npz file, with the test images (default: MNIST)"
    parser.add_argument("--data", type=Path, metavar="PATH", help=text)


def _versions(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    try:
        return [str(version) for version in Repository(parsed_args.models).versions()]
    except RepositoryError:
        return []


def _scale(text: str) -> str:
    try:
        scale_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a scale") from error
    return text


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number
