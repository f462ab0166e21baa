"""Proves a wrapped model against the file as it came, and thereby decides how it takes batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from service.decode import Images
from service.runtime import Probabilities
from service.scores import Scores, score
from training.adopt import AdoptError
from training.adopt.answers import to_probabilities
from training.adopt.guess import Form
from training.adopt.read import tensors
from training.adopt.stranger import Stranger, one_line
from training.adopt.tidy import WIDENED
from training.adopt.wrap import wrap
from training.data import Dataset
from training.verify import Verification, VerificationFailed, answers, verify

# A form of the graph that fails mostly fails here.
SAMPLE = 64
# How far an answer may be from that of the file as it came, where its numbers were not float32:
# float16 keeps 11 bits of a number and bfloat16 8, and a logit may be a hundred; where a digit
# differs, its two best answers were no further apart.
DRIFT: dict[int, float] = {
    TensorProto.FLOAT16: 0.05,
    TensorProto.BFLOAT16: 0.2,
    TensorProto.DOUBLE: 1e-3,
}
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

    In float32 the answers are those of ``came``, the whole test set through, within the tolerance
    that a Keras network's export has; other precisions are proved against the widened graph so,
    and against ``came`` within :data:`DRIFT`.

    Raises:
        AdoptError: neither way passes.
    """
    kinds: set[int] = {tensor.data_type for tensor in tensors(came)} & WIDENED
    kinds |= {came.graph.input[0].type.tensor_type.elem_type} & WIDENED
    stranger = Stranger(cut if kinds else came)
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
        original = _original(came, kinds, form, dataset.test_images, probabilities)
        return Proof(model, alone, proof, test, original)
    raise AdoptError(f"its wrapped form does not pass the proof: {failures[-1]}")


def _original(
    came: ModelProto, kinds: set[int], form: Form, images: Images, got: Probabilities
) -> dict[str, Any]:
    """Compares the answers with those of the file as it came, in its own precision."""
    if not kinds:
        return {"precision": "float32", "by": "onnxruntime", "images": len(images)}
    by = "onnxruntime"
    try:
        values = Stranger(came).run(images, form.pixels, form.layout)[form.output]
    except AdoptError:
        by = "onnx.reference"
        images = images[:FEW]
        values = _by_reference(came, form, images)
    wanted = to_probabilities(values, form.answer)
    got = got[: len(wanted)]
    difference = float(np.abs(got - wanted).max())
    allowed = max(DRIFT[kind] for kind in kinds)
    names = [helper.tensor_dtype_to_string(kind).rpartition(".")[2].lower() for kind in kinds]
    best = np.sort(wanted, axis=1)
    other = got.argmax(axis=1) != wanted.argmax(axis=1)
    if not difference <= allowed or (other & (best[:, -1] - best[:, -2] > 2 * allowed)).any():
        raise AdoptError(
            f"in float32 its probabilities differ by {difference:.2g} from those in "
            f"{', '.join(names)}, allowed {allowed:g}"
        )
    return {
        "precision": ", ".join(sorted(names)),
        "by": by,
        "images": len(images),
        "same_digit": int((~other).sum()),
        "largest_difference": difference,
    }


def _by_reference(came: ModelProto, form: Form, images: Images) -> Any:
    """The answers that ONNX's reference implementation gives, (n, 10), one image at a time."""
    from onnx.reference import ReferenceEvaluator

    kind = came.graph.input[0].type.tensor_type.elem_type
    fed = form.pixels.array(images).astype(helper.tensor_dtype_to_np_dtype(kind))
    size = form.layout.batch or 1
    batch = () if form.layout.batch == 0 else (size,)
    name = came.graph.input[0].name
    rows = []
    try:
        evaluator = ReferenceEvaluator(came)
        for image in fed:
            once = np.broadcast_to(image.reshape(form.layout.image), (*batch, *form.layout.image))
            ran: Any = evaluator.run([form.output], {name: np.ascontiguousarray(once)})
            rows.append(ran[0].reshape(size, -1)[0])
    except Exception as error:  # whatever the evaluator raises on what it does not know
        raise AdoptError(f"nothing here runs the file as it came: {one_line(error)}") from error
    return np.stack(rows)
