"""The Makefile: one target a task, and one line of error where something is missing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = ("MAKE", "MFLAGS", "MARKS", "ARGS", "PYTHON", "VENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(inherited)}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_make_alone_lists_every_target() -> None:
    result = make()
    assert result.returncode == 0
    listed = re.findall(r"^make (\w+) +\S", result.stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert listed == phony[1].split()


def test_the_tests_say_how_long_they_take_and_leave_the_campaign_out(tmp_path: Path) -> None:
    (tmp_path / ".perf").touch()
    told, parallel, alone, *_ = make("--dry-run", "test", f"VENV={tmp_path}").stdout.splitlines()[
        -3:
    ]
    assert re.search(r"about \d+ minutes on two cores", told)
    assert '-m "(not campaign) and not alone" --numprocesses 4' in parallel
    assert '-m "(not campaign) and alone"' in alone


@pytest.mark.parametrize(
    ("arguments", "opens"),
    [("ARGS=--port 1", True), ("ARGS=--host 0.0.0.0", False), ("MNIST_KEYS=keys", False)],
)
def test_serve_opens_everything_on_loopback_alone(
    tmp_path: Path, arguments: str, opens: bool
) -> None:
    (tmp_path / ".serve").touch()
    started = make("--dry-run", "serve", arguments, f"VENV={tmp_path}").stdout
    assert ("--open predict,evaluate,review,admin,metrics" in started) == opens


def test_a_wrong_python_is_refused_in_one_line(tmp_path: Path) -> None:
    result = make("serve", "PYTHON=false", f"VENV={tmp_path}/venv")
    assert result.returncode == 2
    first, *_ = result.stderr.splitlines()
    assert first == "make: false is not Python 3.11, 3.12 or 3.13"
    assert not (tmp_path / "venv").exists()


def test_without_any_python_it_fails_in_one_line(tmp_path: Path) -> None:
    result = make("serve", "PYTHON=", f"VENV={tmp_path}/venv")
    assert result.returncode == 2
    first, *_ = result.stderr.splitlines()
    assert first.startswith("make: no Python 3.11, 3.12 or 3.13 found; install one or name it")


def test_targets_share_one_environment_and_repeat_nothing(tmp_path: Path) -> None:
    """After `make test`, `make serve` installs nothing; alone, it installs one lock."""
    (tmp_path / ".python").touch()
    for stamp in (".serve", ".train", ".dev"):
        (tmp_path / stamp).touch()
    assert "pip" not in make("--dry-run", "serve", f"VENV={tmp_path}").stdout
    (tmp_path / ".serve").unlink()
    installs = make("--dry-run", "serve", f"VENV={tmp_path}").stdout
    assert re.findall(r"requirements/\w+\.txt into", installs) == ["requirements/serve.txt into"]
