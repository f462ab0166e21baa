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
MODULES = (
    *("service", "service.cli.keys", "service.cli.predict", "service.cli.score"),
    *("training", "training.cli.models"),
)
# What each shell does for a line and TAB. zsh's own completion system needs a terminal.
SHELLS = {
    "bash": """
complete_line() {
    COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMPREPLY=()
    _python_argcomplete ${1%% *}
    echo "$1:" ${COMPREPLY[@]}
}
""",
    "zsh": """
compdef() { }
_describe() { echo "$BUFFER:" ${${(P)2}%%:*} }
complete_line() {
    BUFFER=$1 CURSOR=${#1} words=(${=1})
    _python_argcomplete
}
""",
}
COMPLETED = {
    "models pro": "promote",
    "models promote --fo": "--force",
    "serve --provider c": "cpu cuda",
    "train --arch": "--architecture",
    "predict --js": "--json",
    "score --eng": "--engine",
    "score --engine r": "ray",
    "keys re": "revoke",
    "keys add lab --sc": "--scope",
}


@pytest.mark.parametrize("module", MODULES)
def test_every_command_prints_its_version_and_its_help(module: str) -> None:
    for flag, start in (("--version", f"mnist-serve {__version__}\n"), ("--help", "usage: ")):
        command = [sys.executable, "-m", module, flag]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(start)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_the_commands(tmp_path: Path, shell: str) -> None:
    """With the console scripts of this environment, turned on by the documented line."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    turn_on = 'eval "$(register-python-argcomplete serve predict score train models keys)"'
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MNIST_MODELS": str(tiny_repository(tmp_path, versions=(3, 42))),
    }
    lines = [f"complete_line '{line}'" for line in COMPLETED]
    script = "\n".join([SHELLS[shell], turn_on, *lines])
    done = subprocess.run(
        [shell, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    found = [line.split(":", 1) for line in done.stdout.splitlines()]
    assert {line: " ".join(words.split()) for line, words in found} == COMPLETED
