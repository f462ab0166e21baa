"""A run that ends at any moment goes on with the same command, and each row is there once."""

from __future__ import annotations

import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.service.decode.samples import digits, npy, picture
from tests.service.imaging.champion import MODELS
from tests.service.score.running import ROOT, places, rows, score, start

PARTS = 8
ROWS = 16_384 * PARTS


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("array") / "a.npy"
    np.save(file, np.resize(digits(), (ROWS, 28, 28)))
    return file


@pytest.mark.slow
def test_a_killed_run_goes_on_and_every_row_is_there_once(array: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    words = (array, "--out", out, "--models", MODELS, "--workers", "1")
    process = start(*words)
    parts = Path(f"{out}.parts")
    while not (parts / "1").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = {path.name: path.stat().st_mtime_ns for path in parts.iterdir() if path.name.isdigit()}
    assert 2 <= len(kept) < PARTS
    other = score(array, "--out", out, "--models", MODELS, "--version", "1")
    told = f"score: {parts} is of a run with another version; remove it to start again\n"
    assert other == (1, "", told)
    second = start(*words)
    while not (parts / str(len(kept))).exists():
        assert second.poll() is None
        time.sleep(0.01)
    assert score(*words) == (1, "", f"score: another run writes {out}; wait for it\n")
    for name, stamp in kept.items():
        assert (parts / name).stat().st_mtime_ns == stamp
    told, err = second.communicate(timeout=120)
    assert (second.returncode, err) == (
        0,
        f"score: goes on: {len(kept)} parts are done\n",
    )
    assert told.startswith(f"{ROWS:,} images")
    assert places(out) == [(str(array), index) for index in range(ROWS)]
    assert not parts.exists()
    assert score(*words) == (1, "", f"score: {out} exists; remove it, or name another --out\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_twice_ends_the_run_once(
    array: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out.csv"
    process = start(array, "--out", out, "--models", MODELS, "--workers", "2")
    while not Path(f"{out}.parts", "0").exists():
        assert process.poll() is None
        time.sleep(0.01)
    for _ in range(3):
        process.send_signal(number)
        time.sleep(0.05)
    said = "", "score: interrupted\n"
    assert process.communicate(timeout=60) == said
    assert process.returncode == 128 + number


@pytest.mark.campaign
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_killed_again_and_again_at_any_moment(array: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"out.{form}"
    chance, kills = random.Random(form), 0
    while not out.exists() or Path(f"{out}.parts").exists():
        process = start(array, "--out", out, "--models", MODELS)
        time.sleep(chance.uniform(0.4, 3))
        kills += process.poll() is None
        process.kill()
        process.communicate()
        assert kills < 200
    assert kills > 1
    assert places(out) == [(str(array), index) for index in range(ROWS)]


def test_inputs_that_vanish_or_change_end_the_run_and_lose_nothing(tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out.jsonl"
    folder.mkdir()
    for index in range(600):
        (folder / f"{index:03}.png").write_bytes(picture(index=index))
    words = (folder, "--out", out, "--models", MODELS, "--workers", "1")
    process = start(*words)
    while not Path(f"{out}.parts", "run.json").exists():
        assert process.poll() is None
        time.sleep(0.001)
    (folder / "599.png").rename(tmp_path / "599.png")
    assert (
        process.communicate(timeout=60)[1]
        == f"score: {folder}/599.png: No such file or directory\n"
    )
    assert process.returncode == 1
    told = f"score: {out}.parts is of a run with other inputs; remove it to start again\n"
    assert score(*words) == (1, "", told)
    (tmp_path / "599.png").rename(folder / "599.png")
    assert score(*words)[0] == 0
    assert places(out) == [(f"{folder}/{index:03}.png", 0) for index in range(600)]


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """The shell's limit on the size of a file stands for the disk's."""
    file, out = tmp_path / "a.npy", tmp_path / "out.jsonl"
    file.write_bytes(npy(np.resize(digits(), (16_384 + 5, 28, 28))))
    words = (file, "--out", out, "--models", MODELS)
    full = score(*words, limit="trap '' XFSZ; ulimit -f 200")
    assert full[0] == 1
    assert full[1:] == ("", f"score: {out}: File too large\n")
    assert not out.exists()
    assert score(*words)[0] == 0
    assert [row["index"] for row in rows(out)] == list(range(16_384 + 5))


@pytest.mark.slow
def test_a_terminal_shows_the_rate_and_the_time_left(array: Path, tmp_path: Path) -> None:
    ours, its = pty.openpty()
    words: list[str | Path] = [sys.executable, "-m", "service.cli.score", array]
    process = subprocess.Popen(
        [*words, "--out", tmp_path / "out.csv", "--models", MODELS],
        stderr=its,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )
    os.close(its)
    told = b""
    try:
        while piece := os.read(ours, 4096):
            told += piece
    except OSError:  # Linux tells the end so
        pass
    os.close(ours)
    assert process.wait() == 0
    shown = rb"[\d,]+ images, \d+% of all, [\d,]+/s, 0:\d\d:\d\d left\x1b\[K\r"
    assert len(re.findall(shown, told)) >= 2
