"""What the command lines of ``train`` and ``models`` share."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Tells wrong usage in one line, where argparse first prints the usage, a screen long."""

    def error(self, message: str) -> NoReturn:
        """Ends with status 2."""
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        sys.exit(2)


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of the model repository."""
    default = Path(os.environ.get("MNIST_MODELS") or "models")
    told = "the model repository (default: MNIST_MODELS, or models)"
    parser.add_argument("--models", type=Path, default=default, metavar="DIR", help=told)


def in_one_line(error: OSError) -> str:
    """What the system refused, and of which file."""
    why = error.strerror or str(error)
    return f"{error.filename}: {why}" if error.filename else why
