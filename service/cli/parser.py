"""What the command lines of ``serve``, ``predict``, ``train`` and ``models`` share."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from service import __version__
from service.models.repository import parse_version
from service.store.store import FILE, SQLITE

VERSION = f"mnist-serve {__version__}"


class Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line. argparse alone prints a screen of usage before it."""

    def error(self, message: str) -> NoReturn:
        """Prints the line and exits with status 2."""
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        sys.exit(2)


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds ``--version``."""
    text = "print the version of mnist-serve and exit"
    parser.add_argument("--version", action="version", version=VERSION, help=text)


def default_models() -> Path:
    """Returns the model repository if no flag names one."""
    return Path(os.environ.get("MNIST_MODELS") or "models")


def default_store(models: Path) -> str:
    """Returns the URL of the store of a service on this repository, "none" for none."""
    return os.environ.get("MNIST_STORE") or f"{SQLITE}{models / FILE}"


def add_models(parser: argparse._ActionsContainer, *, inherited: bool = False) -> None:
    """Adds ``--models``. The default of a subcommand's ``inherited`` flag is the command's."""
    default = argparse.SUPPRESS if inherited else default_models()
    text = "folder of the model repository (default: the value of MNIST_MODELS, or models)"
    parser.add_argument("--models", type=Path, default=default, metavar="DIR", help=text)


def version_number(text: str) -> int:
    """Converts an argument; wrong usage unless it is 1, 2, 3, ..."""
    number = parse_version(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def parse(parser: Parser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line, or prints completions for ``register-python-argcomplete``."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    return parser.parse_args(arguments)
