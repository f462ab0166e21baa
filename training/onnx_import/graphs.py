"""Walks through ONNX graphs, removes what no output needs, and builds chains of nodes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from training.export.convert import STANDARD


def opset(model: ModelProto) -> int:
    """Returns the version of the standard operator set; 1 where the model declares none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in STANDARD]
    return max(versions, default=1)


def every_graph(graph: GraphProto) -> Iterator[GraphProto]:
    """Yields the graph and the graphs in its nodes: bodies of loops, branches of conditions."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from every_graph(attribute.g)


def reads(node: NodeProto) -> set[str]:
    """Returns the names of the tensors that a node and the graphs in it read."""
    names: set[str] = set()
    for graph in every_graph(GraphProto(node=[node])):
        names.update(value.name for value in graph.output)
        names.update(name for inner in graph.node for name in inner.input)
    return names


def keep_needed(graph: GraphProto) -> None:
    """Removes what no output needs, and weights from the inputs (before IR version 4)."""
    needed = {value.name for value in graph.output}
    nodes: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.insert(0, node)
            needed |= reads(node)
    weights = {tensor.name for tensor in graph.initializer}
    replace(graph.node, nodes)
    replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in needed])
    replace(graph.input, [value for value in graph.input if value.name in needed - weights])


def replace(field: Any, values: Sequence[Any]) -> None:
    """Replaces the values of a repeated protobuf field."""
    del field[:]
    field.extend(values)


class Chain:
    """Builds nodes, and their constants, one after the other; ``end`` is the last output's name."""

    def __init__(self, start: str, prefix: str) -> None:
        self.end, self.prefix = start, prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *others: ArrayLike, **attributes: Any) -> None:
        """Adds a node of the end and constants; its output is the new end."""
        inputs = [self.end]
        for other in others:
            inputs.append(f"{self.prefix}constant_{len(self.constants)}")
            self.constants.append(numpy_helper.from_array(np.asarray(other), inputs[-1]))
        self.end = f"{self.prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [self.end], **attributes))

    def finish(self, name: str) -> None:
        """Names the last node's output."""
        self.end = self.nodes[-1].output[0] = name
