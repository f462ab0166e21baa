"""Brings a stranger's model into a plain form: one input, one output, standard operators, float32.

Everything here gives a changed copy; the model as it came stays what the proof compares with.
"""

from __future__ import annotations

from collections.abc import Container

import numpy as np
import onnx
import onnx.inliner
import onnx.version_converter
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from training.onnx_import import AdoptError, scikit
from training.onnx_import.graphs import STANDARD, every_graph, every_node, keep_needed, opset
from training.onnx_import.read import tensors

# From here on, broadcasting has today's rules and the nodes written here mean what they say.
OLDEST_OPSET = 7
RANDOM = {
    *("Bernoulli", "Multinomial"),
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
}
WIDENED = {TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
FLOATS = {TensorProto.FLOAT, *WIDENED}
# Attributes that hold an element type.
TYPED = {"to", "dtype"}


def plain(model: ModelProto) -> ModelProto:
    """A copy with its functions inlined and each possible answer as a float output of its own.

    scikit-learn's ``ZipMap`` makes a list of dictionaries of its probabilities: the tensor that it
    takes becomes the output.

    Raises:
        AdoptError: not exactly one input is to be fed.
    """
    copy = onnx.inliner.inline_local_functions(model) if model.functions else _copy(model)
    del copy.training_info[:], copy.metadata_props[:]
    graph = copy.graph
    _drop_fed_weights(graph)
    before_map = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ZipMap"}
    outputs = [
        helper.make_tensor_value_info(before_map[output.name], TensorProto.FLOAT, None)
        if output.name in before_map
        else output
        for output in map(_copied, graph.output)
    ]
    del graph.output[:]
    for output in outputs:
        if output.type.WhichOneof("value") in (None, "tensor_type") and (
            output.type.tensor_type.elem_type in FLOATS | {TensorProto.UNDEFINED}
        ):
            graph.output.append(output)
    if not graph.output:
        raise AdoptError("none of its outputs is a tensor of floating point numbers")
    keep_needed(graph)
    _check_input(graph)
    return copy


def cut(model: ModelProto, output: str) -> ModelProto:
    """A copy that computes this output only, in standard operators and float32.

    Raises:
        AdoptError: it takes other operators than the standard ones, or gives random answers.
    """
    copy = _copy(model)
    graph = copy.graph
    kept = next(_copied(value) for value in graph.output if value.name == output)
    del graph.output[:]
    graph.output.append(kept)
    keep_needed(graph)
    scikit.spell_out(graph, opset(copy))
    nodes = list(every_node(graph))
    if foreign := sorted({f"{n.domain} {n.op_type}" for n in nodes if n.domain not in STANDARD}):
        raise AdoptError(f"operators outside the standard set: {', '.join(foreign[:5])}")
    if random := sorted({n.op_type for n in nodes} & RANDOM):
        raise AdoptError(f"its answers are random: {', '.join(random)}")
    for node in nodes:  # exporters note the files of whoever ran them
        node.ClearField("doc_string")
        del node.metadata_props[:]
    copy = _upgraded(copy)
    widen(copy.graph)
    standard = opset(copy)
    del copy.opset_import[:]
    copy.opset_import.append(helper.make_opsetid("", standard))
    return copy


def only(model: ModelProto, outputs: Container[str]) -> ModelProto:
    """A copy that has these of its outputs, and nothing that the others alone need."""
    copy = _copy(model)
    for index in reversed(range(len(copy.graph.output))):
        if copy.graph.output[index].name not in outputs:
            del copy.graph.output[index]
    keep_needed(copy.graph)
    return copy


def widened(model: ModelProto) -> ModelProto:
    """A copy in float32."""
    copy = _copy(model)
    widen(copy.graph)
    return copy


def widen(graph: GraphProto) -> None:
    """Makes every float16, bfloat16 and float64 tensor float32, in place.

    The CPU has no kernels for many of the others, and float16 loses digits.
    """
    for tensor in tensors(graph):
        if tensor.data_type in WIDENED:
            with np.errstate(over="ignore"):
                wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for one in every_graph(graph):
        del one.value_info[:]  # can be inferred
        for value in [*one.input, *one.output]:
            if value.type.tensor_type.elem_type in WIDENED:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in one.node:
            for attribute in node.attribute:
                if attribute.name in TYPED and attribute.i in WIDENED:
                    attribute.i = TensorProto.FLOAT


def parameters(graph: GraphProto) -> int:
    """How many weights a graph has: the floating point numbers in it."""
    sizes = [
        int(np.prod(tensor.dims, dtype=np.int64))
        for tensor in tensors(graph)
        if tensor.data_type in FLOATS
    ]
    return sum(sizes)


def _upgraded(model: ModelProto) -> ModelProto:
    """The model in an operator set that is not older than :data:`OLDEST_OPSET`."""
    if opset(model) >= OLDEST_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OLDEST_OPSET)
    except Exception as error:  # whatever the converter raises on what it does not know
        reason = " ".join(str(error).split())[:200]
        raise AdoptError(
            f"opset {opset(model)} cannot be brought to {OLDEST_OPSET}: {reason}"
        ) from error


def _drop_fed_weights(graph: GraphProto) -> None:
    """Before IR version 4, weights were listed as inputs too, as defaults that may be fed."""
    weights = {tensor.name for tensor in graph.initializer}
    for index in reversed(range(len(graph.input))):
        if graph.input[index].name in weights:
            del graph.input[index]


def _check_input(graph: GraphProto) -> None:
    if len(graph.input) != 1:
        names = ", ".join(value.name for value in graph.input) or "none"
        raise AdoptError(f"it has {len(graph.input)} inputs ({names}); want 1, the image")


def _copy(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def _copied(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    return copy
