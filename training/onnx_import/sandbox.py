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
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from training.interrupt import held
from training.onnx_import import AdoptError
from training.onnx_import.options import Wishes


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use: seconds of processor time for each step, and memory.

    What takes longer than that to load or to read its first digit is of no use as a service; to
    measure and to prove, thousands of digits are read.
    """

    load_s: int = 30
    measure_s: int = 600
    prove_s: int = 1800
    memory_bytes: int = 4 << 30


DEFAULT = Limits()
# A child that burns no time ends by itself; this only bounds what nobody thought of.
WALL_SECONDS = 2 * 3600


def adopt_apart(
    path: Path, wishes: Wishes, data: Path | None, limits: Limits = DEFAULT
) -> tuple[bytes, Any]:
    """The model file's bytes and the facts for its card, as ``adopt`` gives them.

    Args:
        path: the stranger's file.
        wishes: what the user fixes.
        data: where the labelled images are; None is MNIST.
        limits: what the child may use.

    Raises:
        AdoptError: the file cannot be taken in, or its limits ended the child.
    """
    try:
        import_module("onnx")
    except ModuleNotFoundError as error:
        raise AdoptError(
            f"{error.name} is not installed; importing needs the extra: "
            "pip install 'mnist-serve[train]', or make train where the sources are"
        ) from error
    request = {"path": str(path), "wishes": asdict(wishes), "limits": asdict(limits)}
    with ExitStack() as end:
        with held():  # so that there is no moment in which nobody would end the child
            child = end.enter_context(_child({**request, "data": data and str(data)}))
            end.callback(child.kill)
        try:
            output, _ = child.communicate(timeout=WALL_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AdoptError(f"{path.name}: stopped after {WALL_SECONDS} s") from error
    return _understand(output, child.returncode, path.name, limits)


def _child(request: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())}
    # -P: the folder that the user stands in may be the stranger's, and hold a `numpy.py`.
    command = [sys.executable, "-P", "-m", "training.onnx_import", json.dumps(request)]
    return subprocess.Popen(  # noqa: S603 - this program's own interpreter
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _understand(output: bytes, status: int, name: str, limits: Limits) -> tuple[bytes, Any]:
    """What a child said before it ended: one JSON object a line, then perhaps the model."""
    step, rest = "load", output
    while rest:
        line, _, rest = rest.partition(b"\n")
        told = json.loads(line)
        if "step" in told:
            step = told["step"]
        elif "failure" in told:
            raise AdoptError(told["failure"])
        elif len(rest) == told["size_bytes"]:
            return rest, told["facts"]
    raise AdoptError(f"{name}: {_how_it_ended(step, status, limits)}")


def _how_it_ended(step: str, status: int, limits: Limits) -> str:
    if status == -signal.SIGXCPU:
        seconds = getattr(limits, f"{step}_s")
        return f"stopped, since to {step} it took more than {seconds} s of processor time"
    if status == -signal.SIGKILL:
        return f"the process to {step} it was killed, as when the machine's memory runs out"
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return f"the process to {step} it ended with {how}"


def _import_path() -> list[str]:
    """Where packages are found: this program's first, never the folder the user stands in."""
    own = str(Path(__file__).parents[2])
    return [own, *(entry for entry in sys.path if entry and Path(entry).resolve() != Path.cwd())]
