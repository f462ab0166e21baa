"""What all commands share: the version, and completion in bash and zsh as a user turns it on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service import __version__
from tests.tiny import tiny_repository

HERE = Path(__file__).parents[3]
MODULES = {
    "serve": "service",
    "predict": "service.cli.predict",
    "train": "training",
    "models": "training.cli.models",
}
TURN_ON = 'eval "$(register-python-argcomplete serve predict train models)"'
# What each shell does when a user types the line $1 and presses TAB: one completion a line.
SHELLS = {
    "bash": """
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
_python_argcomplete ${1%% *}
printf '%s\\n' "${COMPREPLY[@]}"
""",
    "zsh": """
_describe() { print -rl -- ${(P)2} }
BUFFER=$1 CURSOR=${#1} words=(${=1})
_python_argcomplete
""",
}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_every_command_prints_its_version_and_its_help(module: str) -> None:
    for flag, start in (("--version", f"mnist-serve {__version__}\n"), ("--help", "usage: ")):
        command = [sys.executable, "-m", module, flag]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(start)


@pytest.fixture
def scripts(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has the four commands and argcomplete's own."""
    for name, module in MODULES.items():
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\ncd {HERE} && exec {sys.executable} -m {module} "$@"\n')
        script.chmod(0o755)
    register = tmp_path / "register-python-argcomplete"
    code = "from argcomplete.scripts.register_python_argcomplete import main; main()"
    register.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    register.chmod(0o755)
    models = str(tiny_repository(tmp_path / "models", versions=(3, 42)))
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "MNIST_MODELS": models}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("models pro", {"promote"}),
        ("models promote --tol", {"--tolerance"}),
        ("models show 4", {"42"}),
        ("models --models nowhere show 4", set()),
        ("serve --provider c", {"cpu", "cuda"}),
        ("train --arch", {"--architecture"}),
        ("predict --js", {"--json"}),
    ],
)
def test_a_shell_completes_the_commands(
    scripts: dict[str, str], shell: str, line: str, completions: set[str]
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    start = "compdef() { }\n" if shell == "zsh" else ""  # its completion system needs a terminal
    done = subprocess.run(
        [shell, "-c", start + TURN_ON + SHELLS[shell], shell, line],
        env=scripts,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {word.split(":")[0].strip() for word in done.stdout.splitlines()}
    assert found - {""} == completions
