"""A network as the ONNX model zoo has it, fitted in a moment on a few training images."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from tests.training.onnx_import.strangers import FITTED, Floats, dataset, fit_last, model, raw

FEATURES = "Pooling160_Output_0_reshape0"
IMAGE = helper.make_tensor_value_info("Input3", TensorProto.FLOAT, [1, 1, 28, 28])


def cntk() -> ModelProto:
    """A CNN with the structure of mnist-8 in the ONNX model zoo, which CNTK wrote.

    Pixels from 0 to 255, one image at a time, logits in the hundreds, weights listed as inputs,
    the last weights reshaped in the graph; operator set 8, IR version 3.
    """
    random = np.random.default_rng(4)
    weights: dict[str, NDArray[np.generic]] = {
        "Parameter5": random.normal(0, 0.3, (8, 1, 5, 5)).astype(np.float32),
        "Parameter6": random.normal(0, 9, (8, 1, 1)).astype(np.float32),
        "Parameter87": random.normal(0, 0.1, (16, 8, 5, 5)).astype(np.float32),
        "Parameter88": random.normal(0, 9, (16, 1, 1)).astype(np.float32),
        f"{FEATURES}_shape": np.array([1, 256]),
    }
    row = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [1, 256])
    body = model(_convolutions(), [IMAGE], [row], weights, opset=8, ir_version=4)
    last, bias = _fit_on_top(body)
    weights["Parameter193"] = last.reshape(16, 4, 4, 10)
    weights["Parameter193_reshape1_shape"] = np.array([256, 10])
    weights["Parameter194"] = bias.reshape(1, 10)
    listed = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in weights.items()
    ]
    logits = helper.make_tensor_value_info("Plus214_Output_0", TensorProto.FLOAT, [1, 10])
    nodes = [*_convolutions(), *_last_layer()]
    return model(nodes, [IMAGE, *listed], [logits], weights, opset=8, ir_version=3)


def _convolutions() -> list[NodeProto]:
    """From the image to 256 features."""
    return [
        _conv("Input3", "Parameter5", "Convolution28_Output_0"),
        helper.make_node("Add", ["Convolution28_Output_0", "Parameter6"], ["Plus30_Output_0"]),
        helper.make_node("Relu", ["Plus30_Output_0"], ["ReLU32_Output_0"]),
        _pool("ReLU32_Output_0", "Pooling66_Output_0", 2),
        _conv("Pooling66_Output_0", "Parameter87", "Convolution110_Output_0"),
        helper.make_node("Add", ["Convolution110_Output_0", "Parameter88"], ["Plus112_Output_0"]),
        helper.make_node("Relu", ["Plus112_Output_0"], ["ReLU114_Output_0"]),
        _pool("ReLU114_Output_0", "Pooling160_Output_0", 3),
        helper.make_node("Reshape", ["Pooling160_Output_0", f"{FEATURES}_shape"], [FEATURES]),
    ]


def _last_layer() -> list[NodeProto]:
    """From the features to ten logits."""
    weights, product = "Parameter193_reshape1", "Times212_Output_0"
    return [
        helper.make_node("Reshape", ["Parameter193", f"{weights}_shape"], [weights]),
        helper.make_node("MatMul", [FEATURES, weights], [product]),
        helper.make_node("Add", [product, "Parameter194"], ["Plus214_Output_0"]),
    ]


def _fit_on_top(body: ModelProto) -> tuple[Floats, Floats]:
    """The last layer for what a body of one image at a time gives for raw pixels."""
    data = dataset()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(body.SerializeToString(), options)
    features = [
        session.run(None, {"Input3": image.reshape(1, 1, 28, 28)})[0]
        for image in raw(data.train_images[:FITTED])
    ]
    return fit_last(np.concatenate(features), data.train_labels[:FITTED])


def _conv(source: str, weights: str, output: str) -> NodeProto:
    return helper.make_node(
        "Conv", [source, weights], [output], kernel_shape=[5, 5], auto_pad="SAME_UPPER"
    )


def _pool(source: str, output: str, size: int) -> NodeProto:
    return helper.make_node(
        "MaxPool",
        [source],
        [output],
        kernel_shape=[size, size],
        strides=[size, size],
        pads=[0, 0, 0, 0],
    )
