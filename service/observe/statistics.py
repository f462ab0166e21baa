"""What one version has done in one worker since it was loaded, for v2's ``statistics`` extension.

Source of the form: ``docs/protocol/extension_statistics.md`` of triton-inference-server/server.
"""

from __future__ import annotations

from time import time
from typing import Any

_STEPS = ("success", "compute_input", "queue", "compute_infer", "compute_output")


class Statistics:
    """Counts, and sums in seconds; only the worker's event loop adds to them."""

    def __init__(self) -> None:
        self._executions: dict[int, tuple[int, float]] = {}
        self._last = 0.0
        self._images = self._requests = self._failures = 0
        self._failed_s = 0.0
        self._sums = [0.0] * len(_STEPS)

    def ran(self, rows: int, seconds: float) -> None:
        """Counts one execution of the model on ``rows`` images."""
        count, total = self._executions.get(rows, (0, 0.0))
        self._executions[rows] = count + 1, total + seconds

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
        """Counts one answered request for ``rows`` images, and the seconds that its steps took."""
        self._requests += 1
        self._images += rows
        self._last = time()
        steps = (total_s, decode_s, queue_s, infer_s, answer_s)
        self._sums = [before + seconds for before, seconds in zip(self._sums, steps, strict=True)]

    def failed(self, seconds: float) -> None:
        """Counts one request that the queue admitted and the model did not answer."""
        self._failures += 1
        self._failed_s += seconds

    def as_dict(self, version: str) -> dict[str, Any]:
        """Returns the entry of ``model_stats`` for the version."""
        sums = zip(_STEPS, self._sums, strict=True)
        none = {step: _duration(0, 0.0) for step in ("cache_hit", "cache_miss")}
        return {
            "name": "mnist",
            "version": version,
            "last_inference": int(self._last * 1000),
            "inference_count": self._images,
            "execution_count": sum(count for count, _ in self._executions.values()),
            "inference_stats": {step: _duration(self._requests, total) for step, total in sums}
            | {"fail": _duration(self._failures, self._failed_s), **none},
            "response_stats": {},
            # Each request is decoded and answered alone: an execution has no share in either.
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": _duration(count, 0.0),
                    "compute_infer": _duration(count, seconds),
                    "compute_output": _duration(count, 0.0),
                }
                for rows, (count, seconds) in sorted(self._executions.items())
            ],
            "memory_usage": [],
        }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}
