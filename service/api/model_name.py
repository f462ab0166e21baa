"""The model's name in a path of ``/v1`` and ``/v2``: there is one model, and others are unknown."""

from __future__ import annotations

from service.api.request import Request
from service.errors import NotFound
from service.models.repository import NAME


def check_model(request: Request) -> None:
    """Raises :class:`NotFound` where the path names another model than the one there is."""
    name = request.path_params.get("model", NAME)
    if name != NAME:
        raise NotFound(f"there is no model {name[:40]!r}; there is {NAME!r}")
