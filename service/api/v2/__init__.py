"""The Open Inference Protocol v2."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.v2 import infer, models, repository, server

router = APIRouter(
    routes=[
        *infer.router.routes,
        *server.router.routes,
        *models.router.routes,
        *repository.router.routes,
    ]
)
