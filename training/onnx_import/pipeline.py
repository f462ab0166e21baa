"""Runs the steps of the import: from a file to a verified model and the facts for its card."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from service.answer.scores import score
from service.types import Images, Labels, Probabilities
from training.data.loading import Dataset
from training.errors import TrainingError
from training.export.convert import IR_VERSION
from training.export.verify import LARGEST_BATCH, VerificationFailed, answers, verify
from training.measure.measure import measure
from training.onnx_import import simplify
from training.onnx_import.detect import SECOND, Form, detect, shifted
from training.onnx_import.formats import Original, shapes, to_probabilities
from training.onnx_import.graphs import opset
from training.onnx_import.options import Options
from training.onnx_import.read import Source, printable, read
from training.onnx_import.wrap import wrap

Report = Callable[[str, float], None]
"""Receives the step that runs (load, detect, verify, measure) and the fraction of it done."""

# A wrapped model that is wrong mostly fails on the first images.
SAMPLE = 64
# The same sums in other operators and another order.
TOLERANCE = 1e-4
LONGEST_MEASURE_S = 300
# What `measure` runs: so many times the test images, and so many images besides.
TIMES, MORE = 12, 17_000


def import_model(
    path: Path, options: Options, dataset: Dataset, report: Report
) -> tuple[bytes, dict[str, Any]]:
    """Reads, simplifies, wraps and verifies a model; returns it and the facts for its card."""
    report("load", 0)
    source = read(path)
    exposed = simplify.expose(source.model, options.output)
    names = [value.name for value in exposed.graph.output]
    standard = {name: simplify.standardise(exposed, name) for name in names}
    fitting = shapes(exposed, options.layout)
    original = Original(exposed)

    report("detect", 0)
    progress = partial(report, "detect")
    forms = detect(original, fitting, *samples(dataset), options=options, progress=progress)

    report("verify", 0)
    best = standard[forms[0].output]
    model = wrap(best, forms[0]).SerializeToString(deterministic=True)
    return model, {
        "parameters": simplify.parameters(best.graph),
        "opset": opset(best),
        "ir_version": max(IR_VERSION, best.ir_version),
        "imported": _describe(source, forms),
        **verify_import(model, Original(best), original, forms[0], dataset),
        "data": {"files": dataset.hashes, "test_images": len(dataset.test_images)},
    }


def measure_import(
    model: bytes, facts: dict[str, Any], dataset: Dataset, report: Report
) -> dict[str, Any]:
    """Returns the card's ``test``, ``robustness`` and ``doubt``; nothing for a very slow model.

    The threshold is chosen on shifted training images: the model may have been trained on any.
    """
    report("measure", 0)
    batch_ms = facts["verification"]["milliseconds_per_run"][str(LARGEST_BATCH)]
    count = TIMES * len(dataset.test_images) + MORE
    if count / LARGEST_BATCH * batch_ms > 1000 * LONGEST_MEASURE_S:
        return {}
    return measure(model, dataset, samples(dataset), non_digits=False).as_parts()


def samples(dataset: Dataset) -> tuple[Images, Labels]:
    """Returns shifted training images (n, 28, 28) to measure on, and their labels (n,)."""
    order = np.random.default_rng(0).permutation(len(dataset.train_images))[:SECOND]
    return shifted(dataset.train_images[order]), dataset.train_labels[order]


def verify_import(
    model: bytes, standard: Original, original: Original, form: Form, dataset: Dataset
) -> dict[str, Any]:
    """Compares the wrapped ``model`` with what it wraps, and with the original, or raises.

    The second covers the standard operators that replace scikit-learn's.
    """
    # One image at a time where any batch size runs: the answer must not depend on it.
    batch = form.shape.batch or 1
    shape = replace(form.shape, batch=batch)

    def reference(images: Images) -> Probabilities:
        return to_probabilities(standard.run(images, form.pixels, shape)[form.output], form.answer)

    images, labels = dataset.test_images, dataset.test_labels
    try:
        verify(model, reference, images[:SAMPLE], labels[:SAMPLE])
        verification = verify(model, reference, images, labels)
    except VerificationFailed as error:
        fixed = f"; it takes {batch} at a time: export it with a free batch axis"
        hint = fixed if form.shape.batch else ""
        raise TrainingError(f"the wrapped model fails the verification: {error}{hint}") from error
    wanted = original.run(images, form.pixels, form.shape)[form.output]
    probabilities = answers(model, images)
    difference = float(np.abs(probabilities - to_probabilities(wanted, form.answer)).max())
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"in standard operators its probabilities differ by {difference:.2g} from those of "
            f"the file, allowed {TOLERANCE:g}"
        )
    return {"test": score(probabilities, labels).as_dict(), "verification": verification.as_dict()}


def _describe(source: Source, forms: list[Form]) -> dict[str, Any]:
    """Returns the part ``imported`` of the card."""
    model = source.model
    return {
        "file": printable(source.name),
        "sha256": source.sha256,
        "size_bytes": source.size_bytes,
        "external_data": {printable(name): digest for name, digest in source.data.items()},
        "producer": printable(f"{model.producer_name} {model.producer_version}".strip()),
        "opset": opset(model),
        "ir_version": model.ir_version,
        "found": forms[0].as_dict(),
        "measured": [form.as_dict() for form in forms],
    }
