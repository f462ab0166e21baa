from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.tiny import tiny_repository
from tests.training.network.test_checkpoint import checkpoint, state, stopped
from training.cli import models
from training.config import Config
from training.network.checkpoint import kept, place, remove, summary

THEN = 1_790_000_000  # 2026-09-21T14:13:20Z


def stop_two(root: Path) -> Path:
    """Two runs that were stopped, the second of them long ago; its folder."""
    stopped(root)
    old = stopped(root, Config(seed=1)).folder
    os.utime(old / "checkpoint.npz", (THEN, THEN))
    return old


def test_the_oldest_comes_first_and_one_line_has_the_command_to_remove_them(tmp_path: Path) -> None:
    root = tmp_path / "checkpoints"
    old = stop_two(root)
    runs = kept(root)
    assert runs[0].folder == old
    assert runs[0].size_bytes == sum(path.stat().st_size for path in old.iterdir())
    assert summary(runs) == (
        f"2 interrupted runs left 0.0 MiB in {root}, the oldest since 2026-09-21T14:13:20Z; "
        f"to remove: models prune --checkpoints {root}"
    )
    assert summary(runs[:1]).startswith("1 interrupted run left ")


def test_a_running_one_is_not_listed_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    stopped(tmp_path)
    with checkpoint(tmp_path, Config(seed=1)) as going_on:
        going_on.save(state())
        assert len(remove(tmp_path)) == 1
        assert going_on.exists()
        assert kept(tmp_path) == []
    assert len(remove(tmp_path)) == 1
    assert not tmp_path.exists()


def test_models_list_mentions_them_and_prune_removes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny_repository(tmp_path / "models")
    checkpoints = place(root)
    stop_two(checkpoints)
    assert models.main(["list", "--models", str(root)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == summary(kept(checkpoints))
    assert models.main(["list", "--json", "--models", str(root)]) == 0
    oldest, _ = json.loads(capsys.readouterr().out)["stopped"]
    assert oldest["written"] == "2026-09-21T14:13:20Z"

    command = last.split("; to remove: models ")[1].split()
    assert models.main([*command, "--models", str(root)]) == 0
    assert capsys.readouterr().out == f"removed 2 checkpoints, 0.0 MiB, in {checkpoints}\n"
    assert not checkpoints.exists()
    assert models.main([*command, "--models", str(tmp_path / "no repository")]) == 0
    assert capsys.readouterr().out == f"nothing to remove in {checkpoints}\n"


def test_nothing_else_in_the_folder_is_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    stopped(tmp_path)
    remove(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
