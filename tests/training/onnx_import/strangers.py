"""Digit models as other libraries write them, fitted in a moment on a few training images.

The hidden layer is random; the last one is fitted by least squares, so that each model reads
digits well enough in the form it was fitted for, and is sure of itself in no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from PIL import Image

from training.data.loading import Dataset, load

Floats = NDArray[np.floating[Any]]
Prepare = Callable[[NDArray[np.uint8]], Floats]

FITTED = 2000
HIDDEN = 128
TEMPERATURES = (1, 3, 6, 10, 15, 25)

dataset: Callable[[], Dataset] = cache(load)


def unit(images: NDArray[np.uint8]) -> Floats:
    """Pixels from 0 to 1."""
    return images / np.float32(255)


def raw(images: NDArray[np.uint8]) -> Floats:
    """Pixels from 0 to 255."""
    return images.astype(np.float32)


def standardised(images: NDArray[np.uint8]) -> Floats:
    """With the mean and deviation of MNIST, as PyTorch's and MindSpore's examples do."""
    return (unit(images) - np.float32(0.1307)) / np.float32(0.3081)


def centred(images: NDArray[np.uint8]) -> Floats:
    """Pixels from -1 to 1."""
    return (unit(images) - np.float32(0.5)) / np.float32(0.5)


def own(images: NDArray[np.uint8]) -> Floats:
    """Each image with its own mean and deviation."""
    pixels = unit(images)
    deviation = np.maximum(pixels.std(axis=(1, 2), keepdims=True), 1 / 28)
    return np.asarray((pixels - pixels.mean(axis=(1, 2), keepdims=True)) / deviation)


def dark(images: NDArray[np.uint8]) -> Floats:
    """Dark ink on light ground, 0 to 1."""
    return 1 - unit(images)


def padded(images: NDArray[np.uint8]) -> Floats:
    """With a border of 2, to 32 x 32, 0 to 1."""
    return unit(np.pad(images, ((0, 0), (2, 2), (2, 2))))


def resized(images: NDArray[np.uint8]) -> Floats:
    """Enlarged to 32 x 32 by Pillow, 0 to 1."""
    larger = [
        np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR))
        for image in images
    ]
    return unit(np.stack(larger))


@cache
def hidden_weights(pixels: int) -> tuple[Floats, Floats]:
    """A random layer (pixels, HIDDEN) and its bias, for pixels of about unit size."""
    random = np.random.default_rng(3)
    weights = random.normal(0, 0.06, (pixels, HIDDEN)).astype(np.float32)
    return weights, random.normal(0, 0.3, HIDDEN).astype(np.float32)


def fit_last(features: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    """Weights (features, 10) and bias of the last layer: least squares, then a temperature."""
    ones = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    wanted = np.eye(10)[labels] - 0.1
    ridge = 1e-4 * np.trace(ones.T @ ones) / ones.shape[1]
    solved = np.linalg.solve(ones.T @ ones + ridge * np.eye(ones.shape[1]), ones.T @ wanted)

    def loss(temperature: float) -> float:
        logits = temperature * (ones @ solved)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(axis=1))
        return -float(chosen.mean())

    solved *= min(TEMPERATURES, key=loss)
    return solved[:-1].astype(np.float32), solved[-1].astype(np.float32)


@cache
def network(prepare: Prepare) -> tuple[Floats, ...]:
    """Two layers' weights and biases, fitted to pixels in this form."""
    data = dataset()
    # The unit-sized first layer sees what the model's own first layer sees.
    pixels = prepare(data.train_images[:FITTED]).reshape(FITTED, -1)
    weights, bias = hidden_weights(pixels.shape[1])
    weights = (weights / (np.abs(pixels).max() / 2)).astype(np.float32)
    features = np.maximum(pixels @ weights + bias, 0)
    return weights, bias, *fit_last(features, data.train_labels[:FITTED])


def mlp(
    prepare: Prepare = unit,
    shape: Sequence[str | int] = ("n", 784),
    answer: str | None = None,
    *,
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
) -> ModelProto:
    """Two dense layers on images of this form and shape; ``answer`` is the last operator."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    first, first_bias, last, last_bias = (value.astype(dtype) for value in network(prepare))
    batched = tuple(shape) not in ((784,), (28, 28))
    batch = shape[0] if batched else 1
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"], axis=1 if batched else 0),
        helper.make_node("MatMul", ["flat", "w1"], ["product"]),
        helper.make_node("Add", ["product", "b1"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "w2", "b2"], ["logits"]),
    ]
    if answer:
        attributes: dict[str, Any] = {} if answer == "Sigmoid" else {"axis": 1}
        nodes.append(helper.make_node(answer, ["logits"], ["answer"], **attributes))
    return model(
        nodes,
        [helper.make_tensor_value_info("pixels", kind, shape)],
        [helper.make_tensor_value_info("answer" if answer else "logits", kind, [batch, 10])],
        {"w1": first, "b1": first_bias, "w2": last, "b2": last_bias},
        opset=opset,
    )


def whole_pixels() -> ModelProto:
    """A model that takes uint8 [n, 28, 28, 1] and scales them itself, as Keras' may."""
    inner = mlp(unit, ("n", 28, 28, 1), "Softmax")
    graph = inner.graph
    graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    graph.node[0].input[0] = "scaled"
    graph.node.insert(0, helper.make_node("Div", ["float", "most"], ["scaled"]))
    graph.node.insert(0, helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT))
    graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "most"))
    return inner


