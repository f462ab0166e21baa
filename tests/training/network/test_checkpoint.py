from __future__ import annotations

import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.config import Config
from training.errors import TrainingError
from training.network.checkpoint import STATE, Checkpoint, Epoch, History, State

DATA = {"train.gz": "ab", "test.gz": "cd"}


def state(epochs: int = 2) -> State:
    history = History([Epoch(n + 1, 0.1, 0.9, 1 / 3, None, 1e-3, 2.5, 4.25) for n in range(epochs)])
    history.kept = [{"epoch": 1, "share": 0.3}]
    random = np.random.default_rng(0)
    weights = [random.normal(size=(3, 4)).astype(np.float32), np.array([0.5, np.nan], np.float32)]
    return State(history, weights, [np.array(7), *weights], [], weights[:1])


def assert_same(left: State, right: State) -> None:
    assert left.history == right.history
    for part in ("network", "optimizer", "clean", "best"):
        for one, other in zip(getattr(left, part), getattr(right, part), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def checkpoint(root: Path, config: Config | None = None, **data: str) -> Checkpoint:
    return Checkpoint(root, config or Config(), DATA | data, pytest.fail)


def stopped(root: Path, config: Config | None = None) -> Checkpoint:
    """The checkpoint of a run that was interrupted after two epochs."""
    with checkpoint(root, config) as kept:
        kept.save(state())
    return kept


def test_a_state_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    with checkpoint(tmp_path) as kept:
        kept.save(state(1))
        kept.save(state(2))
    loaded = checkpoint(tmp_path).load()
    assert loaded
    assert_same(loaded, state(2))
    assert [path.name for path in kept.folder.iterdir()] == [STATE]


def test_without_an_interrupted_run_there_is_no_state_and_no_folder_stays(tmp_path: Path) -> None:
    with checkpoint(tmp_path / "checkpoints") as kept:
        assert kept.load() is None
        assert kept.folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_two_processes_cannot_run_the_same_training(tmp_path: Path) -> None:
    """They would replace each other's state, and the first to end would remove it."""
    with checkpoint(tmp_path) as kept:
        kept.save(state())
        with pytest.raises(TrainingError, match=r"^another process .* has locked \S+;"):
            checkpoint(tmp_path).__enter__()
        assert kept.load()
        with checkpoint(tmp_path, Config(seed=1)):
            pass
    with checkpoint(tmp_path) as again:
        assert again.load()


def test_runs_with_other_settings_have_their_own_checkpoint(tmp_path: Path) -> None:
    one, other = stopped(tmp_path), stopped(tmp_path, Config(seed=1))
    assert one.folder != other.folder
    one.remove()
    assert list(tmp_path.iterdir()) == [other.folder]
    other.remove()
    assert not tmp_path.exists()


def test_damage_is_reported_in_one_line_or_harmless(tmp_path: Path) -> None:
    """After a flipped bit or a missing end, the state is complete or rejected."""
    path = stopped(tmp_path).folder / STATE
    whole = path.read_bytes()
    said = set()
    for position in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[position] ^= 0x10
        for damaged in (bytes(flipped), whole[:position]):
            path.write_bytes(damaged)
            try:
                loaded = checkpoint(tmp_path).load()
            except TrainingError as error:
                said.add(str(error))
            else:
                assert loaded
                assert_same(loaded, state())
    assert said
    for line in said:
        assert re.fullmatch(rf"{path} is damaged; omit --resume to start again \(.*\)", line)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    path = stopped(tmp_path).folder / STATE
    np.savez(path, head=np.array([Trap()], dtype=object))
    for content in (path.read_bytes(), pickle.dumps(Trap())):
        path.write_bytes(content)
        with pytest.raises(TrainingError, match="damaged"):
            checkpoint(tmp_path).load()
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_cannot_be_made_is_an_error_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot be used: Not a directory"):
        checkpoint(tmp_path / "file").__enter__()


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    told: list[str] = []
    with Checkpoint(tmp_path, Config(), DATA, told.append) as kept:
        shutil.rmtree(kept.folder)
        kept.save(state())
    path = kept.folder / STATE
    assert told == [f"no checkpoint was written: {path}: No such file or directory"]


def test_an_error_says_how_to_resume_if_there_is_a_state(tmp_path: Path) -> None:
    def run(*states: State) -> None:
        with checkpoint(tmp_path / "run") as kept:
            for each in states:
                kept.save(each)
            raise KeyError

    with pytest.raises(KeyError) as caught:
        run()
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(KeyError) as caught:
        run(state(1), state(2))
    assert caught.value.__notes__ == ["the same command with --resume continues after epoch 2"]
