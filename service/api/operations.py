"""``/health/*`` and ``/metrics``, ``/models`` with cards and challenger, and ``/drift``."""

import asyncio
from contextlib import suppress

from fastapi.responses import PlainTextResponse, Response

from service.api.request import Reply, compressed
from service.api.routing import PNG, at_each, endpoints, needs
from service.api.schemas.answers import ChallengerState, Drift, ModelState
from service.api.schemas.parameters import Current
from service.core import Core
from service.errors import NotFound, Unavailable

# A published version never changes, but an operator may make a repository anew.
_UNCHANGING = (b"cache-control", b"public, max-age=3600")
router, models = endpoints("operation", None), endpoints("models", "predict")


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


@models.get("/models", response_model=dict[str, list[ModelState]])
async def model(request: Current) -> Reply:
    """Every version with its state, and the provider that runs the champion."""
    listing = await request.core.versions.listing()
    named = request.core.challenge.named
    return Reply.json({"models": [listing | {"challenger": named and named.version}]})


@models.get("/models/mnist/versions/{version}")
async def card(request: Current, version: str) -> Reply:
    """The card of one version: its data, settings, figures and verification."""
    versions = request.core.versions
    return Reply.json(await versions.read(versions.repository.card, version))


@models.get(
    "/models/mnist/versions/{version}/{picture}.png", response_class=Response, responses=PNG
)
async def version_picture(request: Current, version: str, picture: str) -> Reply:
    """A picture that training made of a version, such as `training_curve`."""
    versions = request.core.versions
    content = await versions.read(versions.repository.picture, version, picture)
    if content is None:
        raise NotFound(f"version {version} has no picture {picture[:40]!r}")
    return Reply(content, media_type=b"image/png", headers=(_UNCHANGING,))


@models.get("/models/mnist/challenger", response_model=ChallengerState)
async def challenger(request: Current) -> Reply:
    """The challenger, both versions' answers, and the verdict; 404 without one, or a store."""
    return Reply.json(await request.core.challenge.report())


@models.get("/drift", response_model=Drift)
async def drift(request: Current) -> Reply:
    """Compares the champion's last answers with its answers to held-out digits, all workers'."""
    core = request.core
    watch, version = core.watch, core.versions.champion.version
    if watch.store is not None:
        with suppress(Unavailable):
            await watch.store.run(watch.learn)
    views = await core.versions.ask("drift")
    found = await asyncio.to_thread(watch.joined, views)
    if found is None:
        raise NotFound(f"the card of version {version} has no reference; `train` publishes one")
    return Reply.json(found)


def check_ready(core: Core) -> None:
    """Raises :class:`Unavailable` with the reason if the service is not ready."""
    if (reason := core.versions.why_not_ready()) is not None:
        raise Unavailable(reason)
