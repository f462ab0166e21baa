"""Measures an ONNX file on test images, damaged ones and non-digits, and its reasons."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.answer.scores import score
from service.drift.reference import Reference
from service.types import Images, Labels, Probabilities
from training.data.loading import Dataset
from training.export.verify import answers
from training.measure import robustness
from training.measure.faithfulness import faithfulness

IMAGE_SETS = 34  # the test images twice, 9 corruptions, printed digits, 22 kinds of non-digits

Parts = dict[str, dict[str, Any]]


def measure(
    model: Path | bytes,
    dataset: Dataset,
    held_out: tuple[Images, Labels],
    *,
    non_digits: bool,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Parts:
    """Runs the verified ONNX file ``model``, or its bytes, on every set of images.

    Digits ``held_out`` from the fit set the threshold of doubt; ``non_digits`` says whether the
    training data had any. Calls ``on_step`` after each set with the sets done and their number.
    Returns the parts of the card by name; shares are from 0 to 1.
    """
    done, total = 0, IMAGE_SETS + (len(held_out[0]) > 0)

    def ask(images: Images) -> Probabilities:
        nonlocal done
        probabilities = answers(model, images)
        done += 1
        on_step(done, total)
        return probabilities

    images, labels = dataset.test_images, dataset.test_labels
    content = model if isinstance(model, bytes) else model.read_bytes()
    doubt = robustness.doubt(ask, held_out[0], images, trained=non_digits)
    parts = {
        "test": score(ask(images), labels).as_dict(),
        "robustness": robustness.accuracies(ask, images, labels),
        "doubt": doubt,
        "reasons": faithfulness(content, images),
    }
    digits, of = held_out
    if len(digits):
        reference = Reference.of(digits, answers(model, digits), of, doubt["threshold"])
        assert reference
        parts["reference"] = reference.as_dict()
    return parts
