"""What one version has done in one worker since it was loaded, for v2's ``statistics`` extension.

Source of the form: ``docs/protocol/extension_statistics.md`` of triton-inference-server/server.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

_STEPS = ("success", "compute_input", "queue", "compute_infer", "compute_output")
"""The whole request, decoding, waiting, executing, and building the answer."""

MOST_ANSWERS = 1024


class Statistics:
    """Counts, and sums in seconds; only the worker's event loop adds to them.

    Who answers appends to ``answers`` and ``executions`` itself, which costs no call.
    """

    def __init__(self) -> None:
        self.executions = defaultdict[int, list[float]](lambda: [0.0, 0.0])
        """By the images of an execution: how many there were, and their seconds."""
        self.answers = list[tuple[float, ...]]()
        """The images, the time of the answer, and the seconds of ``_STEPS``, of each request since
        the last :meth:`sum_up`, which is due at ``MOST_ANSWERS``."""
        self._last = self._failed_s = 0.0
        self._images = self._requests = self._failures = 0
        self._steps = [0.0] * len(_STEPS)

    def sum_up(self) -> None:
        """Adds the ``answers`` to the sums."""
        if self.answers:
            rows, times, *steps = zip(*self.answers, strict=True)
            self._requests += len(rows)
            self._images += int(sum(rows))
            self._last = times[-1]
            self._steps = [s + sum(more) for s, more in zip(self._steps, steps, strict=True)]
            self.answers.clear()

    def failed(self, seconds: float) -> None:
        """Counts one request that the queue admitted and the model did not answer."""
        self._failures += 1
        self._failed_s += seconds

    def as_dict(self, version: str) -> dict[str, Any]:
        """Returns the entry of ``model_stats`` for the version."""
        self.sum_up()
        decode_s, answer_s = self._steps[1], self._steps[4]
        return {
            "name": "mnist",
            "version": version,
            "last_inference": int(self._last * 1000),
            "inference_count": self._images,
            "execution_count": int(sum(count for count, _ in self.executions.values())),
            "inference_stats": {
                **{
                    s: _duration(self._requests, t)
                    for s, t in zip(_STEPS, self._steps, strict=True)
                },
                "fail": _duration(self._failures, self._failed_s),
                **dict.fromkeys(("cache_hit", "cache_miss"), _duration(0, 0.0)),
            },
            "response_stats": {},
            # Each request is decoded and answered alone: an execution has its images' share.
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": _duration(count, decode_s * self._share(rows, count)),
                    "compute_infer": _duration(count, seconds),
                    "compute_output": _duration(count, answer_s * self._share(rows, count)),
                }
                for rows, (count, seconds) in sorted(self.executions.items())
            ],
            "memory_usage": [],
        }

    def _share(self, rows: int, executions: float) -> float:
        """The share of all answered images that these executions had."""
        return min(1.0, rows * executions / max(1, self._images))


def joined(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns one entry of ``model_stats`` for several workers' entries; the first one is whole."""
    whole, *others = entries
    for entry in filter(None, others):
        whole["last_inference"] = max(whole["last_inference"], entry["last_inference"])
        for name in ("inference_count", "execution_count"):
            whole[name] += entry[name]
        whole["inference_stats"] = _sum(whole["inference_stats"], entry["inference_stats"])
        batches = {each["batch_size"]: each for each in whole["batch_stats"]}
        for each in entry["batch_stats"]:
            size = each.pop("batch_size")
            batches[size] = _sum(batches.get(size, {}), each) | {"batch_size": size}
        whole["batch_stats"] = [batches[size] for size in sorted(batches)]
    return whole


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Returns the sums of durations by their names; ``other`` has all of them."""
    return {
        name: {key: value + one.get(name, {}).get(key, 0) for key, value in durations.items()}
        for name, durations in other.items()
    }


def _duration(count: float, seconds: float) -> dict[str, int]:
    return {"count": int(count), "ns": round(seconds * 1e9)}
