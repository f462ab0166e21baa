"""Small real ONNX models of the contract's form, and repositories of them, for any test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 8


def tiny_model_bytes(seed: int = 0, opset: int = 18) -> bytes:
    """A model file with one dense layer of random weights: other seeds give other answers."""
    random = np.random.default_rng(seed)
    weights = random.normal(0, 0.1, (784, 10)).astype(np.float32)
    return dense_model_bytes(weights, np.zeros(10, np.float32), opset)


def dense_model_bytes(
    weights: NDArray[np.float32], bias: NDArray[np.float32], opset: int = 18
) -> bytes:
    """A model file that answers softmax(image / 255 @ weights + bias).

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


def tiny_repository(root: Path, versions: Iterable[int] = (1,), champion: int | None = 1) -> Path:
    """Writes a repository under ``root`` whose version N is the tiny model of seed N; gives root.

    ``champion=None`` leaves the champion file out.
    """
    for version in versions:
        tiny_version(root, version, tiny_model_bytes(seed=version))
    if champion is not None:
        (root / "mnist" / "champion").write_text(f"{champion}\n")
    return root


def tiny_version(root: Path, version: int, model: bytes, accuracy: float = 0.1) -> Path:
    """Writes one version with this model file and a card; gives its folder."""
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
