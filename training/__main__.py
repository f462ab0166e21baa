"""The ``train`` command; ``training.run`` has its steps.

Slow imports happen inside the functions, after the handlers for Ctrl-C and SIGTERM are in place.
"""

import sys

from training.interrupt import Stopped, held, stoppable


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns 0, 1 after a failure, 130 after Ctrl-C, 143 after SIGTERM."""
    try:
        with stoppable():
            return _train(sys.argv[1:] if arguments is None else arguments)
    except Stopped as stopped:
        _fail(f"stopped by {stopped}; nothing was published", stopped)
        return stopped.exit_status


def _train(arguments: list[str]) -> int:
    with held():  # an interrupted import can crash NumPy
        from service.cli.parser import in_one_line
        from service.models.repository import RepositoryError
        from training.cli.flags import parse, words_of_one
        from training.errors import TrainingError
        from training.network.load_tensorflow import require_packages

    options, words = parse(arguments), words_of_one(arguments)
    try:
        require_packages()
        with held():
            from training.report import Report
            from training.run import train
            from training.search.seeds import train_seeds
            from training.search.trials import search
        with Report(sys.stdout) as report:
            if options.seeds:
                report.promote(*train_seeds(options, words, report), options)
            elif options.search:
                search(options.search, options, words, report)
            else:
                train(options, report)
    except (TrainingError, RepositoryError, OSError) as error:
        return _fail(in_one_line(error) if isinstance(error, OSError) else str(error), error)
    return 0


def _fail(text: str, error: BaseException) -> int:
    """Writes the text and the error's notes to standard error in one line."""
    line = "; ".join((text, *getattr(error, "__notes__", ())))
    sys.stderr.write(f"train: {line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
