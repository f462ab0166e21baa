"""The ``score`` command: classifies any number of images into a file."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from service.cli.parser import Parser, add_model, fail, parse, print_text, run, version_number
from service.models.repository import Repository, default_root

FORMS = (".parquet", ".csv", ".jsonl", ".ndjson")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 after a failure that one line explains, or exits with 2."""
    parser = _parser()
    options = parse(parser, arguments)
    if options.out.suffix not in FORMS:
        parser.error(f"--out: a name that ends in {', '.join(FORMS)} is expected")
    if options.address and options.engine != "ray":
        parser.error("--address is for --engine ray")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    return run("score", lambda: _score(options))


def _parser() -> Parser:
    parser = Parser(
        prog="score",
        description="Classifies IDX, .npy and .npz arrays, Parquet tables with a column image, and "
        "pictures, in folders and tar files too, into a file with a row for each image.",
        epilog="A run that ends early goes on where it stopped when the same command runs again.",
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="a file or folder, - for a list of them")
    text = f"the result, whose name decides its form: {', '.join(FORMS)}"
    add("--out", required=True, type=Path, metavar="FILE", help=text)
    text = "where to classify: on this machine's cores, or on Ray (default: local)"
    add("--engine", choices=("local", "ray"), default="local", help=text)
    text = "the cluster of Ray: HOST:PORT, ray://HOST:PORT or auto (default: one on this machine)"
    add("--address", help=text)
    text = "how many threads classify, on Ray processes (default: one for each core)"
    add("--workers", type=version_number, metavar="N", help=text)
    add_model(parser, parser)
    return parser


def _score(options: argparse.Namespace) -> None:
    # Imported here, so that --help and a usage error take no time.
    from service.background.threads import worker_threads
    from service.score.engines import local, on_ray
    from service.score.inputs import Inputs
    from service.score.result import Result

    root = (options.models or default_root()).absolute()
    with Result(options.out) as result:
        repository, inputs = Repository(root), Inputs(options.inputs)
        version = result.begin(inputs.fingerprint, options.version, repository.champion)
        repository.card(version)  # one line here, before the workers start
        if result.done:
            fail("score", f"goes on: {len(result.done):,} parts are done")
        left = ((n, part) for n, part in enumerate(inputs.parts()) if n not in result.done)
        if options.engine == "ray":
            engine = on_ray(left, str(root), version, options.workers, options.address)
        else:
            engine = local(left, str(root), version, options.workers or worker_threads(1))
        progress = Progress()
        for number, content in engine:
            progress.add(result.add(number, content), inputs.share)
        rows, errors, digits, doubts = result.finish()
    of_digits = ", ".join(f"{digit}: {digits[digit]:,}" for digit in range(10))
    of_doubts = ", ".join(f"{name}: {n:,}" for name, n in doubts.most_common()) or "none"
    print_text(
        f"{rows:,} images by version {version} in {options.out}, {progress.rate:,.0f}/s\n"
        f"digits  {of_digits}\ndoubts  {of_doubts}\nerrors  {errors:,}"
    )


class Progress:
    """Shows rate and time left: a line that moves on a terminal, a line a minute elsewhere."""

    def __init__(self) -> None:
        self._images, self._first, self._began = 0, 0.0, time.monotonic()
        is_shown = sys.stderr.isatty()
        self._form, self._pause = ("{}\x1b[K\r", 0.2) if is_shown else ("score: {}\n", 60.0)
        self._due = self._began + self._pause

    @property
    def rate(self) -> float:
        """Images a second."""
        return self._images / max(time.monotonic() - self._began, 1e-9)

    def add(self, images: int, share: float) -> None:
        """Counts a part, and shows where the run stands if that is due; ``share`` was read."""
        self._first = self._first or share  # a run that goes on begins there
        self._images += images
        if (now := time.monotonic()) > self._due:
            self._due = now + self._pause
            left = (now - self._began) * (1 - share) / max(share - self._first, 1e-9)
            line = f"{self._images:,} images, {share:.0%} of all, {self.rate:,.0f}/s, "
            line += f"{timedelta(seconds=round(left))} left"
            print(self._form.format(line), end="", file=sys.stderr, flush=True)


def _stop(number: int, _: object) -> None:
    """Ends the run once; a second signal would end it while its threads still classify."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main())
