"""``/v2`` and ``/v2/health/...``: the server.

Source: ``specification/protocol/inference_rest.md`` of kserve/open-inference-protocol.
"""

from __future__ import annotations

from fastapi import APIRouter

from service import __version__
from service.api.operations import check_ready
from service.api.request import Reply
from service.api.routing import EndpointRoute
from service.api.schemas.parameters import Current
from service.api.schemas.protocols import Live, Ready, ServerMetadata
from service.api.schemas.responses import errors

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)
router = APIRouter(route_class=EndpointRoute, tags=["v2"])


@router.get("/v2/health/live", response_model=Live, responses=errors())
async def v2_live(request: Current) -> Reply:
    """The process answers."""
    return Reply.json({"live": True})


@router.get("/v2/health/ready", response_model=Ready, responses=errors(503))
async def v2_ready(request: Current) -> Reply:
    """The champion is loaded, checked and warmed, and the service is not draining."""
    check_ready(request.core)
    return Reply.json({"ready": True})


@router.get("/v2", response_model=ServerMetadata, responses=errors())
@router.get("/v2/", response_model=ServerMetadata, responses=errors())
async def v2_server(request: Current) -> Reply:
    """The server's name, version and protocol extensions."""
    return Reply.json({"name": "mnist-serve", "version": __version__, "extensions": EXTENSIONS})
