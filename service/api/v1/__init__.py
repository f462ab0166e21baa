"""TensorFlow Serving's REST interface."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.v1 import models, predict

router = APIRouter(routes=[*predict.router.routes, *models.router.routes])
