"""Requests whose answers show which of several versions computed them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.types import Images
from tests.steady import Kind, post

_MODEL_VERSION = re.compile(rb"\r\nx-model-version: (\d+)\r\n", re.IGNORECASE)
Answers = Mapping[str, NDArray[np.float32]]


def kinds(root: Path, versions: tuple[int, ...], images: Images) -> list[Kind]:
    """Returns requests to /predict, /v2 and /v1 with images whose digits differ by version."""
    repository = Repository(root)
    answers = {
        str(version): Runtime.load(repository.read_model(version), provider="cpu").run(images)
        for version in versions
    }
    digits = {tuple(each.argmax(axis=1)) for each in answers.values()}
    assert len(digits) == len(versions), "every version reads the same digits in these images"
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}
    v2 = json.dumps({"inputs": [tensor | {"data": images.reshape(-1).tolist()}]}).encode()
    v1 = json.dumps({"instances": images.tolist()}).encode()
    json_type = "application/json"
    return [
        Kind(
            post("/predict", images.tobytes(), "application/octet-stream"),
            lambda head, body: _proved(answers, *_of_predict(body)),
        ),
        Kind(
            post("/v2/models/mnist/infer", v2, json_type),
            lambda head, body: _proved(answers, *_of_v2(body)),
        ),
        Kind(
            post("/v1/models/mnist:predict", v1, json_type),
            lambda head, body: _proved(answers, *_of_v1(head, body)),
        ),
    ]


def _proved(answers: Answers, version: str, probabilities: Any) -> str:
    """Returns the version that the answer names. Raises ValueError if it computes other digits."""
    digits = np.array(probabilities, np.float32).reshape(-1, 10).argmax(axis=1)
    if version not in answers or (digits != answers[version].argmax(axis=1)).any():
        raise ValueError(f"the answer names version {version}, which reads other digits")
    return version


def _of_predict(body: bytes) -> tuple[str, Any]:
    answer = json.loads(body)
    return answer["version"], [each["probabilities"] for each in answer["predictions"]]


def _of_v2(body: bytes) -> tuple[str, Any]:
    answer = json.loads(body)
    return answer["model_version"], answer["outputs"][0]["data"]


def _of_v1(head: bytes, body: bytes) -> tuple[str, Any]:
    named = _MODEL_VERSION.search(head)
    return named[1].decode() if named else "", json.loads(body)["predictions"]
