"""Adds nodes to a model: ``image`` uint8 [batch, 28, 28] in, ``probabilities`` [batch, 10] out."""

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from onnx.compose import add_prefix_graph

from service.answer.scores import DIGITS
from service.types import INPUT, OUTPUT
from training.export.convert import BATCH, IR_VERSION
from training.onnx_import.forms import LAYOUTS, LEAST_SCORE, Form
from training.onnx_import.simplify import Chain, reads, replace

PREFIX = "original/"


def wrap(model: ModelProto, form: Form) -> ModelProto:
    """Wraps a model that is in standard operators and has one output, and checks the result."""
    # onnx renames the weights last, after the inner graphs that read them.
    names = {tensor.name: f"{PREFIX}{tensor.name}" for tensor in model.graph.initializer}
    inner = add_prefix_graph(model.graph, PREFIX, name_map=names)
    if form.input.batch is not None:
        free_batch(inner, form.input.batch)
    factor, offset = form.input.factor_and_offset()
    before = Chain(INPUT, "before/")
    before.add("Cast", to=TensorProto.FLOAT)
    before.add("Mul", factor)
    before.add("Add", offset)
    before.add("Reshape", [-1, *LAYOUTS[form.input.layout]])
    before.add("Cast", to=inner.input[0].type.tensor_type.elem_type)
    before.nodes[-1].output[0] = inner.input[0].name
    after = Chain(inner.output[0].name, "after/")
    after.add("Cast", to=TensorProto.FLOAT)
    after.add("Reshape", [-1, DIGITS])
    if form.answer == "probabilities":
        after.add("Relu")
        after.add("Add", np.float32(LEAST_SCORE))
        after.add("LpNormalization", axis=1, p=1)
    else:
        after.add("Softmax")
    after.nodes[-1].output[0] = OUTPUT
    graph = helper.make_graph(
        [*before.nodes, *inner.node, *after.nodes],
        "mnist",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [BATCH, 28, 28])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [BATCH, DIGITS])],
        [*inner.initializer, *before.constants, *after.constants],
    )
    wrapped: ModelProto = helper.make_model(
        graph,
        opset_imports=model.opset_import,
        ir_version=max(IR_VERSION, model.ir_version),
        producer_name="mnist-serve",
    )
    onnx.checker.check_model(wrapped, full_check=True)
    return wrapped


def free_batch(graph: GraphProto, batch: int) -> None:
    """Makes the shapes to which ``Reshape`` brings the pixels begin with any batch size.

    PyTorch's ``[1, 256]`` becomes ``[-1, 256]``, and ``[1, -1]`` ``[0, -1]``, where 0 is "as in the
    input". The verification fails where the graph depends on the batch size in another way.
    """
    from_pixels = {graph.input[0].name}
    for index, node in enumerate(graph.node):
        if not from_pixels & reads(node):
            continue
        from_pixels.update(node.output)
        shape = _constant(graph, node.input[1]) if node.op_type == "Reshape" else []
        if shape[:1] == [batch] and node.input[0] in from_pixels:
            free = np.array([0 if -1 in shape else -1, *shape[1:]], np.int64)
            node.input[1] = f"{node.input[1]}_free_{index}"
            graph.initializer.append(numpy_helper.from_array(free, node.input[1]))
            # With allowzero, 0 would stand for a length of 0.
            replace(node.attribute, [a for a in node.attribute if a.name != "allowzero"])


def _constant(graph: GraphProto, name: str) -> list[int]:
    """Returns the numbers of a constant vector; none where the graph computes them."""
    for node in graph.node:
        if node.op_type == "Constant" and name in node.output:
            value = helper.get_attribute_value(node.attribute[0])
            return list(numpy_helper.to_array(value) if isinstance(value, TensorProto) else value)
    found = [tensor for tensor in graph.initializer if tensor.name == name]
    return list(numpy_helper.to_array(found[0])) if found else []
