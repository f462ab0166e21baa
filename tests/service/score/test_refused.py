"""What ``score`` refuses, in one line, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.imaging.champion import MODELS
from tests.service.score.running import ROOT, score

SEVEN = ROOT / "tests/pictures/seven.png"
USAGE = {
    "no input": (("--out", "o.csv"), "the following arguments are required: INPUT"),
    "no result": ((SEVEN,), "the following arguments are required: --out"),
    "another form": ((SEVEN, "--out", "o.xlsx"), "--out: a name that ends in .parquet, .csv"),
    "another engine": ((SEVEN, "--out", "o.csv", "--engine", "spark"), "invalid choice: 'spark'"),
    "an address alone": ((SEVEN, "--out", "o.csv", "--address", "a:1"), "--address is for"),
}
FAILURES = {
    "no such file": (("nowhere.png",), "nowhere.png: No such file or directory"),
    "no picture": (("{folder}",), "{folder}: the folder holds no picture"),
    "a device": (("/dev/zero",), "/dev/zero: a file or a folder is expected"),
    "no version": ((SEVEN, "--version", "99"), "version 99: it is not in"),
    "no repository": ((SEVEN, "--models", "nowhere"), "nowhere/mnist/champion is missing"),
    "no address": ((SEVEN, "--engine", "ray", "--address", "h"), "no Ray at h (HOST:PORT, ray:"),
    "nobody": ((SEVEN, "--engine", "ray", "--address", "127.0.0.1:1"), "no Ray at 127.0.0.1:1 ("),
}


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_is_status_2(name: str) -> None:
    words, expected = USAGE[name]
    status, out, err = score(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert expected in err


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_status_1_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    words, expected = FAILURES[name]
    folder = tmp_path / "empty"
    folder.mkdir()
    words = tuple(str(word).format(folder=folder) for word in words)
    models = () if "--models" in words else ("--models", MODELS)
    status, out, err = score(*words, *models, "--out", tmp_path / "o.csv")
    assert (status, out, err.count("\n")) == (1, "", 1), err
    assert expected.format(folder=folder) in err
    assert sorted(tmp_path.iterdir()) == [folder]
    nowhere = score(SEVEN, "--models", MODELS, "--out", tmp_path / "no" / "o.csv")
    assert nowhere == (1, "", f"score: {tmp_path}/no/o.csv.parts: No such file or directory\n")
