"""Proves a wrapped model against the file as it came, and thereby decides how it takes batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from service.answer.scores import Scores, score
from service.types import Images, Probabilities
from training.data.loading import Dataset
from training.export.verify import Verification, VerificationFailed, answers, verify
from training.onnx_import import AdoptError, scikit, simplify
from training.onnx_import.answers import to_probabilities
from training.onnx_import.detect import Form
from training.onnx_import.graphs import every_node
from training.onnx_import.original import Stranger, one_line
from training.onnx_import.read import tensors
from training.onnx_import.wrap import wrap

# A form of the graph that fails mostly fails here.
SAMPLE = 64
# How far an answer may be from that of the file as it came, where its graph had to be changed;
# where a digit differs, its two best answers were no further apart than two of that. float16 keeps
# 11 bits of a number and bfloat16 8, and a logit may be a hundred.
DRIFT: dict[int, float] = {
    TensorProto.FLOAT16: 0.05,
    TensorProto.BFLOAT16: 0.2,
    TensorProto.DOUBLE: 1e-3,
}
RESPELLED = 1e-4  # the same sums in other operators
# The reference implementation of ONNX, in Python, is slow.
FEW = 16


@dataclass(frozen=True, slots=True)
class Proof:
    """A wrapped model and what was proved of it."""

    model: bytes
    alone: bool
    """Whether it takes the images one after the other."""
    verification: Verification
    test: Scores
    original: dict[str, Any]
    """How its answers compare with those of the file as it came."""


def prove(came: ModelProto, cut: ModelProto, form: Form, dataset: Dataset) -> Proof:
    """Wraps ``cut`` in the first way that passes the proof.

    A float32 graph of standard operators gives the answers of ``came``, the whole test set through,
    within the tolerance that a Keras network's export has. Where the graph had to be changed, that
    is proved against the changed graph, and this one against ``came`` within :data:`DRIFT`.

    Raises:
        AdoptError: neither way passes.
    """
    drift = _drift(simplify.only(came, {form.output}))
    stranger = Stranger(cut if drift else came)
    one = form.layout if form.layout.batch is not None else replace(form.layout, batch=1)

    def reference(images: Images) -> Probabilities:
        values = stranger.run(images, form.pixels, one)[form.output]
        return to_probabilities(values, form.answer)

    failures = []
    for alone in (True,) if form.layout.batch == 0 else (False, True):
        try:
            model = wrap(cut, form, alone=alone).SerializeToString(deterministic=True)
            verify(model, reference, dataset.test_images[:SAMPLE], dataset.test_labels[:SAMPLE])
            proof = verify(model, reference, dataset.test_images, dataset.test_labels)
        except (AdoptError, VerificationFailed) as error:
            failures.append(str(error))
            continue
        probabilities = answers(model, dataset.test_images)
        test = score(probabilities, dataset.test_labels)
        original = _original(came, drift, form, dataset.test_images, probabilities)
        return Proof(model, alone, proof, test, original)
    raise AdoptError(f"its wrapped form does not pass the proof: {failures[-1]}")


def _drift(came: ModelProto) -> float:
    """How far the answers of the graph in its plain form may be from its own; 0 where it is so."""
    kinds: set[int] = {tensor.data_type for tensor in tensors(came)}
    kinds.add(came.graph.input[0].type.tensor_type.elem_type)
    spelled = any(node.domain == scikit.DOMAIN for node in every_node(came.graph))
    return max([DRIFT.get(kind, 0) for kind in kinds] + [RESPELLED if spelled else 0])


def _original(
    came: ModelProto, drift: float, form: Form, images: Images, got: Probabilities
) -> dict[str, Any]:
    """Compares the answers with those of the file as it came, in its own precision."""
    if not drift:
        return {"changed": False}
    by = "onnxruntime"
    try:
        values = Stranger(came).run(images, form.pixels, form.layout)[form.output]
    except AdoptError:
        by = "onnx.reference"
        values = _by_reference(came, form, images[:FEW])
    wanted = to_probabilities(values, form.answer)
    got = got[: len(wanted)]
    difference = float(np.abs(got - wanted).max())
    best = np.sort(wanted, axis=1)
    other = got.argmax(axis=1) != wanted.argmax(axis=1)
    if not difference <= drift or (other & (best[:, -1] - best[:, -2] > 2 * drift)).any():
        raise AdoptError(
            f"in standard float32 operators its probabilities differ by {difference:.2g} from "
            f"those of the file as it came, allowed {drift:g}"
        )
    return {
        "changed": True,
        "by": by,
        "images": len(wanted),
        "same_digit": int((~other).sum()),
        "largest_difference": difference,
    }


def _by_reference(came: ModelProto, form: Form, images: Images) -> Any:
    """The answers that ONNX's reference implementation gives, (n, 10), one image at a time."""
    from onnx.reference import ReferenceEvaluator

    kind = came.graph.input[0].type.tensor_type.elem_type
    fed = form.pixels.array(images).astype(helper.tensor_dtype_to_np_dtype(kind))
    size = form.layout.batch or 1
    name = came.graph.input[0].name
    rows = []
    try:
        evaluator = ReferenceEvaluator(came)
        for image in fed:
            once = form.layout.arrange(np.repeat(image[None], size, axis=0))
            ran: Any = evaluator.run([form.output], {name: once})
            rows.append(ran[0].reshape(size, -1)[0])
    except Exception as error:  # whatever the evaluator raises on what it does not know
        raise AdoptError(f"nothing here runs the file as it came: {one_line(error)}") from error
    return np.stack(rows)
