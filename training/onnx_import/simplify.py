"""Brings a model into a simple form: one input, float outputs, only standard operators.

``expose`` and ``standardise`` return changed copies; the others edit graphs.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import onnx.inliner
import onnx.version_converter
from numpy.typing import ArrayLike
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from training.errors import TrainingError, one_line
from training.export.convert import STANDARD
from training.onnx_import.read import tensors

# From version 7 on operators broadcast as in NumPy. The model zoo's mnist-1 has version 1. From
# version 9 on a Constant holds integers, which the converter needs.
OLDEST_OPSET, CONVERTED_OPSET = 7, 9
SCIKIT = "ai.onnx.ml"
POST_TRANSFORMS = {b"SOFTMAX": "Softmax", b"LOGISTIC": "Sigmoid", b"NONE": "Identity"}
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)


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


def expose(model: ModelProto) -> ModelProto:
    """Returns a copy without functions, whose outputs are floating point tensors.

    The tensor before scikit-learn's ``ZipMap``, which makes dictionaries, becomes the output.
    """
    inlined = onnx.inliner.inline_local_functions(model) if model.functions else _upgraded(model)
    # skl2onnx computes in doubles where the samples were doubles.
    doubles = any(i.type.tensor_type.elem_type == TensorProto.DOUBLE for i in model.graph.input)
    kind = TensorProto.DOUBLE if doubles else TensorProto.FLOAT
    before_map = {
        node.output[0]: helper.make_tensor_value_info(node.input[0], kind, None)
        for node in inlined.graph.node
        if node.op_type == "ZipMap"
    }
    outputs = [before_map.get(value.name, value) for value in inlined.graph.output]
    outputs = [value for value in outputs if value.type.tensor_type.elem_type in FLOATS]
    if not outputs:
        raise TrainingError("none of its outputs is a tensor of floating point numbers")
    exposed = _with_outputs(inlined, outputs)
    if len(exposed.graph.input) != 1:
        names = ", ".join(value.name for value in exposed.graph.input) or "none"
        raise TrainingError(f"it has {len(exposed.graph.input)} inputs ({names}); expected 1")
    return exposed


def standardise(model: ModelProto, output: str) -> ModelProto:
    """Returns a copy that computes this output only, in standard operators, or raises."""
    copy = _with_outputs(model, [value for value in model.graph.output if value.name == output])
    _replace_scikit(copy.graph)
    foreign: set[str] = set()
    for graph in every_graph(copy.graph):
        del graph.value_info[:]  # it holds the batch size of the export
        for node in graph.node:
            # Exporters note the paths of the computer that they ran on.
            node.ClearField("doc_string")
            del node.metadata_props[:]
            if node.domain not in STANDARD:
                foreign.add(f"{node.domain} {node.op_type}")
    if foreign:
        raise TrainingError(f"operators outside the standard set: {', '.join(sorted(foreign)[:5])}")
    replace(copy.opset_import, [helper.make_opsetid("", opset(copy))])
    return copy


def parameters(graph: GraphProto) -> int:
    """Counts the weights of a graph: the floating point numbers in it."""
    weights = [tensor.dims for tensor in tensors(graph) if tensor.data_type in FLOATS]
    return sum(int(np.prod(dims, dtype=np.int64)) for dims in weights)


def _upgraded(model: ModelProto) -> ModelProto:
    """Returns the model in an operator set that is at least :data:`OLDEST_OPSET`."""
    if opset(model) >= OLDEST_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, CONVERTED_OPSET)
    except Exception as error:  # the converter raises many kinds
        why = f"opset {opset(model)} cannot be converted to {CONVERTED_OPSET}"
        raise TrainingError(f"{why}: {one_line(error)}") from error


def _with_outputs(model: ModelProto, outputs: Sequence[ValueInfoProto]) -> ModelProto:
    """Returns a copy with these outputs, and nothing that they do not need."""
    copy = deepcopy(model)
    del copy.training_info[:], copy.metadata_props[:]
    replace(copy.graph.output, outputs)
    keep_needed(copy.graph)
    return copy


def _replace_scikit(graph: GraphProto) -> None:
    """Writes scikit-learn's networks and linear classifiers in standard operators.

    https://onnx.ai/onnx/operators/#ai-onnx-ml defines them; trees and vector machines stay.
    """
    nodes: list[NodeProto] = []
    for index, node in enumerate(graph.node):
        chain = Chain(node.input[0] if node.input else "", f"scikit_{index}/")
        if node.domain == SCIKIT:
            _add_standard(chain, node)
        if chain.nodes:
            chain.nodes[-1].output[0] = node.output[-1]  # a classifier's first one is the label
        nodes += chain.nodes or [node]
        graph.initializer.extend(chain.constants)
    replace(graph.node, nodes)


def _add_standard(chain: Chain, node: NodeProto) -> None:
    """Adds what the node computes to the chain; nothing where standard operators have no form."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Scaler":
        chain.add("Sub", np.float32(attributes["offset"]))
        chain.add("Mul", np.float32(attributes["scale"]))
    elif node.op_type == "Normalizer" and attributes["norm"] == b"L1":
        chain.add("LpNormalization", axis=1, p=1)
    elif node.op_type == "LinearClassifier":
        intercepts = np.array(attributes["intercepts"], np.float32)
        coefficients = np.array(attributes["coefficients"], np.float32)
        chain.add("MatMul", coefficients.reshape(len(intercepts), -1).T)
        chain.add("Add", intercepts)
        chain.add(POST_TRANSFORMS[attributes["post_transform"]])
