from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from service.inference.runtime import Runtime
from tests.tiny import tiny_model_bytes
from training.errors import TrainingError
from training.export import convert
from training.export.convert import repair, save, stamp
from training.export.verify import verify


@pytest.fixture(scope="module")
def network() -> Any:
    """A small network with the kinds of layers that exporters have failed on."""
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    layers, ops = keras.layers, keras.ops
    image = keras.Input((28, 28), dtype="uint8", name="image")
    features = ops.expand_dims(ops.cast(image, "float32") / 255.0, -1)
    features = layers.Conv2D(4, 5, strides=4)(features)
    features = layers.BatchNormalization(beta_initializer="ones")(features)
    features = layers.Dropout(0.5)(layers.Activation("silu")(features))
    features = layers.Dense(10)(layers.Flatten()(features))
    return keras.Model(image, layers.Softmax()(features))


@pytest.fixture(scope="module")
def exported(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    convert.export(network, path)
    return path


def test_the_file_has_the_input_and_output_of_the_service_and_explicit_versions(
    exported: Path,
) -> None:
    model = onnx.load(exported)
    ends = [helper.printable_value_info(end) for end in (*model.graph.input, *model.graph.output)]
    assert ends == ["%image[UINT8, batchx28x28]", "%probabilities[FLOAT, batchx10]"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not any(tensor.data_location for tensor in model.graph.initializer)
    onnx.checker.check_model(model, full_check=True)


def test_the_file_returns_the_networks_probabilities(network: Any, exported: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    figures = verify(
        exported, lambda i: network.predict(i, verbose=0), images, np.zeros(20, np.int64)
    )
    assert figures.largest_difference <= 1e-5


def test_what_cannot_be_exported_is_one_line(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    image = keras.Input((28, 28), dtype="uint8", name="image")
    eigenvalues = keras.ops.eigh(keras.ops.cast(image, "float32"))[0]
    with pytest.raises(
        TrainingError, match=r"cannot export|malformed: No Op registered"
    ) as failure:
        convert.export(keras.Model(image, eigenvalues), tmp_path / "model.onnx")
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "model.onnx").exists()


def test_a_full_disk_is_reported_as_such(network: Any) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        convert.export(network, Path("/dev/full"))


def test_a_stamp_changes_only_the_metadata_and_the_service_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_model_bytes())
    story = {"created": "2026-01-01T00:00:00Z", "accuracy": "0.99"}
    stamp(path, story)
    assert Runtime.load(path, provider="cpu").metadata == story
    model = onnx.load(path)
    del model.metadata_props[:]
    assert model == onnx.load_from_string(tiny_model_bytes())


def test_a_tensor_with_the_name_of_an_input_or_output_is_renamed() -> None:
    model = onnx.load_from_string(tiny_model_bytes())
    graph = model.graph
    graph.input[0].name = graph.node[0].input[0] = "probabilities"
    graph.output[0].name = graph.node[-1].output[0] = "Identity:0"
    graph.node[0].output[0] = graph.node[1].input[0] = "image"
    repaired = repair(model)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    runtime = Runtime.load(repaired.SerializeToString(), provider="cpu")
    wanted = Runtime.load(tiny_model_bytes(), provider="cpu").run(images)
    assert (runtime.run(images) == wanted).all()


def foreign(model: onnx.ModelProto) -> None:
    model.graph.node[-1].domain = "com.microsoft"


def malformed(model: onnx.ModelProto) -> None:
    model.graph.node[-1].input[0] = "nowhere"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (foreign, r"operators outside the standard set: com\.microsoft"),
        (malformed, "the exported file is malformed: "),
    ],
)
def test_what_the_service_cannot_load_is_not_written(
    damage: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path
) -> None:
    model = onnx.load_from_string(tiny_model_bytes())
    damage(model)
    with pytest.raises(TrainingError, match=message):
        save(repair(model), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
