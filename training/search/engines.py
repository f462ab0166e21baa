"""Runs ``train`` many times at once: in processes of this machine, or on the machines of Ray."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from service.background.threads import worker_threads
from service.errors import Explained
from service.score.engines import connected
from training.config import Options
from training.errors import TrainingError, one_line

TRIES = 5  # how often a run is started whose process dies
Item = TypeVar("Item")
Found = TypeVar("Found")
Say = Callable[[str], None]
Run = Callable[[Sequence[object], Say], None]
"""Runs ``train`` with these words and passes on its lines. Raises TrainingError if it fails."""


def side_by_side(
    work: Callable[[Item, Run], Found], items: Iterable[Item], options: Options
) -> list[Found]:
    """Returns what ``work`` returns for each item; raises the first failure and ends the others."""
    engine = _Ray(options.address) if options.engine == "ray" else _Local()
    most = 64 if options.engine == "ray" else worker_threads(1)
    with ThreadPoolExecutor(options.workers or most) as pool:
        try:
            futures = [pool.submit(work, item, engine) for item in items]
            for each in wait(futures, return_when=FIRST_EXCEPTION).done:
                each.result()
            return [each.result() for each in futures]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            engine.close()


class _Local:
    def __init__(self) -> None:
        self._running = set[subprocess.Popen[str]]()
        self._closed = False

    def __call__(self, words: Sequence[object], say: Say) -> None:
        command, line, status = [sys.executable, "-m", "training", *map(str, words)], "", -1
        for _ in range(TRIES):
            if status >= 0 or self._closed:
                break
            with subprocess.Popen(  # noqa: S603 - our own command
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process:
                self._running.add(process)
                assert process.stdout
                for line in process.stdout:
                    say(line.rstrip("\n"))
            self._running.discard(process)
            status = process.returncode
        if status:
            raise TrainingError(line.removeprefix("train: ").strip() if status > 0 else "it died")

    def close(self) -> None:
        """Ends the processes as Ctrl-C does, which keeps their checkpoints."""
        self._closed = True
        for process in list(self._running):
            process.terminate()


class _Ray:
    """A cluster, or this machine without an address. The nodes must share the disk."""

    def __init__(self, address: str | None) -> None:
        try:
            self._ray = ray = connected(address)
        except Explained as error:
            raise TrainingError(str(error)) from None
        # A process for each call: TensorFlow is as fresh in it as in a command's.
        self._train = ray.remote(num_cpus=1, max_calls=1, max_retries=TRIES)(_train_here)

    def __call__(self, words: Sequence[object], say: Say) -> None:
        task = self._train.remote(list(map(str, words)), str(Path.cwd()))
        try:
            status, lines = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            raise TrainingError(f"Ray: {one_line(error)}") from None
        for line in lines:
            say(line)
        if status:
            raise TrainingError(lines[-1].removeprefix("train: ") if lines else "it failed")

    def close(self) -> None:
        self._ray.shutdown()  # ends this command's tasks


def _train_here(words: list[str], folder: str) -> tuple[int, list[str]]:
    os.environ.pop("OMP_NUM_THREADS", None)  # Ray's 1; a command has none
    os.chdir(folder)
    with redirect_stdout(io.StringIO()) as told, redirect_stderr(told):
        status = import_module("training.__main__").main(words)
    return status, told.getvalue().splitlines()
