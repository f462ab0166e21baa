"""ONNX files that mean harm, or that no digit classifier would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.training.onnx_import.strangers import mlp, model


def endless() -> ModelProto:
    """Loops for longer than anyone waits, on its first image."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Tanh", ["value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    built = mlp()
    built.graph.node[0].input[0] = "late"
    loop = helper.make_node("Loop", ["steps", "true", "pixels"], ["late"], body=body)
    built.graph.node.insert(0, loop)
    built.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(2**62), "steps"),
            numpy_helper.from_array(np.array(True), "true"),
        ]
    )
    return built


def greedy(gibibytes: int = 64) -> ModelProto:
    """Asks for so much memory before its first answer."""
    built = mlp()
    built.graph.node[0].input[0] = "more"
    zero = helper.make_tensor("", TensorProto.FLOAT, [1], [0.0])
    built.graph.node.insert(0, helper.make_node("Add", ["pixels", "none"], ["more"]))
    built.graph.node.insert(
        0, helper.make_node("ReduceSum", ["many", "axis"], ["none"], keepdims=0)
    )
    built.graph.node.insert(0, helper.make_node("ConstantOfShape", ["size"], ["many"], value=zero))
    size = np.array([gibibytes << 28])
    built.graph.initializer.extend(
        [numpy_helper.from_array(size, "size"), numpy_helper.from_array(np.array([0]), "axis")]
    )
    return built


def doubling(depth: int = 40) -> ModelProto:
    """A few functions, each of which calls the one before twice: 2 ** depth nodes once inlined."""
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function(
            "own", "f0", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], sets
        )
    ]
    for level in range(1, depth):
        calls = [
            helper.make_node(f"f{level - 1}", ["x"], ["m"], domain="own"),
            helper.make_node(f"f{level - 1}", ["m"], ["y"], domain="own"),
        ]
        functions.append(helper.make_function("own", f"f{level}", ["x"], ["y"], calls, sets))
    built = mlp()
    built.graph.node[0].input[0] = "same"
    built.graph.node.insert(
        0, helper.make_node(f"f{depth - 1}", ["pixels"], ["same"], domain="own")
    )
    built.opset_import.append(helper.make_opsetid("own", 1))
    built.functions.extend(functions)
    return built


def random_answers() -> ModelProto:
    """Adds noise to its logits."""
    built = mlp()
    built.graph.node[-1].output[0] = "sure"
    built.graph.node.append(helper.make_node("RandomNormalLike", ["sure"], ["noise"]))
    built.graph.node.append(helper.make_node("Add", ["sure", "noise"], ["logits"]))
    return built


def blind() -> ModelProto:
    """Knows no digit: its weights were never fitted."""
    random = np.random.default_rng(9).normal(0, 1, (784, 10)).astype(np.float32)
    return model(
        [helper.make_node("MatMul", ["pixels", "w"], ["logits"])],
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 784])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
        {"w": random},
    )


def classes(count: int) -> ModelProto:
    """A classifier of ``count`` classes, as large as a thousand in ImageNet's."""
    return model(
        [helper.make_node("MatMul", ["pixels", "w"], ["logits"])],
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 784])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", count])],
        {"w": np.ones((784, count), np.float32)},
    )


def with_external(
    location: str, offset: str | None = None, length: str | None = None
) -> ModelProto:
    """A model whose first weights are said to be in another file."""
    built = mlp()
    tensor = built.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location)
    for key, value in (("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    tensor.ClearField("raw_data")
    return built


def save_beside(built: ModelProto, path: Path, location: str) -> None:
    """Writes a model, and all its weights to ``location`` in the same folder."""
    onnx.save_model(
        built,
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=location,
        size_threshold=0,
    )
