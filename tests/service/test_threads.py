"""How many threads a worker takes, from quotas and affinities that really are there or are made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.threads import cpu_quota, usable_cores, worker_threads


def _v2(root: Path, content: str) -> Path:
    (root / "cpu.max").write_text(content)
    return root


def _v1(root: Path, quota: str, period: str) -> Path:
    (root / "cpu").mkdir()
    (root / "cpu/cpu.cfs_quota_us").write_text(quota)
    (root / "cpu/cpu.cfs_period_us").write_text(period)
    return root


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2.0),
        ("50000 100000\n", 0.5),
        ("150000 100000\n", 1.5),
        ("", None),
        ("nonsense\n", None),
        ("100000 0\n", None),
    ],
)
def test_a_version_2_quota_is_quota_by_period(
    tmp_path: Path, content: str, cores: float | None
) -> None:
    assert cpu_quota(_v2(tmp_path, content)) == cores


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [
        ("-1\n", "100000\n", None),
        ("250000\n", "100000\n", 2.5),
        ("100000\n", "0\n", None),
        ("x\n", "1\n", None),
    ],
)
def test_a_version_1_quota_is_quota_by_period(
    tmp_path: Path, quota: str, period: str, cores: float | None
) -> None:
    assert cpu_quota(_v1(tmp_path, quota, period)) == cores


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "nowhere") is None


def test_the_lesser_of_affinity_and_quota_counts_but_never_less_than_one(tmp_path: Path) -> None:
    mask = os.sched_getaffinity(0)
    assert usable_cores(_v2(tmp_path, "max 100000")) == len(mask)
    assert usable_cores(_v2(tmp_path, f"{100_000 * (len(mask) + 5)} 100000")) == len(mask)
    assert usable_cores(_v2(tmp_path, "30000 100000")) == 1.0
    try:
        os.sched_setaffinity(0, {min(mask)})
        assert usable_cores(_v2(tmp_path, "max 100000")) == 1.0
    finally:
        os.sched_setaffinity(0, mask)


def test_the_cores_are_divided_among_the_workers_and_each_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cores, workers, threads in [(8.0, 2, 4), (7.9, 2, 3), (2.0, 2, 1), (1.0, 16, 1)]:
        monkeypatch.setattr("service.threads.usable_cores", lambda cores=cores: cores)
        assert worker_threads(workers) == threads
