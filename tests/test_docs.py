"""The documentation holds: commands work as written, answers are real, links lead somewhere."""

from __future__ import annotations

import ast
import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.serve import parse_settings
from service.settings import PREFIX
from tests.server import Server, serving
from tests.write_docs import DOCUMENTS, ROOT, with_generated_parts
from training.cli.flags import parse
from training.cli.subcommands import parse_command

TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in DOCUMENTS}
ADDRESS = "localhost:8000"

# Commands that take long or need a container are run elsewhere, as they are written.
RUN_ELSEWHERE = {
    "make serve": ".ci/fresh_start.py",
    "make test": ".ci/run",
    "make check": ".ci/run",
    "make campaign": ".ci/run",
    "make train": "Makefile",
    "python -m build": "tests/test_packaging.py",
    "pip install": "tests/test_packaging.py",
    "docker build -t mnist-serve .": ".ci/run",
    "docker run": ".ci/run",
    "docker compose": ".ci/run",
    "kubectl apply -f deploy/kubernetes.yaml": "tests/deploy/test_manifests.py",
    "kubectl apply -f deploy/kserve/": "tests/deploy/test_kserve.py",
    "kubectl apply -f deploy/ray/": "tests/deploy/test_ray.py",
    "python -m ray.serve.scripts": "tests/deploy/test_ray.py",
    "python deploy/ray/fleet.py": "tests/deploy/test_ray.py",
    "score ": "tests/service/score/test_inputs.py",
    "find /data": "tests/service/score/test_inputs.py",
    "helm install": "tests/deploy/test_chart.py",
    "promtool test rules deploy/monitoring/alerts_test.yaml": "tests/deploy/test_alerts.py",
    "python -m tests.deploy.render": "tests/deploy/render.py",
    'curl -H "traceparent: ': "tests/e2e/test_traces.py",
    "uvicorn service.app:create_app --factory": "tests/service/test_app.py",
    "hypercorn": "tests/service/test_app.py",
    "granian": "tests/service/test_app.py",
}

# What CONTRIBUTING says to create.
TO_BE_CREATED = {"service/decode/csv_rows.py", "training/recipes/mine.toml"}


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def examples(text: str) -> list[tuple[str, str]]:
    """Each command of the console blocks with what it should print."""
    found = []
    for block in blocks("console", text):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, *rest = example.splitlines()
            command = [first]
            while rest and rest[0].startswith(">"):
                command.append(rest.pop(0).removeprefix(">").removeprefix(" "))
            found.append(("\n".join(command), "\n".join(rest)))
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("docs")
    store = f"sqlite:///{folder}/store"
    with serving(ROOT / "models", folder / "serve.log", "--store", store) as server:
        yield server


@pytest.fixture
def learning(tmp_path: Path) -> Iterator[Server]:
    flags = ("--open", "predict,review", "--capture", "1", "--store", f"sqlite:///{tmp_path}/a")
    with serving(ROOT / "models", tmp_path / "serve.log", *flags) as server:
        yield server


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if examples(text)])
def test_every_example_prints_what_the_document_says(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    """In order, in a shell, with the environment's commands on the path."""
    for folder in ("models", "tests", "training"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    checker = doctest.OutputChecker()
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    kind = "learning" if name == "docs/learning.md" else "server"
    server: Server = request.getfixturevalue(kind)
    address = f"{server.host}:{server.port}"
    for command, expected in examples(TEXTS[name]):
        done = subprocess.run(
            ["bash", "-c", command.replace(ADDRESS, address)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        printed = done.stdout.strip()
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert checker.check_output(expected.strip() + "\n", printed + "\n", options), (
            f"{command}\nprinted:\n{printed}\n{name} says:\n{expected}"
        )


@pytest.mark.parametrize(
    "line",
    sorted({line for text in TEXTS.values() for line in "".join(blocks("sh", text)).splitlines()}),
)
def test_every_other_command_is_understood(line: str) -> None:
    program, *arguments = shlex.split(line)
    environment = {}
    while "=" in program:
        name, _, environment[name] = program.partition("=")
        program, *arguments = arguments
    if program == "train":
        parse([a.replace("/path/to/idx/files", str(ROOT / "training/mnist")) for a in arguments])
    elif program == "models":
        parse_command(arguments)
    elif program == "serve":
        parse_settings(arguments, environment)
    else:
        places = [place for known, place in RUN_ELSEWHERE.items() if line.startswith(known)]
        assert places, line
        assert (ROOT / places[0]).exists()


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", TEXTS[name], flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r'src="([^"]+)"', prose)
    for link in links:
        if link.startswith("http"):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings]
            assert anchor in slugs, link


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_is_named_exists(name: str) -> None:
    written = re.sub(r"^```.*?^```$", "", TEXTS[name], flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`((?:\.ci|deploy|docs|service|tests|training)/[\w/.]+)`", written)
    assert {path for path in named if not (ROOT / path).exists()} <= TO_BE_CREATED


@pytest.mark.parametrize("name", TEXTS)
def test_every_test_that_is_named_exists(name: str) -> None:
    for path, test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", TEXTS[name]):
        body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        defined = {each.name for each in body if isinstance(each, FUNCTIONS)}
        assert test in defined, f"{path} has no {test}"


@pytest.mark.parametrize("name", TEXTS)
def test_generated_parts_are_up_to_date(name: str) -> None:
    """If not, ``python -m tests.write_docs`` writes them."""
    assert TEXTS[name] == with_generated_parts(TEXTS[name])


def test_the_readme_fits_into_200_lines() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 200