def fixed_reshape(batch: int = 1, shape: Sequence[int] | None = None) -> ModelProto:
    """What torch.onnx writes of ``x.view(1, -1)`` without dynamic axes: a constant shape."""
    built = mlp(standardised, (batch, 1, 28, 28))
    flat = built.graph.node[0]
    flat.CopyFrom(helper.make_node("Reshape", ["pixels", "shape"], ["flat"], allowzero=0))
    constant = numpy_helper.from_array(np.array(shape or [batch, 784], np.int64))
    built.graph.node.insert(0, helper.make_node("Constant", [], ["shape"], value=constant))
    return built


def first_image_only() -> ModelProto:
    """A graph whose answer is the first image's, whatever the batch: no axis can be freed."""
    built = fixed_reshape()
    built.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    built.graph.node.insert(0, helper.make_node("Gather", ["pixels", "first"], ["one"], axis=0))
    built.graph.node[2].input[0] = "one"
    return built


def scikit_network() -> ModelProto:
    """What skl2onnx writes of an ``MLPClassifier``: a label, and dictionaries of probabilities."""
    built = mlp(unit, ("n", 784), "Softmax")
    return _with_labels_and_dictionaries(built, "answer")


def scikit_linear(transform: str = "SOFTMAX") -> ModelProto:
    """What skl2onnx writes of a scaler and a ``LogisticRegression``."""
    data = dataset()
    weights, bias = fit_last(
        unit(data.train_images[:FITTED]).reshape(FITTED, 784), data.train_labels[:FITTED]
    )
    nodes = [
        _ml("Scaler", ["pixels"], ["scaled"], offset=[0.0], scale=[1 / 255]),
        _ml(
            "LinearClassifier",
            ["scaled"],
            ["best", "scores"],
            coefficients=weights.T.ravel().tolist(),
            intercepts=bias.tolist(),
            classlabels_ints=list(range(10)),
            multi_class=1 if transform == "LOGISTIC" else 0,
            post_transform=transform,
        ),
        _ml("Normalizer", ["scores"], ["answer"], norm="L1"),
    ]
    built = model(
        nodes,
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 784])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 10])],
        {},
        ml=True,
    )
    return _with_labels_and_dictionaries(built, "answer")


def tree() -> ModelProto:
    """The least that skl2onnx writes of a decision tree: no standard operator says that."""
    leaf = {
        "nodes_treeids": [0],
        "nodes_nodeids": [0],
        "nodes_featureids": [0],
        "nodes_modes": ["LEAF"],
        "nodes_values": [0.0],
        "nodes_truenodeids": [0],
        "nodes_falsenodeids": [0],
        "class_treeids": [0] * 10,
        "class_nodeids": [0] * 10,
        "class_ids": list(range(10)),
        "class_weights": [0.1] * 10,
        "classlabels_int64s": list(range(10)),
        "post_transform": "NONE",
    }
    return model(
        [_ml("TreeEnsembleClassifier", ["pixels"], ["best", "answer"], **leaf)],
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 784])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 10])],
        {},
        ml=True,
    )


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: dict[str, NDArray[Any]],
    *,
    opset: int = 17,
    ir_version: int = 8,
    ml: bool = False,
) -> ModelProto:
    """A model of these parts."""
    graph: GraphProto = helper.make_graph(
        nodes,
        "stranger",
        inputs,
        outputs,
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    sets = [helper.make_opsetid("", opset), *([helper.make_opsetid("ai.onnx.ml", 1)] if ml else [])]
    return helper.make_model(
        graph, opset_imports=sets, ir_version=ir_version, producer_name="elsewhere"
    )


def _with_labels_and_dictionaries(built: ModelProto, probabilities: str) -> ModelProto:
    graph = built.graph
    if not any(entry.domain == "ai.onnx.ml" for entry in built.opset_import):
        built.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    classes = numpy_helper.from_array(np.arange(10), "classes")
    graph.initializer.append(classes)
    graph.node.extend(
        [
            helper.make_node("ArgMax", [probabilities], ["position"], axis=1, keepdims=0),
            _ml("ArrayFeatureExtractor", ["classes", "position"], ["label"]),
            _ml(
                "ZipMap",
                [probabilities],
                ["output_probability"],
                classlabels_int64s=list(range(10)),
            ),
        ]
    )
    del graph.output[:]
    dictionary = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    graph.output.extend(
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [1, "n"]),
            helper.make_value_info(
                "output_probability", helper.make_sequence_type_proto(dictionary)
            ),
        ]
    )
    return built


def _ml(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs, outputs, domain="ai.onnx.ml", **attributes)
