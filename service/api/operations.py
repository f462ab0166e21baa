"""``/health/*`` and ``/metrics``: for the orchestrator and the operator."""

import asyncio

from fastapi.responses import PlainTextResponse

from service.api.request import Reply, compressed
from service.api.routing import at_each, endpoints, needs
from service.api.schemas.parameters import Current
from service.core import Core
from service.errors import Unavailable

router = endpoints("operation", None)


@router.get("/health/live", response_model=dict[str, str])
async def live(request: Current) -> Reply:
    """The process answers, whatever the state of the model."""
    return Reply.json({"status": "live"})


@router.get("/health/ready", response_model=dict[str, str])
async def ready(request: Current) -> Reply:
    """The champion is loaded, checked and warmed, and the service is not draining."""
    check_ready(request.core)
    return Reply.json({"status": "ready"})


@at_each(
    router,
    ("/metrics", "/monitoring/prometheus/metrics"),  # the second as TensorFlow Serving
    methods=["GET"],
    response_class=PlainTextResponse,
    dependencies=needs("metrics"),
)
async def metrics(request: Current) -> Reply:
    """The figures of all workers: Prometheus' text, or OpenMetrics with exemplars."""
    accept = request.field(b"accept") or ""
    text, media_type = await asyncio.to_thread(request.core.metrics.exposition, accept)
    return await compressed(request, Reply(text, media_type=media_type.encode()))


def check_ready(core: Core) -> None:
    """Raises :class:`Unavailable` with the reason if the service is not ready."""
    reason = core.versions.why_not_ready()
    if reason is not None:
        raise Unavailable(reason)
