"""``GET /metrics``: the figures of all workers, for Prometheus."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI

from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.operations import METRICS
from service.observe.metrics import Metrics

TEXT = b"text/plain; version=0.0.4; charset=utf-8"


def mount(app: FastAPI, metrics: Metrics) -> None:
    """Adds the route to ``app``."""

    async def exposition(request: Request) -> Reply:
        """The figures of all workers in Prometheus' text format."""
        return Reply(await asyncio.to_thread(metrics.exposition), media_type=TEXT)

    add_route(app, "GET", "/metrics", exposition, **METRICS)
