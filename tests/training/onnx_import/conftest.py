"""What the tests of the import share: few images, so that each import takes a moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from onnx import ModelProto

from tests.training.onnx_import import exported
from training.data.loading import load
from training.onnx_import.pipeline import import_model

Import = Callable[..., tuple[bytes, dict[str, Any]]]
Reference = Callable[..., bytes]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ``.npz`` with few of MNIST's images: the import draws non-digits for each test image."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    path.write_bytes(exported.few_digits(test=25))
    return path


@pytest.fixture
def imported(data: Path, tmp_path: Path) -> Import:
    """Imports a model in this process; returns the wrapped model and the facts."""

    def run(model: ModelProto, scale: str | None = None) -> tuple[bytes, dict[str, Any]]:
        path = exported.written(tmp_path, model)
        return import_model(path, scale, load(data), lambda _step, _done: None)

    return run


@pytest.fixture(scope="session")
def reference(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Imports a plain network of some form, each once: others must answer as it does."""
    folder = tmp_path_factory.mktemp("reference")

    @cache
    def run(*form: str) -> bytes:
        path = exported.written(folder, exported.mlp(*form))
        return import_model(path, None, load(data), lambda _step, _done: None)[0]

    return run
