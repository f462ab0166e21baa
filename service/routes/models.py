"""``/models``: which versions there are, which serves, on what, and each one's card."""

from __future__ import annotations

from fastapi import FastAPI

from service.exchange import Exchange, Reply, add_route
from service.lifecycle import Lifecycle
from service.schemas import CARD, MODELS


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

    add_route(app, "GET", "/models", models, **MODELS)
    add_route(app, "GET", "/models/mnist/versions/{version}", card, **CARD)
