"""The child of ``sandbox``: ``python -m training.onnx_import REQUEST``; it answers on stdout."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, BinaryIO

from training.data.loading import DataError, load
from training.errors import TrainingError
from training.onnx_import.measure import fare
from training.onnx_import.options import Wishes
from training.onnx_import.original import one_line
from training.onnx_import.pipeline import adopt
from training.onnx_import.sandbox import Limits


def main(request: dict[str, Any]) -> None:
    """Answers one request, within its limits."""
    # Whatever a library prints goes elsewhere.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limits = Limits(**request["limits"])
    _limit(limits.memory_bytes)

    def enter(step: str) -> None:
        _tell(channel, {"step": step})
        spent = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(spent.ru_utime + spent.ru_stime) + getattr(limits, f"{step}_s")
        _lower(resource.RLIMIT_CPU, seconds)

    path, wishes = Path(request["path"]), Wishes.of(request["wishes"])
    data = None if request["data"] is None else Path(request["data"])
    try:
        dataset = load(data)
        adopted = adopt(path, wishes, dataset, enter)
        facts = adopted.facts | fare(adopted, dataset)
    except DataError as error:
        _tell(channel, {"failure": str(error)})
    except TrainingError as error:
        _tell(channel, {"failure": f"{path.name or path}: {error}"})
    except MemoryError:
        _tell(channel, {"failure": f"{path.name}: it needs more memory than is allowed"})
    except Exception as error:  # noqa: BLE001 - what a file can be, nobody has foreseen in full
        told = one_line(error) or type(error).__name__
        _tell(channel, {"failure": f"{path.name}: it is malformed: {told}"})
    else:
        _tell(channel, {"size_bytes": len(adopted.model), "facts": facts})
        channel.write(adopted.model)


def _limit(memory_bytes: int) -> None:
    """No file may be written, no memory beyond the limit taken, no core dumped."""
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes)


def _lower(kind: int, value: int) -> None:
    """Sets a limit, as far as the one that the system has set allows."""
    _, most = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if most == resource.RLIM_INFINITY else min(value, most), most))


def _tell(channel: BinaryIO, what: dict[str, Any]) -> None:
    channel.write(json.dumps(what).encode() + b"\n")
    channel.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
