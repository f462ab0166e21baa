from __future__ import annotations

import json
import platform
from importlib.metadata import version
from typing import Any

import pytest

from training.measure.card import accuracy, describe, measured_on, part, story


def described(**changes: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "architecture": "mlp",
        "parameters": 101_770,
        "opset": 18,
        "ir_version": 8,
        "data": {"files": {"train-images": "aa", "t10k-images": "bb"}, "test_images": 10_000},
        "settings": {"hidden_units": (128,), "seed": 1},
        "training": {"epochs": [{"loss": 0.5}], "best_epoch": 1, "seconds": 2.5},
        "validation": None,
        "test": {"count": 10_000, "accuracy": 0.9781, "mistakes": [{"index": 8}]},
        "verification": {"passed": True, "milliseconds_per_run": {"1": 0.02}},
    }
    return describe(**{**parts, **changes})


def test_a_card_names_its_makers_and_is_plain_json_with_null_for_what_is_no_number() -> None:
    card = described(training={"epochs": [{"loss": float("nan"), "rate": float("inf")}]})
    assert card["training"] == {"epochs": [{"loss": None, "rate": None}]}
    assert card["creator"]["python"] == platform.python_version()
    assert card["creator"]["onnxruntime"] == version("onnxruntime")
    assert card["settings"] == {"hidden_units": [128], "seed": 1}
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_the_short_form_says_where_the_file_comes_from_and_what_it_reads() -> None:
    told = story(described(validation={"accuracy": 0.98}))
    assert (told["architecture"], told["parameters"]) == ("mlp", "101770")
    assert json.loads(told["settings"]) == {"hidden_units": [128], "seed": 1}
    assert json.loads(told["validation"]) == {"accuracy": 0.98}
    assert json.loads(told["test"]) == {"count": 10_000, "accuracy": 0.9781}
    assert json.loads(told["training"]) == {"best_epoch": 1, "seconds": 2.5}
    assert "verification" not in told
    assert "validation" not in story(described())
    assert all(isinstance(value, str) for value in told.values())


@pytest.mark.parametrize("junk", [{}, {"test": 3}, {"test": {"accuracy": "high"}}, {"data": []}])
def test_what_is_read_from_a_card_of_any_shape_is_there_or_not(junk: dict[str, Any]) -> None:
    assert accuracy(junk) is None
    assert measured_on(junk) == {}
    assert part(junk, "verification", "milliseconds_per_run") == {}


def test_test_images_are_identified_by_all_files_but_the_training_ones() -> None:
    assert measured_on(described()) == {"t10k-images": "bb"}
    assert measured_on(described(data={"files": {"mnist.npz": "cc"}})) == {"mnist.npz": "cc"}
