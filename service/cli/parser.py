"""What the commands share: flags, and how they print, fail and end."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from service import __version__
from service.errors import Explained
from service.models.repository import parse_version
from service.store.store import FILE, SQLITE

VERSION = f"mnist-serve {__version__}"


class Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line. argparse alone prints a screen of usage before it."""

    def error(self, message: str) -> NoReturn:
        """Prints the line and exits with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds ``--version``."""
    text = "print the version of mnist-serve and exit"
    parser.add_argument("--version", action="version", version=VERSION, help=text)


def add_model(parser: Parser, where: argparse._ActionsContainer) -> None:
    """Adds ``--version N`` and, to ``where``, ``--models``."""
    text = "use version N instead of the champion; alone, print mnist-serve's version"
    parser.add_argument("--version", type=version_number, metavar="N", help=text)
    text = "the model repository (default: MNIST_MODELS, or models, or the packaged champion)"
    default = os.environ.get("MNIST_MODELS") or None
    where.add_argument("--models", type=Path, default=default, metavar="DIR", help=text)


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
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:
        print(VERSION)
        sys.exit()
    return parser.parse_args(words)


def run(name: str, work: Callable[[], int | None]) -> int:
    """Does the work of a command and returns its status: 1 after a failure, told in one line."""
    try:
        return work() or 0
    except BrokenPipeError:
        return 1  # the reader of the output has closed it
    except (Explained, OSError) as error:
        return fail(name, in_one_line(error) if isinstance(error, OSError) else str(error))
    except KeyboardInterrupt as stop:
        fail(name, "interrupted")
        return 128 + int(stop.args[0] if stop.args else signal.SIGINT)


def fail(name: str, why: str) -> int:
    """Tells why a command failed, or what to know of it, and returns the status of a failure."""
    print(f"{name}: {' '.join(why.split())}", file=sys.stderr, flush=True)
    return 1


def print_text(text: str) -> None:
    """Prints and flushes ``text``, escaped for the output; OSError if that is closed or full."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", "standard output")
    try:
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        # At exit the interpreter flushes once more: that must not fail with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error.filename = "standard output"
        raise


def in_one_line(error: OSError) -> str:
    """Returns the file and the reason of a failed system call."""
    why = error.strerror or str(error)
    return f"{error.filename}: {why}" if error.filename else why
