"""The committed champion and the memory of a server, for the tests of pictures."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.server import Server

MODELS = Path(__file__).parents[3] / "models"


@cache
def champion() -> Runtime:
    """The champion on the CPU."""
    repository = Repository(MODELS)
    return Runtime.load(repository.read_model(repository.champion()), provider="cpu")


def resident_mib(server: Server) -> float:
    """The memory that a server holds, in MiB."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20
