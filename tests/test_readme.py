"""The README holds: its commands work as written, its answers are real, no setting is missing."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import PREFIX, Settings
from tests import readme_rows
from tests.server import Server, serving
from training.cli.flags import parse

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
ADDRESS = "localhost:8000"

# Commands that a test cannot run are run elsewhere, as they are written.
RUN_ELSEWHERE = {
    "make serve": ".ci/fresh_start.py",
    "make test": ".ci/run",
    "make train": "Makefile",
    "docker build -t mnist-serve .": ".ci/run",
    "docker run": ".ci/run",
    "docker compose up": ".ci/run",
    "docker compose run --rm train": ".ci/run",
    "kubectl apply -f deploy/kubernetes.yaml": "tests/test_deploy.py",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """Each command of the console blocks with what it should print."""
    found = []
    for block in blocks("console"):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, *rest = example.splitlines()
            command = [first]
            while rest and rest[0].startswith("> "):
                command.append(rest.pop(0).removeprefix("> "))
            found.append(("\n".join(command), "\n".join(rest)))
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("readme") / "serve.log"
    with serving(ROOT / "models", log) as server:
        yield server


def test_every_example_prints_what_it_is_said_to_print(server: Server, tmp_path: Path) -> None:
    """In order, in a shell, with the environment's commands on the path."""
    for name in ("models", "tests", "training"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    checker = doctest.OutputChecker()
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    address = f"{server.host}:{server.port}"
    assert examples()
    for command, expected in examples():
        done = subprocess.run(
            ["bash", "-c", command.replace(ADDRESS, address)],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        printed = done.stdout.strip()
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert checker.check_output(expected.strip() + "\n", printed + "\n", options), (
            f"{command}\nprinted:\n{printed}\nREADME says:\n{expected}"
        )


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_every_other_command_is_understood(line: str) -> None:
    program, *arguments = shlex.split(line)
    if program == "train":
        parse([a.replace("/path/to/idx/files", str(ROOT / "training/mnist")) for a in arguments])
    else:
        assert any(line.startswith(known) for known in RUN_ELSEWHERE), line


def test_the_champions_figures_are_those_of_its_card() -> None:
    """If not: ``python -m tests.readme_rows`` writes them anew."""
    assert readme_rows.PLACE.findall(README) == [readme_rows.rows()]


def test_every_setting_is_told_with_its_default() -> None:
    table = dict(re.findall(rf"^\| `({PREFIX}\w+)` \| (.*?) \|", README, re.MULTILINE))
    assert set(table) == {PREFIX + name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert float(table[PREFIX + name.upper()]) == field.default
