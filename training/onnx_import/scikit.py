"""Spells out in standard operators what skl2onnx writes in those of ai.onnx.ml.

Scikit-learn's networks and linear classifiers come out as these few operators around standard ones
(https://onnx.ai/onnx/operators/ has their sums). Its trees and support vectors have no such form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

from training.onnx_import.pixels import Chain

DOMAIN = "ai.onnx.ml"


def spell_out(graph: GraphProto, opset: int) -> None:
    """Replaces the operators that have a standard form; leaves the others as they are."""
    nodes: list[NodeProto] = []
    for index, node in enumerate(graph.node):
        spell = SPELLINGS.get(node.op_type) if node.domain == DOMAIN else None
        chain = Chain(node.input[0], opset, f"mnist/scikit_{index}_") if spell else None
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if spell is None or chain is None or not spell(chain, attributes):
            nodes.append(node)
            continue
        last = chain.nodes[-1]
        # A classifier's first output is its label, which nothing here needs.
        last.output[0] = node.output[-1]
        nodes += chain.nodes
        graph.initializer.extend(
            numpy_helper.from_array(value, name) for name, value in chain.constants.items()
        )
    del graph.node[:]
    graph.node.extend(nodes)


def _scaler(chain: Chain, attributes: dict[str, Any]) -> bool:
    """(x - offset) * scale."""
    chain.add("Sub", chain.end, chain.floats(attributes.get("offset", [0])))
    chain.add("Mul", chain.end, chain.floats(attributes.get("scale", [1])))
    return True


def _normalizer(chain: Chain, attributes: dict[str, Any]) -> bool:
    """Each row divided by the sum of its absolute values (L1); others are not spelled out."""
    if attributes.get("norm", b"MAX") != b"L1":
        return False
    rows = chain.end
    total = chain.sum(chain.add("Abs", rows), [1])
    chain.add("Div", rows, total)
    return True


def _linear_classifier(chain: Chain, attributes: dict[str, Any]) -> bool:
    """x @ coefficients + intercepts, then softmax, the logistic function or nothing."""
    transform = attributes.get("post_transform", b"NONE")
    intercepts = np.asarray(attributes.get("intercepts", []), np.float32)
    coefficients = np.asarray(attributes["coefficients"], np.float32)
    if (
        transform not in (b"SOFTMAX", b"LOGISTIC", b"NONE")
        or len(intercepts) < 3
        or len(coefficients) % len(intercepts)
    ):
        return False
    by_class = coefficients.reshape(len(intercepts), -1)
    chain.add("MatMul", chain.end, chain.floats(by_class.T))
    chain.add("Add", chain.end, chain.floats(intercepts))
    if transform == b"SOFTMAX":
        chain.add("Softmax", chain.end, axis=1)
    elif transform == b"LOGISTIC":
        chain.add("Sigmoid", chain.end)
    return True


SPELLINGS: dict[str, Callable[[Chain, dict[str, Any]], bool]] = {
    "Scaler": _scaler,
    "Normalizer": _normalizer,
    "LinearClassifier": _linear_classifier,
}
