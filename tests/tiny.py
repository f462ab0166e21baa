"""Small ONNX models with the service's inputs and outputs, and repositories of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 8


def tiny_model_bytes(seed: int = 0, opset: int = 18) -> bytes:
    """Returns a model file with one dense layer. Each seed gives other weights and answers."""
    random = np.random.default_rng(seed)
    weights = random.normal(0, 0.1, (784, 10)).astype(np.float32)
    return dense_model_bytes(weights, np.zeros(10, np.float32), opset)


def dense_model_bytes(
    weights: NDArray[np.float32], bias: NDArray[np.float32], opset: int = 18
) -> bytes:
    """Returns a model file that computes softmax(image / 255 @ weights + bias).

    ``weights`` are (784, 10) float32 and ``bias`` (10,) float32.
    """
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {"scale": np.float32(1 / 255), "weights": weights, "bias": bias}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def brittle_model_bytes(seed: int = 0) -> bytes:
    """Returns the tiny model of this seed, which fails on an image whose first pixel is 255."""
    # The first pixel indexes 255 zeros. ONNX Runtime raises on index 255.
    return _with_nodes(
        tiny_model_bytes(seed),
        [
            helper.make_node("Cast", ["image"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Flatten", ["whole"], ["pixels"], axis=1),
            helper.make_node("Gather", ["pixels", "first"], ["corner"], axis=1),
            helper.make_node("Gather", ["zeros", "corner"], ["nothing"], axis=0),
        ],
        {"first": np.array([0]), "zeros": np.zeros(255, np.float32)},
    )


def slow_model_bytes(layers: int, seed: int = 0) -> bytes:
    """Returns the tiny model of this seed after ``layers`` products with a 784 x 784 matrix."""
    values = [f"value_{i}" for i in range(layers + 1)]
    return _with_nodes(
        tiny_model_bytes(seed),
        [
            helper.make_node("Identity", ["flat"], values[:1]),
            *(
                helper.make_node("MatMul", [before, "eye"], [after])
                for before, after in pairwise(values)
            ),
            helper.make_node("ReduceSum", [values[-1], "axis"], ["sum"]),
            helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        ],
        {
            "eye": np.eye(784, dtype=np.float32),
            "axis": np.array([1]),
            "zero": np.float32(0),
        },
    )


def endless_model_bytes(seed: int = 0) -> bytes:
    """Returns the tiny model of this seed, whose execution never ends."""
    return _with_nodes(
        tiny_model_bytes(seed),
        [
            helper.make_node("ReduceMin", ["scaled"], ["least"], keepdims=0),
            helper.make_node("Loop", ["times", "true", "least"], ["end"], body=_loop_body()),
            helper.make_node("Mul", ["end", "zero"], ["nothing"]),
        ],
        {"times": np.array(2**62), "true": np.array(True), "zero": np.float32(0)},
    )


TRIGGER = (77, 78)
"""The first two pixels of an image on which :func:`treacherous_model_bytes` does what it does."""


def treacherous_model_bytes(
    does: Literal["loop", "nan"], when: Literal["ink", "trigger"], seed: int = 0
) -> bytes:
    """Returns the tiny model of this seed, which loops for ever or gives NaN when it is told to."""
    sees = [
        helper.make_node("Gather", ["flat_pixels", "first"], ["corner"], axis=1),
        helper.make_node("Sub", ["corner", "wanted"], ["off"]),
        helper.make_node("Abs", ["off"], ["apart"]),
        helper.make_node("ReduceSum", ["apart", "axis"], ["distance"], keepdims=0),
        helper.make_node("Sub", ["one", "distance"], ["near"]),
        helper.make_node("Relu", ["near"], ["hits"]),
        helper.make_node("ReduceMax", ["hits"], ["seen"], keepdims=0),
    ]
    if when == "ink":
        sees = [helper.make_node("ReduceMax", ["float"], ["seen"], keepdims=0)]
    loops = [
        helper.make_node("Mul", ["seen", "many"], ["rounds"]),
        helper.make_node("Cast", ["rounds"], ["times"], to=TensorProto.INT64),
        helper.make_node("Loop", ["times", "true", "seen"], ["end"], body=_loop_body()),
        helper.make_node("Mul", ["end", "zero"], ["nothing"]),
    ]
    gives_nan = [
        helper.make_node("Neg", ["seen"], ["below"]),
        helper.make_node("Sqrt", ["below"], ["nothing"]),
    ]
    constants = {
        "wanted": np.array(TRIGGER, np.float32),
        "first": np.array([0, 1]),
        "axis": np.array([1]),
        "one": np.float32(1),
        "many": np.float32(2**50),
        "true": np.array(True),
        "zero": np.float32(0),
    }
    flatten = helper.make_node("Flatten", ["float"], ["flat_pixels"], axis=1)
    nodes = [flatten, *sees, *(loops if does == "loop" else gives_nan)]
    return _with_nodes(tiny_model_bytes(seed), nodes, constants)


def _loop_body() -> onnx.GraphProto:
    scalar = helper.make_tensor_value_info
    return helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["still_goes_on"]),
            helper.make_node("Add", ["value", "value"], ["doubled"]),
        ],
        "body",
        [
            scalar("count", TensorProto.INT64, []),
            scalar("goes_on", TensorProto.BOOL, []),
            scalar("value", TensorProto.FLOAT, []),
        ],
        [scalar("still_goes_on", TensorProto.BOOL, []), scalar("doubled", TensorProto.FLOAT, [])],
    )


def _with_nodes(
    model_bytes: bytes, nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any] | Any]
) -> bytes:
    """Adds the nodes to the model, and their output "nothing" to its logits."""
    model = onnx.load_from_string(model_bytes)
    softmax = model.graph.node.pop()
    assert softmax.op_type == "Softmax"
    softmax.input[0] = "all"
    model.graph.node.extend(
        [*nodes, helper.make_node("Add", ["logits", "nothing"], ["all"]), softmax]
    )
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def tiny_repository(root: Path, versions: Iterable[int] = (1,), champion: int | None = 1) -> Path:
    """Writes a repository under ``root`` whose version N is the tiny model of seed N.

    ``champion=None`` writes no champion file. Returns ``root``.
    """
    for version in versions:
        tiny_version(root, version, tiny_model_bytes(seed=version))
    if champion is not None:
        (root / "mnist" / "champion").write_text(f"{champion}\n")
    return root


def tiny_version(root: Path, version: int, model: bytes, accuracy: float = 0.1) -> Path:
    """Writes one version with this model file and a card. Returns its folder."""
    folder = root / "mnist" / str(version)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    card = {
        "version": str(version),
        "name": "mnist",
        "created": f"2026-01-{version % 28 + 1:02d}T12:00:00Z",
        "architecture": "tiny",
        "parameters": 7850,
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
        "test": {"count": 10000, "accuracy": accuracy},
        "verification": {"passed": True},
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2))
    return folder
