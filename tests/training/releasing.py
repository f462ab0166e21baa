"""Releases tiny models in processes that are made to fail; a program the tests start.

    python -m tests.training.releasing MODE ROOT ...

Each mode prints one JSON value. The repository under ROOT is judged by the test, from outside.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from service.models.repository import Repository
from tests.tiny import tiny_model_bytes
from training.registry.journal import ROLLBACK
from training.registry.operations import prune
from training.registry.promote import promote, release
from training.registry.publish import PublishError, locked, staging

# The code that writes to the repository; a kill elsewhere changes nothing on disk.
STEPS_OF = ("publish.py", "durable_files.py", "journal.py", "versions.py", "shutil.py")


def release_tiny(root: Path, seed: int) -> int:
    """Releases the tiny model of this seed, which passes the gate: it reads blanks as others do."""
    card = {"test": {"count": 10, "accuracy": 0.5}, "verification": {"passed": True}}
    blanks = np.zeros((10, 28, 28), np.uint8), np.zeros(10, np.int64)
    with staging(root) as folder:
        (folder / "model.onnx").write_bytes(tiny_model_bytes(seed))
        (folder / "curve.png").write_bytes(b"a picture")
        version, _ = release(folder, root, card, blanks)
    return version


def roll_back(root: Path) -> None:
    """Makes version 1 champion again."""
    with locked(root):
        promote(root, 1, reason="a test", command=ROLLBACK)


def killed_at_step(work: Any, step: int) -> int | None:
    """Runs ``work`` in a fork that is killed with SIGKILL before its ``step``-th line of code.

    Counts the lines of the modules that write to the repository. Returns the fork's exit status;
    None if the signal ended it.
    """
    child = os.fork()
    if child == 0:
        left = step

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if not frame.f_code.co_filename.endswith(STEPS_OF):
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def kill_at_every_step(root: Path, word: str) -> Iterator[dict[str, Any]]:
    """Repeats ``word``, killed one step later each time, until it ends by itself.

    Between two kills the caller checks the repository, then writes a line to continue.
    """
    words = {
        "release": lambda: release_tiny(root, seed=7),
        "rollback": lambda: roll_back(root),
        "prune": lambda: prune(Repository(root), keep=1),
    }
    for step in count():
        status = killed_at_step(words[word], step)
        yield {"step": step, "killed": status is None, "status": status}
        if status is not None:
            return
        sys.stdin.readline()


def release_many(root: Path, versions: int) -> list[int]:
    """Releases so many versions."""
    return [release_tiny(root, seed=os.getpid() + n) for n in range(versions)]


def release_with_no_room(root: Path, limit_bytes: int | None) -> str | None:
    """Releases while no file may exceed ``limit_bytes``; returns the failure's text."""
    if limit_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    try:
        release_tiny(root, seed=7)
    except PublishError as error:
        return str(error)
    return None


def release_on_full_disks(disk: Path) -> Iterator[dict[str, Any]]:
    """Releases on a disk with no free page, then one, two, ... until the release succeeds."""
    page = os.statvfs(disk).f_frsize
    for free in range(100):
        root = disk / f"models-{free}"
        release_tiny(root, seed=1)
        with (disk / "filler").open("wb") as filler:
            filler.write(bytes(page * (os.statvfs(disk).f_bavail - free)))
        error = release_with_no_room(root, None)
        repository = Repository(root)
        yield {
            "free": free,
            "error": error,
            "champion": repository.champion(),
            "journal": len(repository.journal()),
            "unreadable": [v for v in repository.versions() if not repository.read_model(v)],
            "hidden": [path.name for path in repository.folder.glob(".*")],
        }
        (disk / "filler").unlink()
        shutil.rmtree(root)
        if error is None:
            return


def main(mode: str, root: Path, *arguments: str) -> None:
    """Runs one mode and prints what it came to."""
    reports: dict[str, Callable[[], Iterable[Any]]] = {
        "kill": lambda: kill_at_every_step(root, arguments[0]),
        "many": lambda: [release_many(root, int(arguments[0]))],
        "full": lambda: [release_with_no_room(root, int(arguments[0]))],
        "disk": lambda: release_on_full_disks(root),
    }
    for report in reports[mode]():
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
