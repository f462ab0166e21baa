"""What a version has done since it was loaded, for v2's ``statistics`` extension.

Source of the form: ``docs/protocol/extension_statistics.md`` of triton-inference-server/server.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

_STEPS = ("success", "compute_input", "queue", "compute_infer", "compute_output")
"""The whole request, decoding, waiting, executing, and building the answer."""
MOST_ANSWERS = 1024


class Statistics:
    """Counts, and sums in seconds, of one worker; only its event loop adds to them.

    Who answers appends to ``answers`` and ``executions`` itself, which costs no call.
    """

    def __init__(self) -> None:
        self.executions = defaultdict[int, list[float]](lambda: [0.0, 0.0])
        """By the images of an execution: how many there were, and their seconds."""
        self.answers = list[tuple[float, ...]]()
        """The images, the time of the answer, and the seconds of ``_STEPS``, of each request since
        the last :meth:`sum_up`, which is due at ``MOST_ANSWERS``."""
        self._sums = defaultdict[str, float](float)
        self._last = 0.0

    def sum_up(self) -> None:
        """Adds the ``answers`` to the sums."""
        if self.answers:
            rows, times, *steps = zip(*self.answers, strict=True)
            self._last = times[-1]
            self._sums["requests"] += len(rows)
            for name, values in zip(("images", *_STEPS), (rows, *steps), strict=True):
                self._sums[name] += sum(values)
            self.answers.clear()

    def failed(self, seconds: float) -> None:
        """Counts one request that the queue admitted and the model did not answer."""
        self._sums["failures"] += 1
        self._sums["fail"] += seconds

    def told(self) -> dict[str, Any]:
        """Returns what :func:`joined` reads."""
        self.sum_up()
        runs = {str(rows): run for rows, run in self.executions.items()}
        return {"last": self._last, "sums": self._sums, "runs": runs}


def joined(version: str, workers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns the version's entry of ``model_stats`` from what each worker has told."""
    sums, last = Counter[str](), 0.0
    runs = defaultdict[int, list[float]](lambda: [0.0, 0.0])
    for each in workers:
        last = max(last, each["last"])
        sums.update(each["sums"])
        for rows, run in each["runs"].items():
            runs[int(rows)] = [one + other for one, other in zip(runs[int(rows)], run, strict=True)]
    steps = {name: _duration(sums["requests"], sums[name]) for name in _STEPS}
    steps["fail"] = _duration(sums["failures"], sums["fail"])

    def share(rows: int, count: float, step: str) -> dict[str, int]:
        """Each request is decoded and answered alone: an execution has its images' share."""
        return _duration(count, sums[step] * min(1.0, rows * count / max(1, sums["images"])))

    return {
        "name": "mnist",
        "version": version,
        "last_inference": int(last * 1000),
        "inference_count": int(sums["images"]),
        "execution_count": int(sum(count for count, _ in runs.values())),
        "inference_stats": steps | dict.fromkeys(("cache_hit", "cache_miss"), _duration(0, 0.0)),
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": share(rows, count, "compute_input"),
                "compute_infer": _duration(count, seconds),
                "compute_output": share(rows, count, "compute_output"),
            }
            for rows, (count, seconds) in sorted(runs.items())
        ],
        "memory_usage": [],
    }


def _duration(count: float, seconds: float) -> dict[str, int]:
    return {"count": int(count), "ns": round(seconds * 1e9)}
