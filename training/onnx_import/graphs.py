"""What reading and changing an ONNX graph takes: walks into inner graphs, names, element types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnx import GraphProto, ModelProto, NodeProto

STANDARD = {"", "ai.onnx"}  # two spellings of one operator set


def opset(model: ModelProto) -> int:
    """The version of the standard operator set; 1 where the model declares none."""
    return max(
        (entry.version for entry in model.opset_import if entry.domain in STANDARD), default=1
    )


def inner_graphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in a node's attributes: bodies of loops, branches of conditions."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def every_graph(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and all graphs within."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from every_graph(inner)


def every_node(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of the graph and of all graphs within."""
    for one in every_graph(graph):
        yield from one.node


def reads(node: NodeProto) -> set[str]:
    """The tensors a node needs, those that its inner graphs take from outside among them."""
    names = {name for name in node.input if name}
    for inner in inner_graphs(node):
        own = {value.name for value in [*inner.input, *inner.initializer]}
        needed = {value.name for value in inner.output}
        for within in inner.node:
            needed |= reads(within)
            own.update(within.output)
        names |= needed - own
    return names


def keep_needed(graph: GraphProto) -> None:
    """Removes the nodes and weights that none of the graph's outputs needs."""
    needed = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= reads(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for values in (graph.initializer, graph.input):
        for index in reversed(range(len(values))):
            if values[index].name not in needed:
                del values[index]
    for index in reversed(range(len(graph.sparse_initializer))):
        if graph.sparse_initializer[index].values.name not in needed:
            del graph.sparse_initializer[index]


def rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Renames tensors throughout: inner graphs see the names of the outer ones."""
    for one in every_graph(graph):
        for node in one.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        for value in [*one.input, *one.output, *one.initializer]:
            value.name = names.get(value.name, value.name)
        for sparse in one.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, sparse.values.name)


def every_name(graph: GraphProto) -> set[str]:
    """The names of all tensors, inner graphs' among them."""
    names: set[str] = set()
    for one in every_graph(graph):
        names.update(value.name for value in [*one.input, *one.output, *one.initializer])
        names.update(sparse.values.name for sparse in one.sparse_initializer)
        for node in one.node:
            names.update([*node.input, *node.output])
    return names
