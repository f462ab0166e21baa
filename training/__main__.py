"""The ``train`` command; ``training.run`` has its stages.

What takes long to import is imported inside, where Ctrl-C already has its one line.
"""

from __future__ import annotations

import sys

from training.interrupt import Stopped, held, stoppable


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 0 on success, 1 on a failure told in one line, 2 on wrong usage.

    Stopped by Ctrl-C or SIGTERM it gives 130 or 143, as a shell does.
    """
    try:
        with stoppable():
            return _train(arguments)
    except Stopped as stopped:
        text = f"stopped by {stopped}; nothing was published"
        sys.stderr.write(f"train: {_with_notes(text, stopped)}\n")
        return stopped.exit_status


def _train(arguments: list[str] | None) -> int:
    with held():  # NumPy may crash where it is interrupted while it loads
        from service.cli.output import in_one_line
        from service.models.repository import RepositoryError
        from training.cli.flags import parse
        from training.errors import TrainingError
        from training.report import Report
        from training.run import train

    command = parse(arguments)
    try:
        with Report(sys.stdout) as report:
            train(command, report)
    except (TrainingError, RepositoryError) as error:
        return _fail(str(error), error)
    except OSError as error:
        return _fail(in_one_line(error), error)
    return 0


def _fail(text: str, error: BaseException) -> int:
    sys.stderr.write(f"train: {_with_notes(text, error)}\n")
    return 1


def _with_notes(text: str, error: BaseException) -> str:
    """One line of an error and of the notes that it got on its way."""
    return "; ".join((text, *getattr(error, "__notes__", ())))


if __name__ == "__main__":
    sys.exit(main())
