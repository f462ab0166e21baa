"""Measures an ONNX file on test images, damaged ones and non-digits, and its reasons."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from service.answer.scores import score
from service.drift.reference import Reference
from service.types import Images, Labels
from training.data.loading import Dataset
from training.export.verify import answers
from training.measure import robustness
from training.measure.faithfulness import faithfulness

Parts = dict[str, dict[str, Any]]


def measure(
    model: Path | bytes, dataset: Dataset, held_out: tuple[Images, Labels], *, non_digits: bool
) -> Parts:
    """Runs the verified ONNX file ``model``, or its bytes, on every set of images.

    Digits ``held_out`` from the fit set the threshold of doubt; ``non_digits`` says whether the
    training data had any. Returns the parts of the card by name; shares are from 0 to 1.
    """
    ask = partial(answers, model)
    images, (digits, labels) = dataset.test_images, held_out
    content = model if isinstance(model, bytes) else model.read_bytes()
    doubt = robustness.doubt(ask, digits, images, trained=non_digits)
    parts = {
        "test": asdict(score(ask(images), dataset.test_labels)),
        "robustness": robustness.accuracies(ask, images, dataset.test_labels),
        "doubt": doubt,
        "reasons": faithfulness(content, images),
    }
    if len(digits):
        reference = Reference.of(digits, ask(digits), labels, doubt["threshold"])
        assert reference
        parts["reference"] = reference.as_dict()
    return parts
