"""The feature maps are those of the version's own file, whatever the file holds."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference
from PIL import Image

from service.inference.runtime import Runtime, RuntimeLoadError
from service.models.proof import samples
from service.models.repository import Repository
from service.reasons.layers import Layers
from tests.service.imaging.champion import MODELS
from tests.service.reasons.mnist import digits
from tests.tiny import tiny_model_bytes

SEVEN = digits(1)[0]


def tiles(layer: dict[str, Any]) -> Any:
    png = Image.open(io.BytesIO(base64.b64decode(layer["png"])))
    return np.asarray(png).reshape(layer["shown"], -1, png.width)


@pytest.mark.parametrize("version", [1, 2, 7])
def test_the_answer_has_the_bits_of_the_version(version: int) -> None:
    model = Repository(MODELS).read_model(version)
    layers, runtime = Layers(model), Runtime.load(model, provider="cpu")
    for image in samples():
        found = layers.ask(image)
        row = runtime.run(image[None])[0]
        assert (found["digit"], found["confidence"]) == (row.argmax(), row.max())


@pytest.mark.parametrize("version", [2, 7])
def test_the_maps_are_those_that_the_onnx_package_exposes(version: int) -> None:
    """The reference edits the graph with the ``onnx`` package, and runs it without optimisation."""
    model = onnx.load_from_string(Repository(MODELS).read_model(version))
    relus = [node.output[0] for node in model.graph.node if node.op_type == "Relu"]
    inferred = {one.name: one for one in shape_inference.infer_shapes(model).graph.value_info}
    model.graph.output.extend(inferred[name] for name in relus)
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    reference = session.run(relus, {"image": SEVEN[None]})
    found = Layers(Repository(MODELS).read_model(version)).ask(SEVEN)["layers"]
    assert len(found) == len(relus) > 4
    for layer, maps in zip(found, reference, strict=True):
        assert (layer["maps"], layer["height"], layer["width"]) == maps.shape[1:]
        step = layer["rounding"]["scale"] if layer["rounding"] else 1e-5
        shown = layer["low"] + tiles(layer) / 255 * (layer["high"] - layer["low"])
        wide = step + (layer["high"] - layer["low"]) / 255
        assert np.abs(shown - maps[0, : layer["shown"]]).max() < wide


def test_the_maps_of_an_int8_layer_are_steps_of_its_scale() -> None:
    found = Layers(Repository(MODELS).read_model(7)).ask(SEVEN)["layers"]
    for layer in found:
        assert layer["high"] / layer["rounding"]["scale"] == pytest.approx(
            round(layer["high"] / layer["rounding"]["scale"]), abs=1e-3
        )
        assert layer["levels"] <= 256
    assert all(one["rounding"] is None for one in Layers(convolutions()).ask(SEVEN)["layers"])


def test_a_network_without_convolutions_has_no_maps() -> None:
    assert Layers(tiny_model_bytes()).ask(SEVEN)["layers"] == []


def convolutions(large: int = 1) -> bytes:
    """A file with two branches, one of them without an activation, that join in a third layer."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float", "one"], ["grey"]),
        helper.make_node("Tile", ["grey", "repeats"], ["ink"]),
        helper.make_node("Conv", ["ink", "kernel"], ["left"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["left"], ["left_active"]),
        helper.make_node("Conv", ["ink", "kernel"], ["right"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["right"], ["gate"]),
        helper.make_node("Mul", ["right", "gate"], ["swish"]),
        helper.make_node("Concat", ["left_active", "swish"], ["both"], axis=1),
        helper.make_node("Conv", ["both", "join"], ["joined"]),
        helper.make_node("GlobalAveragePool", ["joined"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"], axis=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {
        "one": np.array([1]),
        "repeats": np.array([1, 1, large, large]),
        "kernel": random.normal(size=(3, 1, 3, 3)).astype(np.float32),
        "join": random.normal(size=(10, 6, 1, 1)).astype(np.float32) / 255,
    }
    graph = helper.make_graph(
        nodes,
        "branches",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def test_each_branch_is_a_layer_before_a_value_that_is_used_twice() -> None:
    found = Layers(convolutions()).ask(SEVEN)["layers"]
    assert sorted(one["maps"] for one in found) == [3, 3, 10]
    # One branch ends with its ReLU; the other is shown before its gate, which lies within 0 and 1.
    assert sorted(one["low"] < 0 for one in found if one["maps"] == 3) == [False, True]
    assert max(one["high"] for one in found) > 1


def test_large_maps_are_thinned_out() -> None:
    first, *_ = Layers(convolutions(large=5)).ask(SEVEN)["layers"]
    assert (first["height"], first["width"]) == (140, 140)
    assert tiles(first).shape == (3, 47, 47)


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_what_is_no_model_is_refused(cut: int) -> None:
    with pytest.raises(RuntimeLoadError):
        Layers(tiny_model_bytes()[:-cut])
