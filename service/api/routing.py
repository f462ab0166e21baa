"""The routes: FastAPI matches and documents them, and nothing of it lies on a request's way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from service.api.request import Reply, Request

Endpoint = Callable[[Request], Awaitable[Reply]]


class DirectRoute(APIRoute):
    """A FastAPI route whose endpoint takes the :class:`Request` and gives a :class:`Reply`.

    Nothing is injected or serialised between, which is what most of a framework's time per request
    goes to.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        def described() -> None: ...

        described.__name__, described.__doc__ = endpoint.__name__, endpoint.__doc__
        super().__init__(path, described, response_model=None, **options)
        self.answer = endpoint

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request: Request = scope["request"]
            request.path_params = scope["path_params"]
            request.route = path
            request.reply = await endpoint(request)

        self.app = app


def add_route(app: FastAPI, method: str, path: str, endpoint: Endpoint, **options: Any) -> None:
    """Adds an endpoint; ``options`` are FastAPI's, such as tags and responses."""
    app.router.routes.append(DirectRoute(path, endpoint, methods=[method], **options))
