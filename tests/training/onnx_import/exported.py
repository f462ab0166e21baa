"""Digit models as other libraries export them, fitted in a moment on a few training images.

The hidden layer is random; least squares fit the last one. Each model classifies digits well
enough in the form that it was fitted for, and is confident in no other form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper, parser

from tests.digits import as_npz
from training.data.loading import Dataset, load
from training.onnx_import.forms import LIGHT, Input

Floats = NDArray[np.floating[Any]]

FITTED, HIDDEN, TEMPERATURE = 2000, 128, 6

dataset: Callable[[], Dataset] = cache(load)


def few_digits(train: int = 2048, test: int = 200) -> bytes:
    """An ``.npz`` with some of MNIST's training images and the first of its test images."""
    mnist, some = dataset(), slice(20_000, 20_000 + train)
    images, labels = mnist.test_images[:test], mnist.test_labels[:test]
    train_images, train_labels = mnist.train_images[some], mnist.train_labels[some]
    return as_npz(x_train=train_images, y_train=train_labels, x_test=images, y_test=labels)


def written(folder: Path, model: ModelProto) -> Path:
    """Writes a model to a file."""
    path = folder / "theirs.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def fit_last(features: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    """Weights (features, 10) and bias of the last layer: least squares, made confident."""
    ones = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    wanted = np.eye(10)[labels] - 0.1
    ridge = 1e-4 * np.trace(ones.T @ ones) / ones.shape[1]
    solved = np.linalg.solve(ones.T @ ones + ridge * np.eye(ones.shape[1]), ones.T @ wanted)
    solved *= TEMPERATURE
    return solved[:-1].astype(np.float32), solved[-1].astype(np.float32)


@cache
def network(scale: str = "0..1", ink: str = LIGHT) -> dict[str, Floats]:
    """Two layers' weights and biases, fitted to pixels in this form."""
    data, random = dataset(), np.random.default_rng(3)
    pixels = Input("flat", None, scale, ink).array(data.train_images[:FITTED])
    weights = random.normal(0, 0.06, (784, HIDDEN)) / (np.abs(pixels).max() / 2)
    first, bias = weights.astype(np.float32), random.normal(0, 0.3, HIDDEN).astype(np.float32)
    last, last_bias = fit_last(np.maximum(pixels @ first + bias, 0), data.train_labels[:FITTED])
    return {"w1": first, "b1": bias, "w2": last, "b2": last_bias}


def model(
    text: str, weights: Mapping[str, NDArray[Any]], opset: int = 17, ir_version: int = 8
) -> ModelProto:
    """A model of a graph in ONNX's own notation and of these weights."""
    sets = f'opset_import: ["": {opset}, "ai.onnx.ml": 1]'
    head = f'<ir_version: {ir_version}, {sets}, producer_name: "elsewhere">'
    built = parser.parse_model(f"{head} {text}")
    built.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in weights.items()
    )
    return built


def mlp(
    scale: str = "0..1",
    shape: str = "n,784",
    answer: str | None = None,
    *,
    ink: str = LIGHT,
    kind: str = "float",
    flatten: str = "Flatten(pixels)",
    opset: int = 17,
) -> ModelProto:
    """Two dense layers on images of this form and shape; ``answer`` is the last operator."""
    dtype = np.float64 if kind == "double" else np.float32
    batch = shape.partition(",")[0]
    name = "answer" if answer else "logits"
    ends = kind if kind == "double" else "float"
    text = f"""mlp ({kind}[{shape}] pixels) => ({ends}[{batch},10] {name}) {{
        flat = {flatten}
        product = MatMul(flat, w1)
        sum = Add(product, b1)
        hidden = Relu(sum)
        logits = Gemm(hidden, w2, b2)
        {f"answer = {answer}(logits)" if answer else ""}
    }}"""
    weights = {name: value.astype(dtype) for name, value in network(scale, ink).items()}
    return model(text, weights, opset)


def before_pixels(text: str, form: Mapping[str, Any] | None = None, **constants: Any) -> ModelProto:
    """A classifier of ``late``, which these nodes compute from ``pixels``."""
    built = mlp(flatten="Flatten(late)", **dict(form or {}))
    graph = parser.parse_graph(f"g (float[n] pixels) => (float[n] late) {{ {text} }}")
    for node in reversed(graph.node):
        built.graph.node.insert(0, node)
    built.graph.initializer.extend(
        numpy_helper.from_array(np.array(value), name) for name, value in constants.items()
    )
    return built


def whole_pixels() -> ModelProto:
    """A model that takes uint8 [n,28,28,1] and scales them itself, as Keras' may."""
    text = "float = Cast<to = 1>(pixels) late = Div(float, most)"
    return before_pixels(text, {"kind": "uint8", "shape": "n,28,28,1"}, most=np.float32(255))


