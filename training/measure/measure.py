"""Measures the file that serves: on the test images as they are, damaged, and on non-digits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from service.answer.scores import ReliabilityBin, Scores, reliability, score
from service.types import Images
from training.data.loading import Dataset
from training.export.verify import answers
from training.measure import label_errors, robustness


@dataclass(frozen=True, slots=True)
class Measured:
    """What a file comes to; shares from 0 to 1."""

    test: Scores
    accuracy_without_label_errors: float | None
    """Without the test images whose labels are known to be wrong; None where none are known."""
    reliability: tuple[ReliabilityBin, ...]
    robustness: dict[str, float]
    doubt: dict[str, Any]

    def as_parts(self) -> dict[str, dict[str, Any]]:
        """The parts of the card, by name."""
        test = self.test.as_dict()
        if self.accuracy_without_label_errors is not None:
            test["accuracy_without_label_errors"] = self.accuracy_without_label_errors
        test["reliability"] = [asdict(each) for each in self.reliability]
        return {"test": test, "robustness": self.robustness, "doubt": self.doubt}


def measure(
    model: Path | bytes, dataset: Dataset, held_out: Images, *, non_digits: bool
) -> Measured:
    """Asks the ONNX file ``model``, or its bytes, through the class that serves.

    Args:
        model: a file that is proved.
        dataset: whose test images are scored, and damaged.
        held_out: digits (n, 28, 28) that it did not learn from, to choose where doubt begins.
        non_digits: whether it learnt from non-digits.

    Raises:
        VerificationFailed: it does not load or run.
    """
    ask = partial(answers, model)
    images, labels = dataset.test_images, dataset.test_labels
    probabilities = ask(images)
    return Measured(
        test=score(probabilities, labels),
        accuracy_without_label_errors=label_errors.accuracy_without(
            probabilities.argmax(axis=1), labels
        ),
        reliability=reliability(probabilities, labels),
        robustness=robustness.accuracies(ask, images, labels),
        doubt=robustness.doubt(ask, held_out, images, trained=non_digits),
    )
