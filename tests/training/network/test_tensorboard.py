"""The event files, read with TensorFlow's own reader."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from training.errors import TrainingError
from training.network.checkpoint import Epoch

EPOCHS = [Epoch(n, 1 / n, 1 - 0.1 / n, 2 / n, 1 - 0.2 / n, 0.01 / n, n, n) for n in (1, 2, 3)]


def curves(folder: Path) -> dict[str, dict[int, float]]:
    """Each curve by its steps, over all event files of the folder, without repeated points."""
    import tensorflow as tf

    found: dict[str, dict[int, float]] = {}
    paths = sorted(map(str, folder.glob("events.out.tfevents.*")))
    for record in tf.data.TFRecordDataset(paths).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            curve = found.setdefault(value.tag, {})
            assert event.step not in curve
            curve[event.step] = value.simple_value
    return found


def write(folder: Path, before: Iterable[Epoch] = ()) -> Any:
    from training.network.recorder import Logs

    return Logs(folder, before)


def test_every_epoch_is_a_point_of_every_curve(tmp_path: Path) -> None:
    logs = write(tmp_path)
    for epoch in EPOCHS:
        logs.epoch(epoch)
        assert len(curves(tmp_path / "train")["epoch_loss"]) == epoch.epoch  # readable at once
    for part, prefix, names in (
        ("train", "", ["accuracy", "learning_rate", "loss"]),
        ("validation", "validation_", ["accuracy", "loss"]),
    ):
        found = curves(tmp_path / part)
        assert sorted(found) == [f"epoch_{name}" for name in names]
        for name in names:
            expected = {epoch.epoch: getattr(epoch, prefix + name) for epoch in EPOCHS}
            assert found[f"epoch_{name}"] == pytest.approx(expected)


def test_a_run_that_goes_on_writes_its_curves_whole_in_place_of_the_old(tmp_path: Path) -> None:
    write(tmp_path, EPOCHS)
    write(tmp_path, EPOCHS[:1]).epoch(Epoch(2, 0.5, 0.9, None, None, 0.1, 1, 1))
    assert sorted(curves(tmp_path / "train")["epoch_loss"]) == [1, 2]
    assert sorted(curves(tmp_path / "validation")["epoch_loss"]) == [1]  # epoch 2 held nothing out


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"^--tensorboard: .*/file/logs: Not a directory$"):
        write(tmp_path / "file" / "logs")
