"""The command line of ``models``: its subcommands and their flags. ``answers`` runs them."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.cli.parser import Parser, add_models, add_version, parse, version_number
from training.onnx_import.forms import SCALES, scale_of

DESCRIPTION = "Lists, checks, promotes, compares, removes and imports the versions of a model."


def share(text: str) -> float:
    """Converts a number from 0 to 1; else raises ValueError."""
    if not 0 <= (number := float(text)) <= 1:
        raise ValueError(text)
    return number


def scale(text: str) -> str:
    """Returns the text if it is a scale of the import; else raises ValueError."""
    scale_of(text)
    return text


_NUMBER: dict[str, Any] = {"type": version_number, "metavar": "N", "help": "number of the version"}
_SWITCH: dict[str, Any] = {"action": "store_true"}
_STORE = "URL of the store (default: MNIST_STORE, or learning.sqlite beside the repository)"
_DATA = "folder of IDX files, or an .npz file, with the test images (default: MNIST)"
_SCALES = (
    f"scale of the pixels: {', '.join(SCALES)}, or MEAN,DEVIATION of "
    "pixels from 0 to 1; write --scale=-1..1 with the equals sign"
)
_ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "version": _NUMBER,
    "other": _NUMBER | {"metavar": "M"},
    "challenger": _NUMBER | {"nargs": "?"},
    "file": {"type": Path, "metavar": "FILE.onnx", "help": "the model"},
    "--data": {"type": Path, "metavar": "PATH", "help": _DATA},
    "--store": {"metavar": "URL", "help": _STORE},
    "--force": _SWITCH | {"help": "promote the version even if the gate rejects it"},
    "--promote": _SWITCH | {"help": "promote it if that is the verdict, and it passes the gate"},
    "--end": _SWITCH | {"help": "end the challenge"},
    "--canary": {
        "type": share,
        "default": 0.0,
        "metavar": "SHARE",
        "help": "share of the callers whom it answers, always the same ones (default: none)",
    },
    "--keep": _NUMBER | {"metavar": "K", "required": True, "help": "how many of the newest stay"},
    "--scale": {"type": scale, "metavar": "SCALE", "help": _SCALES},
}
_COMMANDS = {
    "list": "list the versions",
    "show": "print the card of a version: its origin and figures",
    "verify": "check a version again: hash, input and output, batches, accuracy on test images",
    "diff": "compare two versions on the same test images",
    "promote": "make a version champion if it serves and the gate finds it not worse",
    "challenge": "let a version answer in the shadow, or a share of the callers",
    "verdict": "print what labelled disagreements say about the challenger",
    "rollback": "make the previous champion champion again",
    "prune": "remove all versions but the champion, its challenger and the newest",
    "import": "check and measure an ONNX digit model from elsewhere and publish it as a version",
}
_TAKES = {
    "show": ("version",),
    "verify": ("version", "--data"),
    "diff": ("version", "other", "--data"),
    "promote": ("version", "--force", "--store", "--data"),
    "challenge": ("challenger", "--end", "--canary"),
    "verdict": ("--promote", "--force", "--store", "--data"),
    "prune": ("--keep",),
    "import": ("file", "--data", "--scale"),
}


def parse_command(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; ``command`` is the subcommand. Wrong usage exits with status 2."""
    parser = Parser(prog="models", description=DESCRIPTION)
    add_version(parser)
    add_models(parser)
    json = _SWITCH | {"help": "print JSON"}
    parser.add_argument("--json", **json)
    subparsers = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for command, text in _COMMANDS.items():
        one = subparsers.add_parser(command, help=text, description=f"{text[0].upper()}{text[1:]}.")
        add_models(one, inherited=True)
        one.add_argument("--json", **json, default=argparse.SUPPRESS)
        for name in _TAKES.get(command, ()):
            one.add_argument(name, **_ARGUMENTS[name])
    found = parse(parser, arguments)
    if found.command == "challenge":
        if found.end == (found.challenger is not None):
            parser.error("challenge: the number of a version, or --end, is expected")
        if found.end and found.canary:
            parser.error("--canary is for a version that challenges, not for --end")
    return found
