"""Rules for every test."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

IN_CI = os.environ.get("CI") == "true"

# `make test` generates the same examples each time; `make campaign` generates many new ones.
settings.register_profile("test", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("campaign", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("test")


def pytest_collectstart() -> None:
    """Looks for no garbage while pytest collects: thousands of tests stay, and none is garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Looks for garbage from now on, but never among the tests and the modules."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the short files of training to the end, so that no long file runs alone there.

    Each file is one process's. Those of training come last, since TensorFlow stays loaded.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: "training" in item.path.parts and item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, fails a skipped test, except one that needs a GPU: CI has everything else."""
    report = yield
    if IN_CI and not item.get_closest_marker("gpu") and not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI, fails a module that skips itself during collection."""
    report = yield
    if IN_CI:
        _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"refused in CI: {reason}"
