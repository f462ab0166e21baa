"""``score --engine ray`` on real clusters on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

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
    for line in err.splitlines():
        assert ":info_message: Attempting to recover" in line or line.endswith(" left"), err
    assert f"{ROWS:,} images by version" in told  # Ray tells there that a node has died
    assert done < 12
    assert out.read_bytes() == local.read_bytes()


def test_two_workers_are_nearly_twice_as_fast_as_one(array: Path, tmp_path: Path) -> None:
    """The rate is that of the run itself, the start of Ray included."""
    if os.getloadavg()[0] > 0.5 or len(os.sched_getaffinity(0)) < 3:
        pytest.skip("two workers and their driver need three idle cores")
    seconds = {}
    for workers in ("1", "2"):
        began = time.monotonic()
        out = tmp_path / f"{workers}.csv"
        words = ("--out", out, "--models", MODELS, "--engine", "ray", "--workers", workers)
        assert score(*[array] * 8, *words)[0] == 0
        seconds[workers] = time.monotonic() - began
    assert seconds["1"] / seconds["2"] >= 1.7
