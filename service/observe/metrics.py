"""The service's metrics: counters and histograms that cost a request a few microseconds.

Every worker adds to its own row of float64 slots, in a file that all workers map into memory. A
scrape sums the rows, also those of dead workers. The code fixes the layout of a row, so no label
can grow without bound.
"""

from __future__ import annotations

import json
import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

from service.observe.metric_types import Kind, Metric

OTHER = "other"

STATUSES = (200, 304, 400, 404, 405, 408, 413, 414, 415, 422, 429, 431, 499, 500, 503, 504)
REJECTIONS = ("queue_full", "bodies_full", "deadline", "left")
DOUBTS = ("blank", "not a digit", "several digits", "too small", "low contrast", "inverted")
LOADS = ("loaded", "failed")
# 10 microseconds to 100 seconds, in steps of 2 to 2.5.
SECONDS = (
    *(round(step * 10.0**power, 7) for power in range(-5, 2) for step in (1.0, 2.0, 5.0)),
    100.0,
)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_ROW_BYTES = 8192 * 8
_INFO_BYTES = 1024


class Metrics:
    """One worker's metrics; :meth:`exposition` includes those of all that share the folder."""

    def __init__(self, shared: Path | None = None) -> None:
        self._metrics: list[Metric] = []
        add = self._add
        wait, run = "Waiting for a run.", "One run of the model."
        self._queue_seconds = add("histogram", "queue_seconds", wait, bounds=SECONDS)
        self._inference_seconds = add("histogram", "inference_seconds", run, bounds=SECONDS)
        self._batch_size = add("histogram", "batch_size", "Images in one run.", bounds=ROWS)
        self._rejected = add("counter", "rejected", "Requests rejected.", reason=REJECTIONS)
        digits = list(map(str, range(10)))
        self._predictions = add("counter", "predictions", "Digits answered.", digit=digits)
        self._doubts = add("counter", "doubts", "Reasons to doubt an answer.", doubt=DOUBTS)
        self._loads = add("counter", "model_loads", "Versions loaded.", result=LOADS)
        self._queue_rows = add("gauge", "queue_rows", "Images waiting now.")
        fault = "Workers that cannot serve the version that the champion file names."
        self._champion_fault = add("gauge", "champion_fault", fault)
        self._shared = shared
        self._memory = _open_row(shared)
        self._row = memoryview(self._memory)[:_ROW_BYTES].cast("d")

    def add_endpoints(self, endpoints: Iterable[str]) -> None:
        """Adds the metrics of each route's path; call it once, before any request."""
        paths = sorted({*endpoints, OTHER})
        text = "Requests by route and status (499: the caller left)."
        statuses = list(map(str, STATUSES))
        requests = self._add("counter", "requests", text, endpoint=paths, status=statuses)
        text = "From the request's head to its answer, by route."
        seconds = self._add("histogram", "request_seconds", text, bounds=SECONDS, endpoint=paths)
        self._request_seconds = seconds
        self._request_slots = {
            path: (seconds.slot[(path,)], {s: requests.slot[(path, str(s))] for s in STATUSES})
            for path in paths
        }

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        first, statuses = self._request_slots.get(endpoint) or self._request_slots[OTHER]
        self._row[statuses.get(status) or statuses[500]] += 1.0
        self._observe(self._request_seconds, first, seconds)

    def ran(self, rows: int, seconds: float) -> None:
        """Counts one execution of the model."""
        self._observe(self._batch_size, self._batch_size.first, rows)
        self._observe(self._inference_seconds, self._inference_seconds.first, seconds)

    def waited(self, seconds: float) -> None:
        """Counts one request's wait for its first execution."""
        self._observe(self._queue_seconds, self._queue_seconds.first, seconds)

    def queued(self, rows: int) -> None:
        """Sets the number of waiting images."""
        self._row[self._queue_rows.first] = rows

    def rejected(self, reason: str) -> None:
        """Counts a rejected request; ``reason`` is one of ``REJECTIONS``."""
        self._row[self._rejected.slot[(reason,)]] += 1.0

    def predicted(self, digits: Sequence[int]) -> None:
        """Counts answered digits."""
        first, row, each = self._predictions.first, self._row, bytes(digits)
        for digit in set(each):
            row[first + digit] += each.count(digit)

    def doubted(self, doubts: Iterable[Iterable[str]]) -> None:
        """Counts the doubts of each image; each is one of ``DOUBTS``."""
        for doubt in chain.from_iterable(doubts):
            self._row[self._doubts.slot[(doubt,)]] += 1.0

    def loaded(self, result: str) -> None:
        """Counts one load of a version; ``result`` is one of ``LOADS``."""
        self._row[self._loads.slot[(result,)]] += 1.0

    def serving(self, version: str, architecture: str, provider: str, fallback: bool) -> None:
        """Sets what this worker serves, for ``model_info`` and ``provider_fallback``."""
        info = {"version": version, "architecture": architecture[:100], "provider": provider}
        text = json.dumps(info | {"fallback": fallback}, ensure_ascii=False).encode()
        self._memory[_ROW_BYTES:] = text.ljust(_INFO_BYTES, b"\0")

    def champion_fault(self, there_is: bool) -> None:
        """Sets whether this worker cannot serve the version that the champion file names."""
        self._row[self._champion_fault.first] = there_is

    def exposition(self) -> bytes:
        """Returns the metrics of all workers as Prometheus text, format 0.0.4."""
        from service.observe.exposition import exposition

        return exposition(self._metrics, list(self._rows()))

    def _add(
        self,
        kind: Kind,
        name: str,
        text: str,
        bounds: Sequence[float] = (),
        **values: Sequence[str],
    ) -> Metric:
        """Adds a metric; ``values`` are the values of each of its labels."""
        first = self._metrics[-1].end if self._metrics else 0
        rows = tuple(product(*values.values()))
        metric = Metric(kind, name, text, tuple(values), rows, bounds, first)
        assert 8 * metric.end <= _ROW_BYTES, "the metrics outgrew their row"
        self._metrics.append(metric)
        return metric

    def _observe(self, histogram: Metric, first: int, value: float) -> None:
        row = self._row
        row[first + bisect_left(histogram.bounds, value)] += 1.0
        row[first + len(histogram.bounds) + 1] += value

    def _rows(self) -> Iterator[tuple[memoryview[float], dict[str, Any] | None]]:
        """Returns each worker's slots, and what it serves; None if the worker is dead."""
        if self._shared is None:
            yield self._row, _info(self._memory[_ROW_BYTES:])
            return
        for path in sorted(self._shared.glob("*.row")):
            data = path.read_bytes()
            if len(data) == _ROW_BYTES + _INFO_BYTES:
                row = memoryview(data)[:_ROW_BYTES].cast("d")
                yield row, _info(data[_ROW_BYTES:]) if _is_alive(int(path.stem)) else None


def _open_row(shared: Path | None) -> mmap.mmap:
    length = _ROW_BYTES + _INFO_BYTES
    if shared is None:
        return mmap.mmap(-1, length)
    with (shared / f"{os.getpid()}.row").open("w+b") as file:
        file.truncate(length)
        return mmap.mmap(file.fileno(), length)


def _info(data: bytes) -> dict[str, Any] | None:
    try:
        return dict(json.loads(data.rstrip(b"\0")))
    except ValueError:
        return None  # the worker serves nothing yet, or is just writing something else


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True
