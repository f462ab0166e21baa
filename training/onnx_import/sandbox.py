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
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import Any

from training.errors import TrainingError
from training.interrupt import held
from training.onnx_import.options import Options


@dataclass(frozen=True, slots=True)
class Limits:
    """What the child may use: seconds of processor time in each step, and bytes of memory."""

    load_s: int = 30
    detect_s: int = 600
    verify_s: int = 1800
    measure_s: int = 900
    memory_bytes: int = 4 << 30


DEFAULT = Limits()
# Ends a child that waits without using the processor.
WALL_SECONDS = 2 * 3600


def import_in_child(
    path: Path,
    options: Options,
    data: Path | None,
    report: Callable[[str, float], None] = lambda _step, _done: None,
    limits: Limits = DEFAULT,
) -> tuple[bytes, dict[str, Any]]:
    """Imports in a child, which tells ``report`` step and fraction; returns bytes and facts."""
    if find_spec("onnx") is None:
        raise TrainingError(
            "onnx is not installed; install what the import needs: "
            "pip install 'mnist-serve[train]', or `make train` in the sources"
        )
    request = {"path": str(path), "options": asdict(options), "limits": asdict(limits)}
    with ExitStack() as end:
        with held():  # a signal before the callback would leave the child running
            child = end.enter_context(_start({**request, "data": data and str(data)}))
            end.callback(child.kill)
        timer = Timer(WALL_SECONDS, child.kill)
        timer.daemon = True
        end.callback(timer.cancel)
        timer.start()
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
        raise TrainingError(f"{path.name}: {_how_it_ended(step, child.wait(), limits)}")


def _start(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    # This program's own packages come first, and -P leaves out the current folder: it may hold
    # a `numpy.py` that came with the model.
    found = [entry for entry in sys.path if entry and Path(entry).resolve() != Path.cwd()]
    packages = os.pathsep.join([str(Path(__file__).parents[2]), *found])
    return subprocess.Popen(  # noqa: S603 - this program's own interpreter
        [sys.executable, "-P", "-m", "training.onnx_import.sandbox", json.dumps(request)],
        env={**os.environ, "PYTHONPATH": packages},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _how_it_ended(step: str, status: int, limits: Limits) -> str:
    if status == -signal.SIGXCPU:
        seconds = getattr(limits, f"{step}_s")
        return f"stopped: the step {step} took more than {seconds} s of processor time"
    if status == -signal.SIGKILL:
        return f"the step {step} was killed, as when the machine's memory runs out"
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return f"the step {step} crashed with {how}"


def main(request: dict[str, Any]) -> None:
    """The child: imports one file within the limits of the request, writes the result to stdout."""
    from training.data.loading import DataError, load
    from training.onnx_import.formats import one_line
    from training.onnx_import.pipeline import import_model, measure_import
    from training.onnx_import.read import printable

    # Libraries print to stdout; their text goes to stderr.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limits = Limits(**request["limits"])
    # No written file, no core dump, and so much memory beyond what is in use now.
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory_bytes)

    def send(**message: Any) -> None:
        channel.write(json.dumps(message).encode() + b"\n")
        channel.flush()

    def report(step: str, done: float) -> None:
        send(step=step, done=done)
        if done == 0:
            spent = resource.getrusage(resource.RUSAGE_SELF)
            seconds = int(spent.ru_utime + spent.ru_stime) + getattr(limits, f"{step}_s")
            _lower(resource.RLIMIT_CPU, seconds)

    def fail(why: str) -> None:
        send(failure=printable(why, 1000))

    path, data = Path(request["path"]), request["data"]
    name = path.name or str(path)
    try:
        dataset = load(data and Path(data))
        model, facts = import_model(path, Options(**request["options"]), dataset, report)
        facts |= measure_import(model, facts, dataset, report)
    except DataError as error:
        fail(str(error))
    except TrainingError as error:
        fail(f"{name}: {error}")
    except MemoryError:
        fail(f"{name}: it needs more memory than the limit of {limits.memory_bytes:,} bytes")
    except Exception as error:  # noqa: BLE001 - a malformed file fails in many ways
        fail(f"{name}: it is malformed: {one_line(error) or type(error).__name__}")
    else:
        send(bytes=len(model), facts=facts)
        channel.write(model)


def _lower(kind: int, value: int) -> None:
    """Sets a limit, at most the one that the system has set."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
