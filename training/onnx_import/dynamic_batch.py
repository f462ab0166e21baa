"""Frees the batch axis of a graph that was written for a fixed batch, as far as that goes.

Whether it went far enough is for the proof to find out.
"""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from training.onnx_import.graphs import reads


def free_batch(graph: GraphProto, batch: int) -> None:
    """Lets the shapes that the pixels are brought to begin with any number, in place of ``batch``.

    An exporter that sees a fixed batch writes ``Reshape`` to ``[1, 256]``; that becomes
    ``[-1, 256]``, and ``[1, -1]`` becomes ``[0, -1]``, where 0 means "as it was".
    """
    shapes = _constants(graph)
    from_pixels = {graph.input[0].name}
    for index, node in enumerate(graph.node):
        if not from_pixels & reads(node):
            continue
        from_pixels.update(node.output)
        shape = shapes.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or node.input[0] not in from_pixels or not shape.size:
            continue
        if shape[0] == batch:
            free = np.array([0 if -1 in shape else -1, *shape[1:]], np.int64)
            name = f"{node.input[1]}_free_{index}"
            graph.initializer.append(numpy_helper.from_array(free, name))
            node.input[1] = name
            _forget_allowzero(node)


def _constants(graph: GraphProto) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Small whole-number tensors of the graph, by name."""
    held: dict[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            held[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Constant" and node.attribute[0].name == "value_ints":
            numbers = list(node.attribute[0].ints)
            held[node.output[0]] = helper.make_tensor(
                "", TensorProto.INT64, [len(numbers)], numbers
            )
    return {
        name: numpy_helper.to_array(tensor).astype(np.int64)
        for name, tensor in held.items()
        if tensor.data_type == TensorProto.INT64 and len(tensor.dims) == 1 and tensor.dims[0] <= 16
    }


def _forget_allowzero(node: NodeProto) -> None:
    for index in reversed(range(len(node.attribute))):
        if node.attribute[index].name == "allowzero":
            del node.attribute[index]
