"""The service's figures: counters and histograms that cost a request next to nothing.

Every worker adds to a row of float64 slots in memory that all workers share, and a scrape sums the
rows; so the sums are right with any number of workers, and a worker that died keeps its share.
``service.observe.exposition`` writes the text, only when it is asked for.

The layout is fixed by the code, so no label can grow without bound.
"""

from __future__ import annotations

import json
import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from service.observe.metric_types import Counter, Gauge, Histogram

OTHER = "other"

STATUSES = (200, 304, 400, 404, 405, 408, 413, 414, 415, 422, 429, 431, 499, 500, 503, 504)
REJECTIONS = ("queue_full", "bodies_full", "deadline", "left")
DOUBTS = (
    "blank",
    "not a digit",
    "several digits",
    "too small",
    "low contrast",
    "inverted",
)
LOADS = ("loaded", "failed")
# 10 microseconds to 100 seconds, in steps of 2 to 2.5.
SECONDS = (
    *(round(step * 10.0**power, 7) for power in range(-5, 2) for step in (1.0, 2.0, 5.0)),
    100.0,
)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_SLOTS = 8192
_INFO_BYTES = 1024


class Metrics:
    """One worker's figures, and through ``shared`` those of all workers.

    With ``shared`` None the figures are this process's alone; else it is a folder that exists,
    empty at the start of the service.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._queue_seconds = Histogram("queue_seconds", "Waiting for a run.", SECONDS)
        self._inference_seconds = Histogram("inference_seconds", "One run of the model.", SECONDS)
        self._batch_size = Histogram("batch_size", "Images in one run of the model.", ROWS)
        self._rejected = Counter(
            "rejected", "Requests given up, by reason.", ("reason",), ((r,) for r in REJECTIONS)
        )
        self._predictions = Counter(
            "predictions", "Digits answered.", ("digit",), ((str(d),) for d in range(10))
        )
        self._doubts = Counter("doubts", "Doubts told.", ("doubt",), ((d,) for d in DOUBTS))
        self._loads = Counter(
            "model_loads", "Model versions loaded.", ("result",), ((r,) for r in LOADS)
        )
        self._queue_rows = Gauge("queue_rows", "Images waiting now.")
        self._champion_fault = Gauge(
            "champion_fault", "Workers that cannot serve what the champion file names."
        )
        self._families: list[Counter] = []
        self._request_slots: dict[str, tuple[int, dict[int, int]]] = {}
        self._place(
            self._queue_seconds,
            self._inference_seconds,
            self._batch_size,
            self._rejected,
            self._predictions,
            self._doubts,
            self._loads,
            self._queue_rows,
            self._champion_fault,
        )
        self._shared = shared
        self._memory = _open_row(shared)
        self._row = memoryview(self._memory)[: _SLOTS * 8].cast("d")

    def add_endpoints(self, endpoints: Iterable[str]) -> None:
        """Makes room for the figures of each route's path; called once, before any request."""
        paths = sorted({*endpoints, OTHER})
        requests = Counter(
            "requests",
            "Requests by route and status (499: the caller left).",
            ("endpoint", "status"),
            ((path, str(status)) for path in paths for status in STATUSES),
        )
        self._request_seconds = Histogram(
            "request_seconds",
            "From the request's head to its answer, by route.",
            SECONDS,
            ("endpoint",),
            ((path,) for path in paths),
        )
        self._place(requests, self._request_seconds)
        self._request_slots = {
            path: (
                self._request_seconds.slot[(path,)],
                {status: requests.slot[(path, str(status))] for status in STATUSES},
            )
            for path in paths
        }

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        slots = self._request_slots.get(endpoint)
        if slots is None:
            slots = self._request_slots[OTHER]
        first, statuses = slots
        self._row[statuses.get(status) or statuses[500]] += 1.0
        self._observe(self._request_seconds, first, seconds)

    def ran(self, rows: int, seconds: float) -> None:
        """Counts one run of the model."""
        self._observe(self._batch_size, self._batch_size.first, rows)
        self._observe(self._inference_seconds, self._inference_seconds.first, seconds)

    def waited(self, seconds: float) -> None:
        """Counts one request's wait for its first run."""
        self._observe(self._queue_seconds, self._queue_seconds.first, seconds)

    def queued(self, rows: int) -> None:
        """Sets how many images wait now."""
        self._row[self._queue_rows.first] = rows

    def rejected(self, reason: str) -> None:
        """Counts a request given up; ``reason`` is one of ``REJECTIONS``."""
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
        """Counts one model load; ``result`` is one of ``LOADS``."""
        self._row[self._loads.slot[(result,)]] += 1.0

    def serving(self, version: str, architecture: str, provider: str, fallback: bool) -> None:
        """Says what this worker serves now, for ``model_info`` and ``provider_fallback``."""
        info = {
            "version": version,
            "architecture": architecture[:100],
            "provider": provider,
            "fallback": fallback,
        }
        text = json.dumps(info, ensure_ascii=False).encode()
        self._memory[_SLOTS * 8 :] = text.ljust(_INFO_BYTES, b"\0")

    def champion_fault(self, there_is: bool) -> None:
        """Says whether the version that the champion file names cannot be served."""
        self._row[self._champion_fault.first] = there_is

    def exposition(self) -> bytes:
        """All workers' figures in Prometheus' text format 0.0.4."""
        from service.observe.exposition import exposition

        return exposition(self._families, list(self._rows()))

    def _place(self, *families: Counter) -> None:
        for family in families:
            last = self._families[-1] if self._families else None
            family.place(last.first + last.size if last else 0)
            assert family.first + family.size <= _SLOTS, "the figures outgrew their row"
            self._families.append(family)

    def _observe(self, family: Histogram, first: int, value: float) -> None:
        row = self._row
        row[first + bisect_left(family.bounds, value)] += 1.0
        row[first + family.width - 1] += value

    def _rows(self) -> Iterator[tuple[memoryview[float], dict[str, Any] | None]]:
        """Each worker's slots, and what it serves where it is alive."""
        if self._shared is None:
            yield self._row, _info(self._memory[_SLOTS * 8 :])
            return
        for path in sorted(self._shared.glob("*.row")):
            data = path.read_bytes()
            if len(data) == _SLOTS * 8 + _INFO_BYTES:
                alive = _is_alive(int(path.stem))
                row = memoryview(data)[: _SLOTS * 8].cast("d")
                yield row, _info(data[_SLOTS * 8 :]) if alive else None


def _open_row(shared: Path | None) -> mmap.mmap:
    length = _SLOTS * 8 + _INFO_BYTES
    if shared is None:
        return mmap.mmap(-1, length)
    with (shared / f"{os.getpid()}.row").open("w+b") as file:
        file.truncate(length)
        return mmap.mmap(file.fileno(), length)


def _info(data: bytes) -> dict[str, Any] | None:
    try:
        info: dict[str, Any] = json.loads(data.rstrip(b"\0"))
    except ValueError:
        return None  # nothing is served yet, or just now something else
    return info


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
