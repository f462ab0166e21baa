from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from service.models.repository import Repository
from tests.tiny import tiny_model_bytes
from training.cli.models import main
from training.errors import TrainingError
from training.measure.compare import spread
from training.registry.promote import release
from training.registry.publish import staging

RUNS = ((0, 0.9961, 500.5), (1, 0.9969, 510.0), (2, 0.9967, 490.0))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs of one recipe, and one of another."""
    for seed, accuracy, seconds in RUNS:
        publish(tmp_path, seed, accuracy, seconds, epochs=20)
    publish(tmp_path, 3, 0.9912, 80.0, epochs=3)
    return tmp_path


def publish(root: Path, seed: int, accuracy: float, seconds: float, epochs: int) -> None:
    card = {
        "settings": {"seed": seed, "epochs": epochs},
        "training": {"cpu_seconds": seconds, "recipe": "default", "epochs": [{"loss": 0.1}]},
        "test": {"count": 10_000, "accuracy": accuracy, "calibration_error": None},
        "robustness": {"blur": accuracy - 0.01},
        "doubt": {"kinds": {"noise": {"trained": True, "auroc": 1.0}}},
        "verification": {"passed": True},
    }
    with staging(root) as folder:
        (folder / "model.onnx").write_bytes(tiny_model_bytes(seed))
        release(folder, root, card)


def test_it_is_the_mean_and_the_deviation_of_every_figure_that_all_have(root: Path) -> None:
    report = spread(Repository(root), [1, 2, 3])
    assert (report["versions"], report["seeds"]) == (["1", "2", "3"], [0, 1, 2])
    figures = report["figures"]
    accuracies = [accuracy for _, accuracy, _ in RUNS]
    assert figures["test.accuracy"]["values"] == accuracies
    assert figures["test.accuracy"]["mean"] == pytest.approx(sum(accuracies) / 3)
    assert figures["test.accuracy"]["deviation"] == statistics.stdev(accuracies)
    assert figures["training.cpu_seconds"]["mean"] == pytest.approx(500.1667, abs=1e-3)
    assert figures["robustness.blur"]["mean"] == pytest.approx(sum(accuracies) / 3 - 0.01)
    assert figures["doubt.kinds.noise.auroc"]["deviation"] == 0
    assert not any("trained" in name or "epochs" in name or "error" in name for name in figures)


def test_the_command_prints_a_line_for_each_and_json(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spread", "1", "2", "--models", str(root)]) == 0
    first, headings, *rows = capsys.readouterr().out.splitlines()
    assert first == "versions 1, 2; seeds 0, 1"
    assert headings.split() == ["FIGURE", "MEAN", "DEVIATION", "LEAST", "MOST"]
    row = next(row for row in rows if row.startswith("test.accuracy"))
    assert row.split() == ["test.accuracy", "0.9965", "0.00056569", "0.9961", "0.9969"]
    assert main(["spread", "1", "2", "--models", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ([1, 2, 4], "versions 1 and 4 differ in epochs"),
        ([1], "two versions or more"),
        ([1, 1], "two versions or more"),
    ],
)
def test_other_versions_have_no_spread(root: Path, versions: list[int], reason: str) -> None:
    with pytest.raises(TrainingError, match=reason):
        spread(Repository(root), versions)
