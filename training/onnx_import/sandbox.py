"""Imports a file in a child process with limits on time and memory.

A graph may loop forever, ask for more memory than there is, or crash a library that parses it. The
child writes no file. The parent receives JSON, and the bytes of a model that already ran.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from training.errors import TrainingError, one_line
from training.interrupt import held
from training.network.load_tensorflow import require_packages
from training.onnx_import.forms import printable

SECONDS = 3600  # of processor time
MEMORY_BYTES = 4 << 30


def import_in_child(
    path: Path,
    scale: str | None,
    data: Path | None,
    report: Callable[[str, float], None] = lambda _step, _done: None,
    *,
    seconds: int = SECONDS,
    memory_bytes: int = MEMORY_BYTES,
) -> tuple[bytes, dict[str, Any]]:
    """Imports in a child, which tells ``report`` step and fraction; returns bytes and facts."""
    require_packages()
    files = {"path": str(path), "data": data and str(data), "scale": scale}
    request = {**files, "seconds": seconds, "memory_bytes": memory_bytes}
    with ExitStack() as end:
        with held():  # a signal before the callback would leave the child running
            child = end.enter_context(
                # -P leaves out the current folder, which may hold a `numpy.py` beside the model.
                subprocess.Popen(  # noqa: S603 - this program's own interpreter
                    [sys.executable, "-P", "-m", __name__, json.dumps(request)],
                    env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            )
            end.callback(child.kill)
        assert child.stdout
        step = "load"
        # One JSON object a line; the bytes of the model follow the last one.
        for line in child.stdout:
            message = json.loads(line)
            if "failure" in message:
                raise TrainingError(message["failure"])
            if "facts" in message:
                model = child.stdout.read()
                if len(model) == message["bytes"]:
                    return model, message["facts"]
            else:
                step = message["step"]
                report(step, message["done"])
        how = {
            -signal.SIGXCPU: f"took more than {seconds} s of processor time",
            -signal.SIGKILL: "was killed, as when the machine's memory runs out",
        }.get(status := child.wait(), f"crashed with status {status}")
        raise TrainingError(f"{path.name}: the step {step} {how}")


def main(request: dict[str, Any]) -> None:
    """The child: imports one file within the limits of the request, writes the result to stdout."""
    from training.data.loading import DataError, load
    from training.onnx_import.pipeline import import_model

    # Libraries print to stdout; their text goes to stderr.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # No written file, no core dump, and so much time and memory beyond what is in use now.
    spent = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    bounds = {
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(spent.ru_utime + spent.ru_stime) + request["seconds"],
        resource.RLIMIT_AS: pages * resource.getpagesize() + request["memory_bytes"],
    }
    for kind, most in bounds.items():
        _, hard = resource.getrlimit(kind)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (soft, hard))

    def send(**message: Any) -> None:
        channel.write(json.dumps(message).encode() + b"\n")
        channel.flush()

    path, data = Path(request["path"]), request["data"]
    try:
        dataset = load(data and Path(data))
        model, facts = import_model(
            path, request["scale"], dataset, lambda step, done: send(step=step, done=done)
        )
    except Exception as error:  # noqa: BLE001 - a malformed file fails in many ways
        why = f"it is malformed: {one_line(error) or type(error).__name__}"
        if isinstance(error, MemoryError):
            why = f"it needs more memory than {request['memory_bytes']:,} bytes"
        elif isinstance(error, TrainingError):
            why = str(error)
        why = why if isinstance(error, DataError) else f"{path.name}: {why}"
        send(failure=printable(why, 1000))
    else:
        send(bytes=len(model), facts=facts)
        channel.write(model)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
