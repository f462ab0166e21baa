"""A run says what its file came to: the accuracy on its own line, and the worst, not the best."""

from __future__ import annotations

import io

import numpy as np
import pytest

from service.answer.scores import score
from training.measure.measure import Measured
from training.report import Report

KINDS = {
    "noise": {"trained": True, "auroc": 1.0, "caught": 0.999, "doubted": 1.0},
    "letters": {"trained": False, "auroc": 0.98, "caught": 0.912, "doubted": 0.915},
}


@pytest.mark.parametrize("known", [None, 0.9981])
def test_what_was_measured_is_told_with_its_worst_rows(known: float | None) -> None:
    labels = np.arange(10).repeat(100)
    probabilities = np.eye(10, dtype=np.float32)[labels]
    probabilities[:3] = np.eye(10)[9]
    figures = Measured(
        test=score(probabilities, labels),
        accuracy_without_label_errors=known,
        reliability=(),
        robustness={"blur": 0.9962, "erosion": 0.9821, "noise": 0.9901},
        doubt={"threshold": 0.8, "digits": {"pass": 0.9943}, "kinds": KINDS},
    )
    stream = io.StringIO()
    with Report(stream) as report:
        report.measure(figures)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Test accuracy: 0.9970"
    told = "without the 15 labels known to be wrong: 0.9981"
    assert lines[1:-1] == ([] if known is None else [told])
    assert lines[-1] == (
        "measure   3 kinds of digits: least accurate 0.9821 (erosion); "
        "2 of non-digits: least caught 0.912 (letters), where 0.9943 of digits pass"
    )
