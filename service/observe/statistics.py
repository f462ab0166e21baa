"""What one loaded version has done in this worker, for the ``statistics`` extension of v2.

Source of the form: ``docs/protocol/extension_statistics.md`` of triton-inference-server/server.
"""

from __future__ import annotations

from time import time
from typing import Any


class Statistics:
    """Counts and sums in seconds since the version was loaded; one worker's event loop adds."""

    def __init__(self) -> None:
        self._runs: dict[int, list[float]] = {}
        self._last = 0.0
        self._images = 0
        self._requests = 0
        self._failures = 0
        self._failed_s = self._total_s = self._decode_s = 0.0
        self._queue_s = self._infer_s = self._answer_s = 0.0

    def ran(self, rows: int, seconds: float) -> None:
        """Counts one run of the model."""
        run = self._runs.get(rows)
        if run is None:
            run = self._runs[rows] = [0.0, 0.0]
        run[0] += 1.0
        run[1] += seconds

    def answered(
        self,
        rows: int,
        *,
        total_s: float,
        decode_s: float,
        queue_s: float,
        infer_s: float,
        answer_s: float,
    ) -> None:
        """Counts one request whose answer is built, with its times in seconds."""
        self._requests += 1
        self._images += rows
        self._last = time()
        self._total_s += total_s
        self._decode_s += decode_s
        self._queue_s += queue_s
        self._infer_s += infer_s
        self._answer_s += answer_s

    def failed(self, seconds: float) -> None:
        """Counts one request that was let in and then could not be run."""
        self._failures += 1
        self._failed_s += seconds

    def as_dict(self, version: str) -> dict[str, Any]:
        """The entry of ``model_stats`` for the version."""
        requests = self._requests
        return {
            "name": "mnist",
            "version": version,
            "last_inference": int(self._last * 1000),
            "inference_count": self._images,
            "execution_count": int(sum(count for count, _ in self._runs.values())),
            "inference_stats": {
                "success": _duration(requests, self._total_s),
                "fail": _duration(self._failures, self._failed_s),
                "queue": _duration(requests, self._queue_s),
                "compute_input": _duration(requests, self._decode_s),
                "compute_infer": _duration(requests, self._infer_s),
                "compute_output": _duration(requests, self._answer_s),
                "cache_hit": _duration(0, 0.0),
                "cache_miss": _duration(0, 0.0),
            },
            "response_stats": {},
            # Requests are decoded and answered one by one, so a run has no share in either.
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": _duration(int(count), 0.0),
                    "compute_infer": _duration(int(count), seconds),
                    "compute_output": _duration(int(count), 0.0),
                }
                for rows, (count, seconds) in sorted(self._runs.items())
            ],
            "memory_usage": [],
        }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}
