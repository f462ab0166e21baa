"""``/models``: the versions and their states, each one's card and pictures."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from service.api.request import Reply
from service.api.routing import OwnRoute, needs
from service.api.schemas.answers import Models
from service.api.schemas.parameters import Current, VersionPath
from service.api.schemas.responses import PNG, problems

# A published version never changes, but an operator may make a repository anew.
_UNCHANGING = (b"cache-control", b"public, max-age=3600")
router = APIRouter(route_class=OwnRoute, tags=["models"], dependencies=needs("predict"))


@router.get("/models", response_model=Models, responses=problems(422, 503))
async def models(request: Current) -> Reply:
    """Every version with its state, and the provider that runs the champion."""
    listing = await request.core.versions.listing()
    return Reply.json({"models": [listing | {"challenger": request.core.challenge.named}]})


@router.get(
    "/models/mnist/versions/{version}",
    response_model=dict[str, Any],
    responses=problems(404, 422, 503),
)
async def card(request: Current, version: VersionPath) -> Reply:
    """The card of one version: its data, settings, figures and verification."""
    return Reply.json(await request.core.versions.card(version))


@router.get(
    "/models/mnist/versions/{version}/{picture}.png",
    response_model=None,
    response_class=Response,
    responses=problems(404, 422, 503) | PNG,
)
async def version_picture(
    request: Current,
    version: VersionPath,
    picture: Annotated[str, Path(examples=["training_curve", "confusion_matrix"])],
) -> Reply:
    """A picture that training made of a version, such as `training_curve`."""
    content = await request.core.versions.picture(version, picture)
    return Reply(content, media_type=b"image/png", headers=(_UNCHANGING,))
