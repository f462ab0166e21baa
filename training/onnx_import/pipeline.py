"""Runs the steps of the import: from a file to a verified model and the facts for its card."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from service.types import Images, Labels, Probabilities
from training.data.loading import Dataset
from training.errors import TrainingError
from training.export.convert import IR_VERSION
from training.export.verify import VerificationFailed, verify
from training.measure.measure import measure
from training.onnx_import import simplify
from training.onnx_import.detect import Original, detect, inputs
from training.onnx_import.forms import Form, printable, to_probabilities
from training.onnx_import.read import read
from training.onnx_import.simplify import opset
from training.onnx_import.wrap import wrap

Report = Callable[[str, float], None]
"""Receives the step that runs (load, detect, verify, measure) and the fraction of it done."""

DETECTED_ON = 2048  # images
# The same sums in other operators and another order.
TOLERANCE = 1e-4


def import_model(
    path: Path, scale: str | None, dataset: Dataset, report: Report
) -> tuple[bytes, dict[str, Any]]:
    """Reads, simplifies, wraps, verifies and measures a model; returns it and the card's facts."""
    report("load", 0)
    source, files = read(path)
    exposed = simplify.expose(source)
    names = [value.name for value in exposed.graph.output]
    standard = {name: simplify.standardise(exposed, name) for name in names}
    shapes, original = inputs(exposed), Original(exposed)

    report("detect", 0)
    progress = partial(report, "detect")
    forms = detect(original, shapes, *samples(dataset), scale=scale, progress=progress)

    report("verify", 0)
    best = standard[forms[0].output]
    model = wrap(best, forms[0]).SerializeToString(deterministic=True)
    verification = verify_import(model, original, forms[0], dataset)

    report("measure", 0)
    return model, {
        "parameters": simplify.parameters(best.graph),
        "opset": opset(best),
        "ir_version": max(IR_VERSION, best.ir_version),
        "imported": {
            **files,
            "producer": printable(f"{source.producer_name} {source.producer_version}".strip()),
            "opset": opset(source),
            "ir_version": source.ir_version,
            "found": forms[0].as_dict(),
            "measured": [form.as_dict() for form in forms],
        },
        "verification": verification,
        "data": {"files": dataset.hashes, "test_images": len(dataset.test_images)},
        # The model may have been trained on any image: the threshold is chosen on shifted ones.
        **measure(model, dataset, samples(dataset), non_digits=False),
    }


def samples(dataset: Dataset) -> tuple[Images, Labels]:
    """Returns training images (n, 28, 28), shifted by a pixel, and their labels (n,).

    On images that the model has memorised, the loss would prefer the most confident scale.
    """
    order = np.random.default_rng(0).permutation(len(dataset.train_images))[:DETECTED_ON]
    left, right = np.array_split(dataset.train_images[order], 2)
    images = np.concatenate([np.roll(left, -1, axis=2), np.roll(right, 1, axis=2)])
    return images, dataset.train_labels[order]


def verify_import(model: bytes, original: Original, form: Form, dataset: Dataset) -> dict[str, Any]:
    """Compares the wrapped ``model`` with the original, which has its own operators; or raises."""

    def reference(images: Images) -> Probabilities:
        return to_probabilities(original.run(images, form.input)[form.output], form.answer)

    images, labels = dataset.test_images, dataset.test_labels
    fixed = f"; it takes {form.input.batch} at a time: export it with a free batch axis"
    hint = fixed if form.input.batch else ""
    try:
        proof = verify(model, reference, images, labels, tolerance=None)
    except VerificationFailed as error:
        raise TrainingError(f"the wrapped model fails the verification: {error}{hint}") from error
    if proof.largest_difference > TOLERANCE:
        raise TrainingError(
            f"its probabilities differ by {proof.largest_difference:.2g} from those "
            f"of the file, allowed {TOLERANCE:g}{hint}"
        )
    return proof.as_dict()
