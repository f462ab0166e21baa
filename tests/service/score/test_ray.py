"""``score --engine ray`` on real clusters on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from service.score.engines import on_ray, pack, score_packed
from service.score.inputs import Inputs
from tests.deploy.cluster import cluster
from tests.service.decode.samples import digits
from tests.service.imaging.champion import MODELS
from tests.service.score.running import ROOT, score, start

ROWS = 16_384 * 12
# Two clusters on one machine find each other, and the warnings are Ray's own.
pytestmark = [pytest.mark.campaign, pytest.mark.alone, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("array") / "a.npy"
    np.save(file, np.resize(digits(), (ROWS, 28, 28)))
    return file


def test_a_node_that_dies_costs_no_row_and_makes_none_twice(array: Path, tmp_path: Path) -> None:
    """The rows are those of the local engine, in the same order."""
    local, out = tmp_path / "local.csv", tmp_path / "ray.csv"
    assert score(array, "--out", local, "--models", MODELS)[0] == 0
    with cluster({"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}, cores=1) as running:
        address = running[0].address
        words = ("--out", out, "--models", MODELS, "--engine", "ray", "--address", address)
        process = start(array, *words)
        while len(list(Path(f"{out}.parts").glob("[0-9]"))) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        running[0].remove_node(running[1][0], allow_graceful=False)
        done = len(list(Path(f"{out}.parts").glob("*[0-9]")))
        told, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    # Ray itself tells of results that the dead node alone held.
    assert all(":info_message: Attempting to recover" in line for line in err.splitlines()), err
    assert f"{ROWS:,} images by version" in told  # Ray tells there that a node has died
    assert done < 12
    assert out.read_bytes() == local.read_bytes()


def test_two_workers_are_nearly_twice_as_fast_as_one(array: Path) -> None:
    """As two bare processes beside one, in the same minute on the same cores: 1.7 of their 2."""
    parts = list(enumerate(Inputs([str(array)] * 2).parts()))

    def in_processes(workers: int) -> Iterator[object]:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            packed = zip(*(pack(*part) for part in parts), strict=True)
            yield from pool.map(partial(score_packed, str(MODELS), 7), *packed)

    def on_ray_here(workers: int) -> Iterator[object]:
        yield from on_ray(parts, str(MODELS), 7, workers, None)

    def rate(results: Iterator[object], workers: int) -> float:
        """Parts a second, from the first of each worker to the last."""
        times = [time.monotonic() for _ in results]
        return (len(times) - workers) / (times[-1] - times[workers - 1])

    bare, ours = (rate(do(2), 2) / rate(do(1), 1) for do in (in_processes, on_ray_here))
    print(f"two workers beside one: {ours:.2f} x, bare processes {bare:.2f} x")
    assert ours >= 1.7 / 2 * bare
