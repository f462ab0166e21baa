"""Follows "An architecture" of CONTRIBUTING.md to the letter in a copy of the package; trains."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from service.models.repository import Repository
from tests.training.digits import few, python, write_folder

ROOT = Path(__file__).parents[2]


def blocks() -> list[str]:
    """The code of the section: function, entry, names, settings, recipe."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("<!-- architecture: begin")[1].split("<!-- architecture: end -->")[0]
    fenced = re.findall(r"^( *)```\w+\n(.*?)^\1```$", section, re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", code, flags=re.MULTILINE) for indent, code in fenced]


def insert(path: Path, before: str, text: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1, f"{path}: {before!r}"
    path.write_text(content.replace(before, text + before), encoding="utf-8")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the sources after the edits."""
    for folder in ("service", "training"):
        skipped = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skipped)
    function, entry, names, settings, recipe = blocks()
    architectures = tmp_path / "training" / "network" / "architectures.py"
    insert(architectures, "ARCHITECTURES: dict", f"{function}\n\n")
    insert(architectures, "}\n\n\ndef _convolutions(", entry)
    config = tmp_path / "training" / "config.py"
    replaced = re.sub("^Architecture = .*\n", names, config.read_text(), flags=re.MULTILINE)
    config.write_text(replaced)
    insert(config, "    hidden_units: Widths = ", settings)
    (tmp_path / "training" / "recipes" / "mine.toml").write_text(recipe)
    return tmp_path


@pytest.mark.slow
def test_an_architecture_that_follows_contributing_trains_and_has_its_flags(package: Path) -> None:
    def run(*words: str | Path) -> str:
        copied = {**os.environ, "PYTHONPATH": str(package)}
        status, lines, err = python("-m", "training", *words, cwd=package, env=copied)
        assert (status, err) == (0, "")
        return "\n".join(lines)

    assert "--patch-side N" in run("--help")
    data = write_folder(package / "digits", few(400, 100))
    printed = run("--recipe", "mine", "--epochs", "1", "--patch-units", "8", "--data", data)
    assert f"model     patches, {8 * 49 + 8 + 8 * 64 + 64 + 64 * 10 + 10:,} parameters" in printed
    card = Repository(package / "models").card(1)
    assert (card["architecture"], card["training"]["recipe"]) == ("patches", "mine")
    assert (card["settings"]["patch_side"], card["settings"]["patch_units"]) == (7, 8)
    assert card["verification"]["passed"] is True
