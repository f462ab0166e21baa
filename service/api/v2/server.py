"""``/v2``: the Open Inference Protocol v2 over REST, with the extensions that it announces.

Each answer that is no error has status 200, since the protocol's clients take any other for one.
Source: ``specification/protocol/inference_rest.md`` of kserve/open-inference-protocol.
"""

from __future__ import annotations

from fastapi import FastAPI

from service import __version__
from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.protocols import V2_SHOWS, V2_STATE
from service.api.v2 import infer, models, repository
from service.errors import Unavailable
from service.models.versions import Versions
from service.observe.metrics import Metrics
from service.settings import Settings

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)


def mount(app: FastAPI, settings: Settings, versions: Versions, metrics: Metrics) -> None:
    """Adds the routes to ``app``."""

    async def v2_live(request: Request) -> Reply:
        """The process answers."""
        return Reply.json({"live": True})

    async def v2_ready(request: Request) -> Reply:
        """The champion is loaded, checked and warmed, and the service is not draining."""
        reason = versions.why_not_ready()
        if reason is not None:
            raise Unavailable(reason, headers=((b"retry-after", b"1"),))
        return Reply.json({"ready": True})

    async def v2_server(request: Request) -> Reply:
        """The server's name, version and protocol extensions."""
        return Reply.json({"name": "mnist-serve", "version": __version__, "extensions": EXTENSIONS})

    add_route(app, "GET", "/v2/health/live", v2_live, **V2_SHOWS)
    add_route(app, "GET", "/v2/health/ready", v2_ready, **V2_STATE)
    add_route(app, "GET", "/v2", v2_server, **V2_SHOWS)
    add_route(app, "GET", "/v2/", v2_server, include_in_schema=False)
    infer.mount(app, settings, versions, metrics)
    models.mount(app, settings, versions)
    repository.mount(app, versions)
