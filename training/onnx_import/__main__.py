"""The child process of ``sandbox``: ``python -m training.onnx_import REQUEST``."""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from training.data.loading import DataError, load
from training.errors import TrainingError
from training.onnx_import.formats import one_line
from training.onnx_import.options import Options
from training.onnx_import.pipeline import import_model, measure_import
from training.onnx_import.read import printable
from training.onnx_import.sandbox import Limits


def main(request: dict[str, Any]) -> None:
    """Imports one file within the limits of the request and writes the result to stdout."""
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
