"""ONNX files that mean harm, or that no digit classifier would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, parser

from tests.training.onnx_import.exported import before_pixels, mlp, model


def endless() -> ModelProto:
    """Loops for longer than anyone waits, on its first image."""
    body = """b (int64 step, bool go, float value) => (bool go_on, float next) {
        go_on = Identity(go)
        next = Tanh(value)
    }"""
    return before_pixels(f"late = Loop<body = {body}>(steps, yes, pixels)", steps=2**62, yes=True)


def greedy() -> ModelProto:
    """Asks for 2 GiB of memory before its first answer."""
    text = """many = ConstantOfShape<value = float[1] {0.0}>(size)
        none = ReduceSum<keepdims = 0>(many, axis)
        late = Add(pixels, none)"""
    return before_pixels(text, size=[2 << 28], axis=[0])


def doubling(depth: int = 40) -> ModelProto:
    """A few functions, each of which calls the one before twice: 2 ** depth nodes once inlined."""
    built = before_pixels(f"late = own.f{depth - 1}(pixels)")
    built.opset_import.append(helper.make_opsetid("own", 1))
    head = '<domain: "own", opset_import: ["": 17, "own": 1]>'
    for level in range(depth):
        calls = f"m = own.f{level - 1}(x) y = own.f{level - 1}(m)" if level else "y = Identity(x)"
        built.functions.append(parser.parse_function(f"{head} f{level} (x) => (y) {{ {calls} }}"))
    return built


def classes(count: int) -> ModelProto:
    """A classifier of ``count`` classes whose weights were never fitted."""
    weights = np.random.default_rng(9).normal(0, 1, (784, count)).astype(np.float32)
    text = f"g (float[n,784] pixels) => (float[n,{count}] logits) {{ logits = MatMul(pixels, w) }}"
    return model(text, {"w": weights})


def with_external(
    location: str, offset: str | None = None, length: str | None = None
) -> ModelProto:
    """A model that says that its first weights are in another file."""
    built = mlp()
    tensor = built.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location)
    for key, value in {"offset": offset, "length": length}.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    tensor.ClearField("raw_data")
    return built


def save_beside(built: ModelProto, path: Path, location: str) -> None:
    """Writes a model, and all its weights to ``location`` in the same folder."""
    onnx.save_model(built, path, save_as_external_data=True, location=location, size_threshold=0)
