"""``/models``: which versions there are, which serves, on what, each one's card and pictures."""

from __future__ import annotations

from fastapi import FastAPI

from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.operations import CARD, MODELS, VERSION_PICTURE
from service.models.versions import Versions

# A published version is never changed, but a repository may be made anew.
_UNCHANGING = (b"cache-control", b"public, max-age=3600")


def mount(app: FastAPI, versions: Versions) -> None:
    """Adds the routes to ``app``."""

    async def models(request: Request) -> Reply:
        """Every version with its state, and the provider that really runs the champion."""
        request.parameters()
        return Reply.json({"models": [await versions.listing()]})

    async def card(request: Request) -> Reply:
        """The whole story of one version: data, settings, figures, proof."""
        request.parameters()
        return Reply.json(await versions.card(request.path_params["version"]))

    async def picture(request: Request) -> Reply:
        """A picture that training made of a version, such as `training_curve`."""
        request.parameters()
        content = await versions.picture(
            request.path_params["version"], request.path_params["picture"]
        )
        return Reply(content, media_type=b"image/png", headers=(_UNCHANGING,))

    add_route(app, "GET", "/models", models, **MODELS)
    add_route(app, "GET", "/models/mnist/versions/{version}", card, **CARD)
    add_route(
        app, "GET", "/models/mnist/versions/{version}/{picture}.png", picture, **VERSION_PICTURE
    )
