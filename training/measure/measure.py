"""Measures an ONNX file on test images, damaged ones and non-digits, and its reasons."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.answer.scores import ReliabilityBin, Scores, reliability, score
from service.drift.reference import Reference
from service.types import Images, Labels, Probabilities
from training.data.loading import Dataset
from training.export.verify import answers
from training.measure import robustness
from training.measure.faithfulness import faithfulness

MNIST_TEST_IMAGES = 10_000
# Index from 0 and given label of the test images that confident learning flagged, and fewer than 3
# of 5 raters confirmed: Northcutt, Athalye and Mueller 2021, "Pervasive Label Errors in Test Sets",
# https://arxiv.org/abs/2103.14749, and mturk/mnist_mturk.json of cleanlab/label-errors on GitHub.
LABELS = dict(
    (
        *((947, 8), (1621, 0), (1901, 9), (2130, 4), (2462, 2), (2597, 5), (2654, 6), (3520, 6)),
        *((3558, 5), (5937, 5), (6651, 0), (6783, 1), (8527, 4), (9679, 6), (9729, 5)),
    )
)


def accuracy_without(digits: NDArray[np.integer[Any]], labels: Labels) -> float | None:
    """Returns the accuracy without those images; None for labels that are not MNIST's."""
    wrong = list(LABELS)
    if len(labels) != MNIST_TEST_IMAGES or labels[wrong].tolist() != list(LABELS.values()):
        return None
    return float(np.delete(digits == labels, wrong).mean())


IMAGE_SETS = 35  # the test images twice, 9 corruptions, printed digits, 21 kinds of non-digits


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of a file; shares from 0 to 1."""

    test: Scores
    accuracy_without_label_errors: float | None
    """Without the test images whose labels are known to be wrong; None for other test sets."""
    reliability: tuple[ReliabilityBin, ...]
    robustness: dict[str, float]
    doubt: dict[str, Any]
    reasons: dict[str, Any]
    reference: Reference | None = None  # None if nothing was held out

    def as_parts(self) -> dict[str, dict[str, Any]]:
        """Returns the parts of the card by name."""
        test = self.test.as_dict()
        if self.accuracy_without_label_errors is not None:
            test["accuracy_without_label_errors"] = self.accuracy_without_label_errors
        test["reliability"] = [asdict(each) for each in self.reliability]
        own = {"robustness": self.robustness, "doubt": self.doubt, "reasons": self.reasons}
        if self.reference is not None:
            own["reference"] = self.reference.as_dict()
        return {"test": test, **own}


def measure(
    model: Path | bytes,
    dataset: Dataset,
    held_out: tuple[Images, Labels],
    *,
    non_digits: bool,
    on_step: Callable[[int, int], None] | None = None,
) -> Measured:
    """Runs the verified ONNX file ``model``, or its bytes, on every set of images.

    Digits ``held_out`` from the fit set the threshold of doubt; ``non_digits`` says whether the
    training data had any. Calls ``on_step`` after each set with the sets done and their number.
    """
    total = IMAGE_SETS + (len(held_out[0]) > 0)
    done = 0

    def ask(images: Images) -> Probabilities:
        nonlocal done
        probabilities = answers(model, images)
        done += 1
        if on_step:
            on_step(done, total)
        return probabilities

    images, labels = dataset.test_images, dataset.test_labels
    probabilities = ask(images)
    digits = probabilities.argmax(axis=1)
    doubt = robustness.doubt(ask, held_out[0], images, trained=non_digits)
    return Measured(
        test=score(probabilities, labels),
        accuracy_without_label_errors=accuracy_without(digits, labels),
        reliability=reliability(probabilities, labels),
        robustness=robustness.accuracies(ask, images, labels),
        doubt=doubt,
        reasons=faithfulness(model if isinstance(model, bytes) else model.read_bytes(), images),
        reference=reference(model, *held_out, doubt["threshold"]),
    )


def reference(
    model: Path | bytes, images: Images, labels: Labels, threshold: float
) -> Reference | None:
    """Returns what an ONNX file answers to held-out digits, for comparison with answers in use.

    ``threshold`` is the least confidence without doubt. Returns None without images.
    """
    return Reference.of(images, answers(model, images), labels, threshold) if len(images) else None


def worst_kinds(robustness: Mapping[str, float], doubt: Mapping[str, Any]) -> str:
    """Names the least accurate kind of digits and the least caught kind of non-digits."""
    worst = min(robustness, key=robustness.__getitem__)
    caught = {name: kind["caught"] for name, kind in doubt["kinds"].items()}
    least = min(caught, key=caught.__getitem__)
    return (
        f"{len(robustness)} kinds of digits: least accurate {robustness[worst]:.4f} ({worst}); "
        f"{len(caught)} of non-digits: least caught {caught[least]:.3f} ({least}), "
        f"where {doubt['digits']['pass']:.4f} of digits pass"
    )
