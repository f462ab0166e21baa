"""Classifies the parts of a run: on threads of this process, or on the machines of Ray.

An engine yields the number and the rows of each part once, in any order. It raises
:class:`ScoreError` if it cannot go on, OSError if an input cannot be read.
"""

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any, NamedTuple

from service.classifier import Classifier
from service.score.inputs import Part, ScoreError
from service.score.rows import score

Parts = Sequence[tuple[int, Part]]
Scored = tuple[int, bytes]


class Job(NamedTuple):
    """What every worker needs: the repository's folder, the version, the ending of the result."""

    models: str
    version: str
    form: str


@lru_cache(maxsize=1)
def _classifier(job: Job) -> Classifier:
    """Returns the version, which each process loads once."""
    return Classifier(job.models, job.version)


def _score(job: Job, number: int, part: Part) -> Scored:
    return number, score(part, _classifier(job), job.form)


def _score_row(row: dict[str, Any]) -> dict[str, Any]:
    """Does a task of Ray Data; the number -1 marks why a file cannot be read."""
    try:
        number, content = _score(*pickle.loads(row["task"]))  # noqa: S301 - our own
    except OSError as error:
        number, content = -1, f"{error.filename}: {error.strerror}".encode()
    return {"number": number, "content": content}


def local(parts: Parts, job: Job, workers: int) -> Iterator[Scored]:
    """Classifies on threads: the model and the decoders release the interpreter's lock."""
    _classifier(job)
    with ThreadPoolExecutor(workers) as pool:
        waiting = set[Future[Scored]]()
        try:
            for number, part in parts:
                waiting.add(pool.submit(_score, job, number, part))
                if len(waiting) > workers:  # no more, since each may hold the rows of its part
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            yield from (each.result() for each in waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def connected(address: str | None) -> Any:
    """Returns Ray, in a cluster or, without an address, on this machine. Raises ScoreError."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ModuleNotFoundError:
        raise ScoreError("Ray is not installed; run: pip install 'mnist-serve[ray]'") from None
    is_named = address not in {None, "auto"}
    host, _, port = str(address).removeprefix("ray://").rpartition(":")
    if is_named and not (host and port.isdecimal()):
        raise ScoreError(f"no Ray at {address}: HOST:PORT, ray://HOST:PORT or auto is expected")
    try:
        if is_named:  # Ray itself would wait for a minute
            socket.create_connection((host, int(port)), 5).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        raise ScoreError(f"no Ray at {address}: {' '.join(str(error).split())[:300]}") from None
    return ray


def on_ray(parts: Parts, job: Job, workers: int | None, address: str | None) -> Iterator[Scored]:
    """Classifies on a cluster, or on this machine without an address.

    Ray repeats the tasks of nodes that die.
    """
    logging.disable(logging.WARNING)  # Ray Data tells each of its steps
    ray = connected(address)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        data = ray.data.from_items(
            [{"task": pickle.dumps((job, *numbered))} for numbered in parts],
            override_num_blocks=len(parts),
        )
        resources: dict[str, float] = ray.cluster_resources()
        most = workers or max(1, int(resources.get("CPU", 1)))
        for row in data.map(_score_row, concurrency=most).iter_rows():
            if row["number"] < 0:
                raise ScoreError(row["content"].decode())
            yield row["number"], row["content"]
    except ray.exceptions.RayError as error:
        raise ScoreError(f"Ray: {' '.join(str(error).split())[-300:]}") from None
    finally:
        ray.shutdown()
