"""The Makefile: one word a task, and one line where something is missing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_make_alone_lists_every_word() -> None:
    result = make()
    assert result.returncode == 0
    listed = re.findall(r"^make (\w+) +\S", result.stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert listed == phony[1].split()


def test_a_wrong_python_is_refused_in_one_line(tmp_path: Path) -> None:
    result = make("serve", "PYTHON=false", f"VENV={tmp_path}/venv")
    assert result.returncode == 2
    first, *_ = result.stderr.splitlines()
    assert first == "make: false is not Python 3.11, 3.12 or 3.13"
    assert not (tmp_path / "venv").exists()


def test_no_python_at_all_is_said_in_one_line(tmp_path: Path) -> None:
    result = make("serve", "PYTHON=", f"VENV={tmp_path}/venv")
    assert result.returncode == 2
    first, *_ = result.stderr.splitlines()
    assert first.startswith("make: no Python 3.11, 3.12 or 3.13 found; install one or name it")


def test_words_share_one_environment_and_repeat_nothing(tmp_path: Path) -> None:
    """After `make test` there is nothing to install for `make serve`, alone it takes one lock."""
    (tmp_path / ".python").touch()
    for stamp in (".serve", ".train", ".dev"):
        (tmp_path / stamp).touch()
    assert "pip" not in make("--dry-run", "serve", f"VENV={tmp_path}").stdout
    (tmp_path / ".serve").unlink()
    installs = make("--dry-run", "serve", f"VENV={tmp_path}").stdout
    assert re.findall(r"requirements/\w+\.txt into", installs) == ["requirements/serve.txt into"]
