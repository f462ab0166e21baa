from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from tests.training.digits import few
from training.cli.flags import parse
from training.feedback.field import Field
from training.network.checkpoint import Checkpoint
from training.report import Report


def test_the_run_keeps_the_float32_file_if_int8_loses_too_many_digits(tmp_path: Path) -> None:
    """The labels are the digits of the untrained float32 network: every change is a loss."""
    pytest.importorskip("keras")
    from training import run
    from training.config import Config
    from training.data.loading import split
    from training.network import architectures, evaluate, fit

    config = Config(architecture="valid_cnn", filters=(8, 16), weights="int8")
    fit.prepare(config)
    classifier = architectures.with_probabilities(architectures.build(config))
    digits = few(1200, 400)
    own = evaluate.probabilities(classifier, digits.test_images).argmax(axis=1)
    dataset = replace(digits, test_labels=own)
    path, told = tmp_path / "model.onnx", io.StringIO()
    options, parts = replace(parse([]), config=config), split(dataset, 0.1, 0)
    checkpoint = Checkpoint(tmp_path, config, {}, print)
    steps = run.Run(options, dataset, Field(), parts, checkpoint, Report(told))
    found = steps.write_model(path, classifier)
    assert (found.parent, found.accuracy) == (None, 1.0)
    lines = told.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["export", "verify", "quantize", "verify"]
    assert "of 400 test images correctly, float32 400" in lines[-1]
    assert lines[-1].endswith("the run keeps the float32 file")
    kinds = {entry.data_type for entry in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.INT8 not in kinds
