"""A fit that is resumed after any of its epochs ends with the same weights, bit for bit."""

from __future__ import annotations

import shutil
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.training.network.test_fit import STAGES, fingerprint, parts, run, small
from training.config import Config, Optimizer
from training.errors import TrainingError
from training.network.checkpoint import STATE, Checkpoint, Epoch, History

pytestmark = pytest.mark.usefixtures("few_drawings")


def train(config: Config, folder: Path, after: int = 0) -> tuple[str, History]:
    """Fits a new network, from the beginning or after an epoch; keeps each epoch's checkpoint."""
    from training.network import architectures

    with Checkpoint(folder, config, {}, print) as checkpoint:

        def keep(epoch: Epoch, _: int) -> None:
            if not after:
                shutil.copy(checkpoint.folder / STATE, folder / f"{epoch.epoch}.npz")

        if after:
            shutil.copy(folder / f"{after}.npz", checkpoint.folder / STATE)
        state = checkpoint.load() if after else None
        options: dict[str, Any] = {"on_epoch": keep, "checkpoint": checkpoint, "state": state}
        network, history = run(config, parts(), **options)
    architectures.as_float32(network, config)  # and the next test starts in float32
    return fingerprint(network), history


def timeless(training: dict[str, Any]) -> dict[str, Any]:
    """The figures of a fit without the times."""
    plain = deepcopy(training)
    for each in (plain, *plain["epochs"]):
        del each["seconds"], each["cpu_seconds"]
    return plain


def assert_goes_on_after_every_epoch(config: Config, folder: Path) -> History:
    weights, history = train(config, folder)
    for after in range(1, len(history.epochs) + 1):
        again, told = train(config, folder, after)
        assert again == weights, f"after epoch {after}"
        assert timeless(asdict(told)) == timeless(asdict(history))
        times = [epoch.cpu_seconds for epoch in told.epochs]
        assert times[:after] == [epoch.cpu_seconds for epoch in history.epochs[:after]]
        assert times == sorted(times)
        assert told.cpu_seconds >= times[-1]
    return history


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_with_every_optimizer(optimizer: str, tmp_path: Path) -> None:
    config = small(optimizer=optimizer, epochs=2, learning_rate=0.01, schedule="cosine")
    history = assert_goes_on_after_every_epoch(config, tmp_path)
    assert history.kept == [{"epoch": 2, "share": 1.0}]


@pytest.mark.campaign
def test_in_both_stages_with_everything_random(tmp_path: Path) -> None:
    """Order, augmentation, damage, dropout; normalisation's averages; in bfloat16."""
    history = assert_goes_on_after_every_epoch(small(**STAGES, dropout=0.2), tmp_path)
    assert (history.clean_epochs, len(history.epochs)) == (2, 3)
    assert history.kept == [{"epoch": 2, "share": 0.3}, {"epoch": 3, "share": 0.7}]


@pytest.mark.campaign
def test_where_a_stage_stops_early(tmp_path: Path) -> None:
    """The best weights are carried on, and a stage that has stopped stays stopped."""
    config = small(
        learning_rate=0.05, clean_epochs=30, epochs=30, clean_share=0.4, early_stopping=1, shift=1.0
    )
    history = assert_goes_on_after_every_epoch(config, tmp_path)
    losses = [epoch.validation_loss or 0.0 for epoch in history.epochs]
    clean = history.clean_epochs
    assert clean < 30
    assert len(losses) - clean < 30
    best = [losses.index(min(losses[:clean])) + 1, losses.index(min(losses[clean:])) + 1]
    assert best == [clean - 1, len(losses) - 1]
    assert history.kept == [{"epoch": best[0], "share": 0.4}, {"epoch": best[1], "share": 0.6}]


def test_a_run_that_has_diverged_leaves_nothing_to_go_on_from(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) after epoch 1: .* learning rate"):
        train(small(optimizer="sgd", learning_rate=1e30), tmp_path)
    assert list(tmp_path.glob(f"*/{STATE}")) == []
