"""The ``score`` command: classifies any number of images into a file."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from service.cli.output import in_one_line, print_text
from service.cli.parser import VERSION, Parser, parse, version_number
from service.errors import MissingRuntime
from service.models.repository import Repository, RepositoryError, default_root

FORMS = (".parquet", ".csv", ".jsonl", ".ndjson")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 after a failure that one line explains, or exits with 2."""
    parser = _parser()
    options = parse(parser, arguments)
    if options.version is True:
        print(VERSION)
        return 0
    if not options.inputs or options.out is None:
        parser.error("name at least one INPUT, and --out FILE")
    if options.out.suffix not in FORMS:
        parser.error(f"--out: a name that ends in {', '.join(FORMS)} is expected")
    if options.address and options.engine != "ray":
        parser.error("--address is for --engine ray")
    try:
        # Imported here, so that --help and a usage error take no time.
        from service.inference.runtime import RuntimeLoadError
        from service.score.inputs import ScoreError
    except MissingRuntime as error:
        return _fail(str(error))
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        _score(options)
    except (ScoreError, RepositoryError, RuntimeLoadError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{'' if error.filename else f'{options.out}: '}{in_one_line(error)}")
    except KeyboardInterrupt as stop:
        _fail("interrupted; the same command goes on")
        return 128 + int(stop.args[0])
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="score",
        description="Classifies IDX, .npy and .npz arrays, Parquet tables with a column image, and "
        "pictures, in folders and tar files too, into a file with a row for each image.",
        epilog="A run that ends early goes on where it stopped when the same command runs again.",
    )
    add = parser.add_argument
    add("inputs", nargs="*", metavar="INPUT", help="a file or folder, - for a list of them")
    text = f"the result, whose name decides its form: {', '.join(FORMS)}"
    add("--out", type=Path, metavar="FILE", help=text)
    text = "where to classify: on this machine's cores, or on Ray (default: local)"
    add("--engine", choices=("local", "ray"), default="local", help=text)
    text = "the cluster of Ray: HOST:PORT, ray://HOST:PORT or auto (default: one on this machine)"
    add("--address", help=text)
    text = "how many threads classify, on Ray processes (default: one for each core)"
    add("--workers", type=version_number, metavar="N", help=text)
    text = "classify with version N instead of the champion; without N, print mnist-serve's version"
    add("--version", nargs="?", const=True, type=version_number, metavar="N", help=text)
    text = "the model repository (default: MNIST_MODELS, or models, or the packaged champion)"
    default = os.environ.get("MNIST_MODELS") or None
    add("--models", type=Path, default=default, metavar="DIR", help=text)
    return parser


def _score(options: argparse.Namespace) -> None:
    """Classifies what is left, joins the result, and prints what is in it."""
    from service.background.threads import worker_threads
    from service.score.engines import Job, local, on_ray
    from service.score.inputs import plan
    from service.score.result import Result

    root = (options.models or default_root()).absolute()
    with Result(options.out) as result:
        version = options.version or result.version() or Repository(root).champion()
        Repository(root).card(version)  # one line here, before the workers start
        parts, fingerprint = plan(options.inputs)
        done = result.begin(fingerprint, str(version))
        if done:
            _fail(f"goes on: {len(done):,} of {len(parts):,} parts are done")
        left = [(number, part) for number, part in enumerate(parts) if number not in done]
        job = Job(str(root), str(version), options.out.suffix)
        if options.engine == "ray":
            engine = on_ray(left, job, options.workers, options.address)
        else:
            engine = local(left, job, options.workers or worker_threads(1))
        progress = Progress(sum(part.stop - part.start for _, part in left))
        for number, content in engine if left else ():
            progress.add(result.add(number, content))
        counts = result.finish(len(parts))
    rows, errors = (counts["images"][name] for name in ("rows", "errors"))
    digits = ", ".join(f"{digit}: {counts['digits'][digit]:,}" for digit in "0123456789")
    doubts = ", ".join(f"{name}: {n:,}" for name, n in counts["doubts"].most_common()) or "none"
    print_text(
        f"{rows:,} images by version {version} in {options.out}, {progress.rate:,.0f}/s\n"
        f"digits  {digits}\ndoubts  {doubts}\nerrors  {errors:,}"
    )


class Progress:
    """Shows rate and time left: a line that moves on a terminal, a line a minute elsewhere."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._began = total, 0, time.monotonic()
        self._form, self._pause = ("score: {}\n", 60.0)
        if sys.stderr.isatty():
            self._form, self._pause = ("{}\x1b[K\r", 0.2)
        self._due = self._began + self._pause

    @property
    def rate(self) -> float:
        """Images a second."""
        return self._done / max(time.monotonic() - self._began, 1e-9)

    def add(self, images: int) -> None:
        """Counts a part, and shows where the run stands if that is due."""
        self._done += images
        if images and (now := time.monotonic()) > self._due:
            self._due = now + self._pause
            left = time.strftime("%H:%M:%S", time.gmtime((self._total - self._done) / self.rate))
            line = f"{self._done:,} of {self._total:,} images, {self.rate:,.0f}/s, {left} left"
            print(self._form.format(line), end="", file=sys.stderr, flush=True)


def _stop(number: int, _: object) -> None:
    """Ends the run once; a second signal would end it while its threads still classify."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def _fail(why: str) -> int:
    """Prints the line of a failure, or what to know; returns the exit status of a failure."""
    print(f"score: {' '.join(why.split())}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
