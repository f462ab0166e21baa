"""In CI a skipped test fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPED = 'import pytest\n@pytest.mark.skip(reason="no Chromium")\ndef test_it(): pass\n'
MODULE = 'import pytest\npytest.skip("no podman", allow_module_level=True)\n'
GPU = f"import pytest\npytestmark = pytest.mark.gpu\n{SKIPPED}"
XFAIL = "import pytest\n@pytest.mark.xfail\ndef test_it(): raise AssertionError\n"


def run_pytest(folder: Path, test: str, ci: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    gpu: needs a CUDA device\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)]
    environment = {**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("test", "reason"), [(SKIPPED, "no Chromium"), (MODULE, "no podman")])
def test_a_skip_fails_in_ci_and_says_why(tmp_path: Path, test: str, reason: str) -> None:
    result = run_pytest(tmp_path, test, ci="true")
    assert result.returncode != 0
    assert f"refused in CI: Skipped: {reason}" in result.stdout


def test_a_skip_stays_a_skip_elsewhere(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, SKIPPED, ci="")
    assert result.returncode == 0
    assert "1 skipped" in result.stdout


@pytest.mark.parametrize(("test", "outcome"), [(GPU, "1 skipped"), (XFAIL, "1 xfailed")])
def test_gpu_tests_may_skip_and_expected_failures_stay(
    tmp_path: Path, test: str, outcome: str
) -> None:
    result = run_pytest(tmp_path, test, ci="true")
    assert result.returncode == 0, result.stdout
    assert outcome in result.stdout
