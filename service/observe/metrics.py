"""The service's metrics: counters and histograms that cost a request a few microseconds.

Every worker adds to its own row of float64 slots, in a file that it maps into memory. A scrape sums
the rows, also those of dead workers, with which new workers go on.
"""

from __future__ import annotations

import json
import mmap
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from time import time
from typing import TYPE_CHECKING, Any

from service.observe.metric_table import STATUSES, Metric, by_endpoint, table

if TYPE_CHECKING:
    from service.observe.exposition import Worker

OTHER = "other"

_OF_VERSION = re.compile(r"/versions/{version}|/labels/{label}|Stream(?=Infer)")
_ROW_BYTES = 8192 * 8
_TOLD_BYTES = 1024
_EXEMPLAR = Struct("<i16sdd")
"""The slot of a bucket, from 1 on; a trace's id; what it took, and when, in seconds."""
_EXEMPLARS = 251
_TOLD_END = _ROW_BYTES + _TOLD_BYTES
_FILE_BYTES = _TOLD_END + _EXEMPLARS * _EXEMPLAR.size


class Metrics:
    """One worker's metrics; :meth:`exposition` includes those of all that share the folder."""

    def __init__(self, shared: Path | None = None) -> None:
        self._metrics: dict[str, Metric] = {}
        self._end = 0
        self._told: dict[str, Sequence[str]] = {}
        self._shared = shared
        self._memory = _open_row(shared)
        self._row = memoryview(self._memory)[:_ROW_BYTES].cast("d")
        for metric in map(self._add, table()):
            if metric.kind == "gauge":
                for slot in metric.slot.values():
                    self._row[slot] = 0.0
        self._predictions = self._metrics["predictions"].slot["0",]

    def add_endpoints(self, endpoints: Iterable[str], timed: Iterable[str]) -> None:
        """Adds each route's metrics once; the ``timed`` ones have histograms of their own."""
        paths, classify = sorted({*endpoints, OTHER}), set(timed)
        own = {path: _OF_VERSION.sub("", path) if path in classify else OTHER for path in paths}
        requests, seconds = map(self._add, by_endpoint(paths, sorted({*own.values()})))
        self._seconds = seconds.bounds
        of = {path: {s: requests.slot[path, str(s)] for s in STATUSES} for path in paths}
        self._request_slots = {path: (seconds.slot[own[path],], of[path]) for path in paths}

    def request(self, endpoint: str, status: int, seconds: float, trace: str | None = None) -> None:
        """Counts one answered request, the last of its bucket with the id of a sampled trace."""
        first, statuses = self._request_slots.get(endpoint) or self._request_slots[OTHER]
        self._row[statuses.get(status) or statuses[500]] += 1.0
        self._observe(self._seconds, first, seconds)
        if trace is not None:
            slot = first + bisect_left(self._seconds, seconds)
            place = _TOLD_END + slot % _EXEMPLARS * _EXEMPLAR.size
            known = slot + 1, bytes.fromhex(trace), seconds, time()
            _EXEMPLAR.pack_into(self._memory, place, *known)

    def count(self, name: str, *values: str, by: float = 1.0) -> None:
        """Adds to a counter of the table; ``values`` are those of its labels."""
        self._row[self._metrics[name].slot[values]] += by

    def set(self, name: str, value: float, *values: str) -> None:
        """Sets a gauge of the table; ``values`` are those of its labels."""
        self._row[self._metrics[name].slot[values]] = value

    def observe(self, name: str, value: float) -> None:
        """Adds to a histogram of the table, which has no labels."""
        metric = self._metrics[name]
        self._observe(metric.bounds, metric.slot[()], value)

    def tell(self, name: str, *values: str) -> None:
        """Sets the labels of an info of the table; without values there is none."""
        self._told[name] = values
        text = json.dumps(self._told, ensure_ascii=False).encode()
        self._memory[_ROW_BYTES:_TOLD_END] = text.ljust(_TOLD_BYTES, b"\0")

    def predicted(self, digits: Sequence[int]) -> None:
        """Counts answered digits."""
        first, row = self._predictions, self._row
        each = digits if len(digits) == 1 else bytes(digits)
        for digit in set(each):
            row[first + digit] += each.count(digit)

    def serving(self, version: str, architecture: str, provider: str, fallback: bool) -> None:
        """Sets what this worker serves, from its first champion on."""
        self.set("workers", 1)
        self.set("provider_fallback", fallback)
        self.tell("model_info", version, architecture[:100], provider)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Returns all workers' metrics and their media type, as the field ``accept`` asks for."""
        from service.observe.exposition import exposition

        return exposition(list(self._metrics.values()), list(self._workers()), accept)

    def _add(self, metric: Metric) -> Metric:
        self._end = metric.place(self._end)
        assert 8 * self._end <= _ROW_BYTES, "the metrics outgrew their row"
        self._metrics[metric.name] = metric
        return metric

    def _observe(self, bounds: Sequence[float], first: int, value: float) -> None:
        row = self._row
        row[first + bisect_left(bounds, value)] += 1.0
        row[first + len(bounds) + 1] += value

    def _workers(self) -> Iterator[Worker]:
        from service.observe.exposition import Worker

        rows = [(os.getpid(), self._memory[:])] if self._shared is None else _rows(self._shared)
        for process, data in rows:
            if len(data) == _FILE_BYTES:
                row = memoryview(data)[:_ROW_BYTES].cast("d")
                told = _told(data[_ROW_BYTES:_TOLD_END]) if is_alive(process) else None
                seen = _EXEMPLAR.iter_unpack(data[_TOLD_END:])
                yield Worker(process, row, told, {slot - 1: rest for slot, *rest in seen if slot})


def _open_row(shared: Path | None) -> mmap.mmap:
    if shared is None:
        return mmap.mmap(-1, _FILE_BYTES)
    own = shared / f"{os.getpid()}.row"
    for path in shared.glob("*.row"):
        if not is_alive(int(path.stem)):
            with suppress(FileNotFoundError):  # another new worker was faster
                path.rename(own)
                break
    with own.open("a+b") as file:
        file.truncate(_FILE_BYTES)
        memory = mmap.mmap(file.fileno(), _FILE_BYTES)
    memory[_ROW_BYTES:_TOLD_END] = bytes(_TOLD_BYTES)
    return memory


def _rows(shared: Path) -> list[tuple[int, bytes]]:
    """Returns the processes and their files, once none is renamed meanwhile."""
    while True:
        with suppress(FileNotFoundError):
            return [(int(path.stem), path.read_bytes()) for path in sorted(shared.glob("*.row"))]


def _told(data: bytes) -> dict[str, Any] | None:
    try:
        return dict(json.loads(data.rstrip(b"\0")))
    except ValueError:
        return None  # the worker serves nothing yet, or is just writing something else


def is_alive(pid: int) -> bool:
    """Whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True
