"""Puts a stranger's graph into the contract's form, in standard operators.

Either the whole batch goes through the graph at once, or the graph is the body of a ``Loop`` that
takes one image after the other: that fits a graph which is made for one image, and one whose
answer for an image changes with its neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from service.answer.scores import DIGITS
from service.types import INPUT, OUTPUT
from training.export.convert import BATCH, IR_VERSION
from training.onnx_import import AdoptError
from training.onnx_import.answers import add_nodes
from training.onnx_import.detect import Form
from training.onnx_import.dynamic_batch import free_batch
from training.onnx_import.graphs import every_name, opset, rename
from training.onnx_import.original import one_line
from training.onnx_import.pixels import Chain


def wrap(model: ModelProto, form: Form, *, alone: bool) -> ModelProto:
    """``model``, cut and widened, as ``image`` uint8 [batch, 28, 28] -> ``probabilities``.

    ``alone`` loops over the images.

    Raises:
        AdoptError: the result does not pass ONNX's own full check.
    """
    inner = GraphProto()
    inner.CopyFrom(model.graph)
    prefix = _unused_prefix(inner)
    rename(inner, {name: f"{prefix}{name}" for name in (INPUT, OUTPUT)})
    before = Chain(INPUT, opset(model), f"{prefix}before_")
    before.add("Cast", INPUT, to=TensorProto.FLOAT)
    form.pixels.nodes(before)
    if alone:
        nodes, weights = _loop(inner, form, before.end, opset(model), prefix)
    else:
        nodes, weights = _batch(inner, form, before.end, opset(model), prefix)
    after = Chain(nodes[-1].output[0], opset(model), f"{prefix}after_")
    after.add("Reshape", after.end, after.constant([-1, DIGITS]))
    add_nodes(after, form.answer, OUTPUT)
    graph = helper.make_graph(
        [*before.nodes, *nodes, *after.nodes],
        "mnist",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [BATCH, 28, 28])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [BATCH, DIGITS])],
        [*weights, *_tensors(before.constants), *_tensors(after.constants)],
    )
    if not alone:
        graph.sparse_initializer.extend(inner.sparse_initializer)
    wrapped = helper.make_model(
        graph,
        opset_imports=model.opset_import,
        ir_version=max(IR_VERSION, model.ir_version),
        producer_name="mnist-serve",
    )
    try:
        onnx.checker.check_model(wrapped, full_check=True)
    except Exception as error:  # two kinds of its own, and the parser's
        raise AdoptError(f"its graph is malformed: {one_line(error)}") from error
    return wrapped


def _batch(
    inner: GraphProto, form: Form, pixels: str, version: int, prefix: str
) -> tuple[list[NodeProto], list[TensorProto]]:
    """The graph as it is, for any batch; the last node's output is its answer."""
    if form.layout.batch:
        free_batch(inner, form.layout.batch)
    feed = Chain(pixels, version, f"{prefix}feed_")
    form.layout.nodes(feed, None)
    nodes = _inside(inner, feed)
    return nodes, [*inner.initializer, *_tensors(feed.constants)]


def _loop(
    inner: GraphProto, form: Form, pixels: str, version: int, prefix: str
) -> tuple[list[NodeProto], list[TensorProto]]:
    """A loop with the graph as its body; the last node's output is its answers, row by row.

    ``Loop`` and not ``Scan``: its form is the same in every operator set.
    """
    feed = Chain(pixels, version, f"{prefix}feed_")
    feed.add("Gather", pixels, f"{prefix}index", axis=0)
    size = form.layout.batch or 1
    form.layout.nodes(feed, 1)
    if size > 1:  # A graph for so many images gets one so many times.
        feed.add("Concat", *[feed.end] * size, axis=0)
    nodes = _inside(inner, feed)
    row = Chain(nodes[-1].output[0], version, f"{prefix}row_")
    row.add("Reshape", row.end, row.constant([size, DIGITS]))
    row.add("Gather", row.end, row.constant([0]), axis=0)
    row.add("Reshape", row.end, row.constant([DIGITS]))
    body = helper.make_graph(
        [*nodes, *row.nodes, helper.make_node("Identity", [f"{prefix}go"], [f"{prefix}go_on"])],
        "one_image",
        [
            helper.make_tensor_value_info(f"{prefix}index", TensorProto.INT64, []),
            helper.make_tensor_value_info(f"{prefix}go", TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info(f"{prefix}go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info(row.end, TensorProto.FLOAT, [DIGITS]),
        ],
        [*inner.initializer, *_tensors(feed.constants), *_tensors(row.constants)],
    )
    body.sparse_initializer.extend(inner.sparse_initializer)
    true = helper.make_tensor(f"{prefix}true", TensorProto.BOOL, [], [True])
    first = helper.make_tensor(f"{prefix}first", TensorProto.INT64, [], [0])
    count = [
        helper.make_node("Shape", [INPUT], [f"{prefix}shape"]),
        helper.make_node("Gather", [f"{prefix}shape", first.name], [f"{prefix}count"], axis=0),
    ]
    loop = helper.make_node("Loop", [f"{prefix}count", true.name], [f"{prefix}rows"], body=body)
    return [*count, loop], [true, first]


def _inside(inner: GraphProto, feed: Chain) -> list[NodeProto]:
    """What feeds the graph, and the graph's own nodes; the last node's output is its answer."""
    kind = inner.input[0].type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        feed.add("Cast", feed.end, to=kind)
    answer = inner.output[0].name
    rename(inner, {inner.input[0].name: feed.end})
    last = helper.make_node("Cast", [answer], [f"{feed.prefix}answer"], to=TensorProto.FLOAT)
    return [*feed.nodes, *inner.node, last]


def _tensors(constants: Mapping[str, NDArray[Any]]) -> list[TensorProto]:
    return [numpy_helper.from_array(value, name) for name, value in constants.items()]


def _unused_prefix(graph: GraphProto) -> str:
    """What no tensor's name begins with."""
    prefix = "mnist_"
    while any(name.startswith(prefix) for name in every_name(graph)):
        prefix = f"_{prefix}"
    return prefix
