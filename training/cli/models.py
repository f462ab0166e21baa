"""The ``models`` command: looks after the model repository.

It needs what serving needs: no Keras, no TensorFlow, no onnx. It imports slow libraries late, so
that ``--help`` and completion are fast and Ctrl-C ends in one line.
"""

import json
import sys
from collections.abc import Sequence

from service.cli.parser import in_one_line, print_text
from training.interrupt import Stopped, held, stoppable


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, 1 after a failure, 130 after Ctrl-C, 143 after SIGTERM."""
    try:
        with stoppable():
            return _run(arguments)
    except Stopped as stopped:
        _fail("interrupted")
        return stopped.exit_status


def _run(arguments: Sequence[str] | None) -> int:
    from training.cli.subcommands import parse_command

    options = parse_command(arguments)
    try:
        with held():  # NumPy can crash if a signal interrupts its import
            from service.models.repository import NoChampion, RepositoryError
            from training.cli.answers import answer
            from training.errors import TrainingError
    except ImportError as error:
        return _fail(f"{error.name} is not installed; run: pip install 'mnist-serve[cpu]'")
    try:
        report, lines = answer(options)
    except NoChampion as error:
        return _fail(f"{error}; `models promote N` makes version N champion")
    except (TrainingError, RepositoryError, OSError) as error:
        text = in_one_line(error) if isinstance(error, OSError) else str(error)
        if isinstance(error.__cause__ or error, PermissionError):
            text += "; run this as the owner of the files, or change their permissions"
        return _fail(text)
    try:
        print_text(json.dumps(report, indent=2) if options.json else "\n".join(lines))
    except BrokenPipeError:
        return 1
    except OSError as error:
        return _fail(in_one_line(error))
    return 0


def _fail(why: str) -> int:
    print(f"models: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
