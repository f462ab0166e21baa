"""The event files, read with TensorFlow's own reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.errors import TrainingError
from training.network.history import Epoch

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


def test_every_epoch_is_a_point_of_every_curve(tmp_path: Path) -> None:
    from training.network.tensorboard import Logs

    logs = Logs(tmp_path)
    for epoch in EPOCHS:
        logs.epoch(epoch)
        assert len(curves(tmp_path / "train")["epoch_loss"]) == epoch.epoch  # readable at once
    train, validation = curves(tmp_path / "train"), curves(tmp_path / "validation")
    assert train.keys() == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}
    assert validation.keys() == {"epoch_loss", "epoch_accuracy"}
    for n, epoch in enumerate(EPOCHS, 1):
        assert train["epoch_loss"][n] == pytest.approx(epoch.loss)
        assert train["epoch_accuracy"][n] == pytest.approx(epoch.accuracy)
        assert train["epoch_learning_rate"][n] == pytest.approx(epoch.learning_rate)
        assert validation["epoch_loss"][n] == pytest.approx(epoch.validation_loss)
        assert validation["epoch_accuracy"][n] == pytest.approx(epoch.validation_accuracy)


def test_without_validation_there_is_no_such_curve(tmp_path: Path) -> None:
    from training.network.tensorboard import Logs

    Logs(tmp_path).epoch(Epoch(1, 0.5, 0.9, None, None, 0.1, 1, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


def test_a_run_that_goes_on_writes_its_curves_whole_in_place_of_the_old(tmp_path: Path) -> None:
    from training.network.tensorboard import Logs

    old = Logs(tmp_path)
    for epoch in EPOCHS:
        old.epoch(epoch)
    Logs(tmp_path, EPOCHS[:1]).epoch(EPOCHS[1])
    assert sorted(curves(tmp_path / "train")["epoch_loss"]) == [1, 2]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    from training.network.tensorboard import Logs

    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"^--tensorboard: .*/file/logs: Not a directory$"):
        Logs(tmp_path / "file" / "logs")
