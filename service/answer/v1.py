"""Builds the answers of TensorFlow Serving's REST interface from a request's probabilities."""

from typing import Any

import numpy as np
import orjson

from service.types import Probabilities

LABELS = tuple("0123456789")


def predict(
    probabilities: Probabilities, *, row_form: bool, **further: list[dict[str, Any]]
) -> bytes:
    """Returns the body of a predict answer: 10 numbers for each image, under the form's key."""
    rows = np.ascontiguousarray(probabilities)
    answer = {"predictions" if row_form else "outputs": rows, **further}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def classify(probabilities: Probabilities) -> bytes:
    """Returns the body of a classify answer: for each image the list of ``[label, score]``."""
    results = [[[label, p] for label, p in zip(LABELS, row, strict=True)] for row in probabilities]
    return orjson.dumps({"results": results}, option=orjson.OPT_SERIALIZE_NUMPY)
