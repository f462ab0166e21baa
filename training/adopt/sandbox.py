"""Takes a stranger's file in within a process of its own, with limits on time and memory.

A graph may loop for ever, ask for more memory than there is, or hit a fault in a library that
parses it. All of that happens in a child that can write no file; the parent gets JSON, and the
bytes of a model that was already run on every image it will ever be checked with.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from training.adopt import AdoptError
from training.adopt.wishes import Wishes

# Seconds of processor time a step may take. What takes longer to load or to read one digit than
# the first two is of no use as a service; the others read thousands.
CPU_SECONDS = {
    "read the images": 120,
    "read": 60,
    "load": 30,
    "measure": 600,
    "prove": 1800,
}
MEMORY_BYTES = 4 << 30
# A child that burns no time ends by itself; this only bounds what nobody thought of.
WALL_SECONDS = 2 * 3600


def adopt_apart(path: Path, wishes: Wishes, data: Path | None) -> tuple[bytes, Any]:
    """The model file's bytes and the facts for its card, as ``adopt`` gives them.

    Args:
        path: the stranger's file.
        wishes: what the user fixes.
        data: where the labelled images are; None is MNIST.

    Raises:
        AdoptError: the file cannot be taken in, or its limits ended the child.
    """
    if find_spec("onnx") is None:
        raise AdoptError(
            "the package onnx is not installed; importing needs the extra: "
            "pip install 'mnist-serve[train]'"
        )
    request = {
        "path": str(path),
        "wishes": asdict(wishes),
        "data": None if data is None else str(data),
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())}
    # -P: the folder that the user stands in may be the stranger's, and hold a `numpy.py`.
    command = [sys.executable, "-P", "-m", "training.adopt", json.dumps(request)]
    with subprocess.Popen(  # noqa: S603 - this program's own interpreter
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            output, _ = child.communicate(timeout=WALL_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AdoptError(f"{path.name}: stopped after {WALL_SECONDS} s") from error
        finally:
            child.kill()
    return _understand(output, child.returncode, path.name)


def _understand(output: bytes, status: int, name: str) -> tuple[bytes, Any]:
    """What a child said before it ended: one JSON object a line, then perhaps the model."""
    step, rest = "start", output
    while rest:
        line, _, rest = rest.partition(b"\n")
        told = json.loads(line)
        if "step" in told:
            step = told["step"]
        elif "failure" in told:
            raise AdoptError(f"{name}: {told['failure']}")
        elif len(rest) == told["size_bytes"]:
            return rest, told["facts"]
    raise AdoptError(f"{name}: {_how_it_ended(step, status)}")


def _how_it_ended(step: str, status: int) -> str:
    if status == -signal.SIGXCPU:
        return f"stopped: to {step} took more than {CPU_SECONDS[step]} s of processor time"
    if status < 0:
        return f"the attempt to {step} it was ended by {signal.Signals(-status).name}"
    return f"the attempt to {step} it ended with status {status}"


def _import_path() -> list[str]:
    """Where this program's packages are found; never the folder that the user stands in."""
    return [entry for entry in sys.path if entry and Path(entry).resolve() != Path.cwd()]
