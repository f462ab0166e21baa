"""Whoever follows CONTRIBUTING's "An input format" to the letter adds a format to the service."""

from __future__ import annotations

import gzip
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server, serving

ROOT = Path(__file__).resolve().parents[2]
SECTION = (
    (ROOT / "CONTRIBUTING.md")
    .read_text()
    .partition("<!-- format: begin")[2]
    .partition("<!-- format: end -->")[0]
)


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", SECTION, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def apply(diff: str, folder: Path) -> None:
    """Changes the files as the diff says; each hunk must fit at one place and no other."""
    path = folder
    for part in re.split(r"^(?=--- |@@\n)", diff, flags=re.MULTILINE):
        if part.startswith("--- "):
            path = folder / part.splitlines()[1].removeprefix("+++ b/")
        elif part:
            lines = part.splitlines(keepends=True)[1:]
            before = "".join(line[1:] for line in lines if line[0] != "+")
            after = "".join(line[1:] for line in lines if line[0] != "-")
            text = path.read_text()
            assert text.count(before) == 1, f"{path.name} has not exactly one place for:\n{part}"
            path.write_text(text.replace(before, after))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that runs a copy of the package with the edits."""
    folder = tmp_path_factory.mktemp("contributing")
    shutil.copytree(ROOT / "service", folder / "service")
    created = re.findall(r"Create `(.*?)`", SECTION)
    for name, content in zip(created, blocks("python"), strict=True):
        (folder / name).write_text(content)
    for diff in blocks("diff"):
        apply(diff, folder)
    # Python then imports the copy, not the package in the folder in which the test runs.
    environment = {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    with serving(ROOT / "models", folder / "stderr", environment=environment) as server:
        yield server


def test_an_image_in_the_new_format_gets_the_same_answer(server: Server) -> None:
    with gzip.open(ROOT / "training/mnist/t10k-images-idx3-ubyte.gz") as file:
        pixels = file.read(16 + 2 * 784)[16:]
    rows = [",".join(map(str, pixels[at : at + 784])) for at in (0, 784)]
    answer = server.post("/predict", "\n".join(rows).encode(), "text/csv")
    assert answer.status == 200
    assert answer.body == server.post("/predict", pixels, "application/octet-stream").body


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"1,2\n3", 400), (b"a,b", 400), (b"1,2", 422), (b"256," * 783 + b"0", 422)],
)
def test_a_damaged_body_is_rejected(server: Server, body: bytes, status: int) -> None:
    assert server.post("/predict", body, "text/csv").status == status


def test_the_new_format_is_documented(server: Server) -> None:
    body = server.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    assert "text/csv" in body["content"]
    assert "text/csv" in server.post("/predict", b"", "text/plain").json()["detail"]
