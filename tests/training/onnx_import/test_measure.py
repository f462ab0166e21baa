"""What was taken in is measured as a trained version is, unless that takes too long."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from service.inference.runtime import Runtime
from tests.training.onnx_import.conftest import Take
from tests.training.onnx_import.strangers import mlp
from training.data.loading import load
from training.measure.robustness.corruptions import CORRUPTIONS
from training.onnx_import.measure import MOST_S, fare


def test_its_figures_are_those_of_the_file_that_serves(take: Take, data: Path) -> None:
    dataset, adopted = load(data), take(mlp())
    parts = fare(adopted, dataset)
    runtime = Runtime.load(adopted.model, provider="cpu")
    faded = runtime.run(CORRUPTIONS["contrast x 0.5"](dataset.test_images)).argmax(axis=1)
    assert parts["robustness"]["contrast x 0.5"] == np.mean(faded == dataset.test_labels)
    sure = runtime.run(dataset.test_images).max(axis=1)
    doubt = parts["doubt"]
    assert doubt["digits"]["pass"] == np.mean(sure >= doubt["threshold"])
    assert doubt["chosen_on"]["images"] == 2048
    assert parts["test"]["accuracy"] == adopted.facts["test"]["accuracy"]


def test_one_that_is_too_slow_for_it_is_not_measured(take: Take, data: Path) -> None:
    adopted = take(mlp())
    proof = adopted.facts["verification"]
    slow = {**proof, "milliseconds_per_run": {"64": 1000.0 * MOST_S}}
    assert fare(replace(adopted, facts={**adopted.facts, "verification": slow}), load(data)) == {}
