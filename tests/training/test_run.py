from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from tests.training.digits import few
from training.report import Report


def test_where_8_bits_lose_more_than_they_may_the_float32_file_is_kept(tmp_path: Path) -> None:
    """The labels are the float32 network's own: every change is a loss; untrained, it has many."""
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
    parts = split(dataset, 0.1, 0)
    proof = run._write(
        path, classifier, config=config, dataset=dataset, parts=parts, report=Report(told)
    )
    assert (proof.parent, proof.accuracy) == (None, 1.0)
    lines = told.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["export", "verify", "quantize", "verify"]
    assert "of 400 test images are right, in float32 400" in lines[-1]
    assert lines[-1].endswith("the float32 file is kept")
    kinds = {entry.data_type for entry in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.INT8 not in kinds
