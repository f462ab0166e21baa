"""One real server for each door, for the tests of the protocols."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import DOORS, EVERYTHING, Server, serving
from tests.tiny import tiny_repository


@pytest.fixture(scope="session")
def protocol_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1, 2 and 3 are valid, 2 is the champion, 7 is damaged."""
    root = tiny_repository(tmp_path_factory.mktemp("e2e"), versions=(1, 2, 3, 7), champion=2)
    (root / "mnist" / "7" / "model.onnx").write_bytes(b"no model")
    return root


@pytest.fixture(scope="session", params=DOORS)
def server(request: pytest.FixtureRequest, protocol_models: Path) -> Iterator[Server]:
    """Each door in turn."""
    with serving(
        protocol_models, protocol_models / "log", *EVERYTHING, door=request.param
    ) as running:
        yield running
