"""The ``models`` command: looks after the model repository. See ``training.cli.subcommands``.

Runs with what serving needs: no Keras, no TensorFlow, no onnx. What takes long to import is
imported inside, where Ctrl-C already has its one line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from training.interrupt import Stopped, held, stoppable


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 0 on success, 1 on a failure told in one line, 2 on wrong usage."""
    try:
        with stoppable():  # so that what runs beside this process is ended with it
            return _run(arguments)
    except Stopped as stopped:
        _fail("interrupted")
        return stopped.exit_status


def _run(arguments: Sequence[str] | None) -> int:
    with held():  # NumPy may crash where it is interrupted while it loads
        from service.models.repository import RepositoryError
        from training.cli.subcommands import answer, parse
        from training.cli.usage import in_one_line
        from training.errors import TrainingError

    options = parse(arguments)
    try:
        found = answer(options)
        text = json.dumps(found.report, indent=2) if options.json else "\n".join(found.lines)
        print(text, flush=True)
    except (TrainingError, RepositoryError) as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read the output has gone; the interpreter shall not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(in_one_line(error))
    return _fail(found.damage) if found.damage else 0


def _fail(why: str) -> int:
    print(f"models: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
