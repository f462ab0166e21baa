"""One real server for all tests that only ask it something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import postgres, programs
from tests.server import EVERYTHING, Server, serving
from tests.service.imaging.champion import MODELS
from tests.tiny import brittle_model_bytes, slow_model_bytes, tiny_repository, tiny_version

BRITTLE, SLOW = "3", "4"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with champion 1, another version 2, a brittle one and a slow one."""
    root = tiny_repository(tmp_path_factory.mktemp("models"), versions=(1, 2), champion=1)
    tiny_version(root, int(BRITTLE), brittle_model_bytes())
    tiny_version(root, int(SLOW), slow_model_bytes(60))
    return root


FLAGS = (
    *("--max-body-bytes", "200000", "--max-evaluate-body-bytes", "400000"),
    *("--max-images", "200", "--max-evaluate-images", "300"),
    *("--max-picture-side", "2000", "--max-picture-pixels", "1000000"),
    *("--body-timeout-s", "1", "--header-timeout-s", "1", "--keep-alive-s", "2"),
    *("--max-loaded", "8", "--allowed-hosts", "*"),
    *EVERYTHING,
)
"""The limits are small, so that tests reach them quickly; everybody may ask for everything."""


@pytest.fixture(scope="session")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``serve``, for tests of what it alone bounds."""
    with serving(models, tmp_path_factory.mktemp("log") / "stderr", *FLAGS) as running:
        yield running


@pytest.fixture(scope="session")
def asgi(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The ASGI application, on uvicorn."""
    log = tmp_path_factory.mktemp("log") / "stderr"
    with serving(models, log, *FLAGS, door="asgi") as running:
        yield running


@pytest.fixture(scope="session", params=["served", "asgi"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the two doors."""
    running: Server = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``serve`` with the committed champion."""
    with serving(MODELS, tmp_path_factory.mktemp("log") / "stderr") as running:
        yield running


@pytest.fixture
def anyio_backend() -> str:
    """What runs the tests that are coroutines."""
    return "asyncio"


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes a database in a private PostgreSQL and returns its URL."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres(tmp_path_factory.mktemp("postgres")) as new:
        yield new


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new store, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'learning.sqlite'}"
    url: str = request.getfixturevalue("new_database")()
    return url