def fixed_reshape(shape: Sequence[int] = (1, 784), constant: str = "value") -> ModelProto:
    """What torch.onnx writes of ``x.view(1, -1)`` without dynamic axes: a constant shape."""
    built = mlp("standardised", "1,1,28,28", flatten="Reshape<allowzero = 0>(pixels, shape)")
    value = np.array(shape, np.int64)
    held = numpy_helper.from_array(value) if constant == "value" else value.tolist()
    node = helper.make_node("Constant", [], ["shape"], **{constant: held})
    built.graph.node.insert(0, node)
    return built


def scikit_network(kind: str = "float") -> ModelProto:
    """What skl2onnx writes of an ``MLPClassifier``; ``double`` if its samples were doubles."""
    return _with_labels_and_dictionaries(mlp(answer="Softmax", kind=kind))


def scikit_linear(transform: str = "SOFTMAX") -> ModelProto:
    """What skl2onnx writes of a scaler and a ``LogisticRegression``."""
    data = dataset()
    pixels = data.train_images[:FITTED].reshape(FITTED, 784) / np.float32(255)
    weights, bias = fit_last(pixels, data.train_labels[:FITTED])
    text = """linear (float[n,784] pixels) => (float[n,10] answer) {
        scaled = ai.onnx.ml.Scaler<offset = [0.0], scale = [0.00392157]>(pixels)
        best, scores = ai.onnx.ml.LinearClassifier(scaled)
        answer = ai.onnx.ml.Normalizer<norm = "L1">(scores)
    }"""
    built = model(text, {})
    fitted = {"coefficients": weights.T.ravel().tolist(), "intercepts": bias.tolist()}
    attributes = {**fitted, "classlabels_ints": list(range(10)), "post_transform": transform}
    built.graph.node[1].attribute.extend(starmap(helper.make_attribute, attributes.items()))
    return _with_labels_and_dictionaries(built)


def _with_labels_and_dictionaries(built: ModelProto) -> ModelProto:
    """Replaces the output ``answer`` by what skl2onnx makes of it."""
    text = """ends (float[n,10] answer) => (
        int64[n] label, seq(map(int64, float[n])) output_probability
    ) {
        position = ArgMax<axis = 1, keepdims = 0>(answer)
        label = ai.onnx.ml.ArrayFeatureExtractor(classes, position)
        output_probability = ai.onnx.ml.ZipMap<classlabels_int64s = [0,1,2,3,4,5,6,7,8,9]>(answer)
    }"""
    ends = parser.parse_graph(text)
    built.graph.node.extend(ends.node)
    built.graph.initializer.append(numpy_helper.from_array(np.arange(10), "classes"))
    del built.graph.output[:]
    built.graph.output.extend(ends.output)
    return built


CONVOLUTION = """
    Convolution28_Output_0 = Conv<kernel_shape = [5,5], auto_pad = "SAME_UPPER">(Input3, Parameter5)
    Plus30_Output_0 = Add(Convolution28_Output_0, Parameter6)
    ReLU32_Output_0 = Relu(Plus30_Output_0)
    Pooling66_Output_0 = MaxPool<kernel_shape = [4,4], strides = [4,4], pads = [0,0,0,0]>(
        ReLU32_Output_0)
    Features = Reshape(Pooling66_Output_0, Features_shape)
"""


def cntk() -> ModelProto:
    """A CNN as mnist-8 in the ONNX model zoo, which CNTK wrote, but with one convolution.

    Pixels from 0 to 255, one image at a time, logits in the hundreds, weights listed as inputs,
    the last weights reshaped in the graph; operator set 8, IR version 3.
    """
    random = np.random.default_rng(4)
    weights: dict[str, NDArray[Any]] = {
        "Parameter5": random.normal(0, 0.3, (8, 1, 5, 5)).astype(np.float32),
        "Parameter6": random.normal(0, 9, (8, 1, 1)).astype(np.float32),
        "Features_shape": np.array([1, 392]),
    }
    text = f"body (float[1,1,28,28] Input3) => (float[1,392] Features) {{ {CONVOLUTION} }}"
    session = ort.InferenceSession(model(text, weights, 8, 4).SerializeToString())
    images = dataset().train_images[:FITTED].astype(np.float32)
    features = [session.run(None, {"Input3": i.reshape(1, 1, 28, 28)})[0] for i in images]
    last, bias = fit_last(np.concatenate(features), dataset().train_labels[:FITTED])
    weights["Parameter193"] = last.reshape(8, 7, 7, 10)
    weights["Parameter193_reshape1_shape"] = np.array([392, 10])
    weights["Parameter194"] = bias.reshape(1, 10)
    text = f"""CNTKGraph (float[1,1,28,28] Input3) => (float[1,10] Plus214_Output_0) {{
        {CONVOLUTION}
        Parameter193_reshape1 = Reshape(Parameter193, Parameter193_reshape1_shape)
        Times212_Output_0 = MatMul(Features, Parameter193_reshape1)
        Plus214_Output_0 = Add(Times212_Output_0, Parameter194)
    }}"""
    built = model(text, weights, opset=8, ir_version=3)
    built.graph.input.extend(
        helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in built.graph.initializer
    )
    return built
