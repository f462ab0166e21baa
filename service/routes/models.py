"""``/models``: which versions there are, which serves, on what, each one's card and pictures."""

from __future__ import annotations

from fastapi import FastAPI

from service.exchange import Exchange, Reply
from service.lifecycle import Lifecycle
from service.routing import add_route
from service.schemas.operations import CARD, MODELS, VERSION_PICTURE

# A published version is never changed, but a repository may be made anew.
_UNCHANGING = (b"cache-control", b"public, max-age=3600")


def mount(app: FastAPI, lifecycle: Lifecycle) -> None:
    """Adds the routes to ``app``."""

    async def models(exchange: Exchange) -> Reply:
        """Every version with its state, and the provider that really runs the champion."""
        exchange.parameters()
        return Reply.json({"models": [await lifecycle.listing()]})

    async def card(exchange: Exchange) -> Reply:
        """The whole story of one version: data, settings, figures, proof."""
        exchange.parameters()
        return Reply.json(await lifecycle.card(exchange.path_params["version"]))

    async def picture(exchange: Exchange) -> Reply:
        """A picture that training made of a version, such as `training_curve`."""
        exchange.parameters()
        content = await lifecycle.picture(
            exchange.path_params["version"], exchange.path_params["picture"]
        )
        return Reply(content, media_type=b"image/png", headers=(_UNCHANGING,))

    add_route(app, "GET", "/models", models, **MODELS)
    add_route(app, "GET", "/models/mnist/versions/{version}", card, **CARD)
    add_route(
        app, "GET", "/models/mnist/versions/{version}/{picture}.png", picture, **VERSION_PICTURE
    )
