"""Routes: FastAPI declares and documents them, and both doors call their endpoints."""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from fastapi import APIRouter, Security
from fastapi.params import Depends
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from service.api.request import Reply, Request
from service.api.schemas.responses import refusals
from service.errors import NotFound
from service.models.repository import NAME
from service.settings import Scope as AccessScope

Endpoint = Callable[..., Awaitable[Reply]]
_KEYS = HTTPBearer(scheme_name="key"), APIKeyHeader(name="X-API-Key", scheme_name="key in a field")
_PARAMETER = re.compile(r"{(\w+)}")


class EndpointRoute(APIRoute):
    """A FastAPI route whose endpoint takes the :class:`Request` and returns a :class:`Reply`.

    FastAPI reads the endpoint's signature once: for the names of its parameters and for the
    document. Neither door runs FastAPI's validation and serialisation on a request, which would
    take longer than the request itself.
    """

    only_known_parameters = False

    def __init__(
        self, path: str, endpoint: Endpoint, *, dependencies: Sequence[Depends] = (), **options: Any
    ) -> None:
        # A router's dependencies come before the route's own, which overrules them.
        needs = [each for each in dependencies if isinstance(each, Needs)]
        assert needs, f"{path} must declare what it needs; see needs()"
        self.scope = scope = needs[-1].access
        if scope is not None:
            dependencies = [Security(each, scopes=[scope]) for each in _KEYS]
            options["responses"] = refusals(path) | options["responses"]
        else:
            dependencies = []
        super().__init__(path, endpoint, dependencies=dependencies, **options)
        self.call = endpoint
        self.verbs = frozenset(self.methods or ())
        self.timed = any(each.header_params for each in self.dependant.dependencies)
        """Whether its requests have a deadline; it has a histogram of its own, then."""
        self.queries = tuple(field.alias for field in self.dependant.query_params)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Matches HEAD where GET is served (RFC 9110, section 9.3.2)."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        match, child = Route.matches(self, scope)
        if match is not Match.NONE:
            child["route"] = self
        return match, child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that came through FastAPI."""
        await scope["app"].state.door(scope, receive, send)


class OwnRoute(EndpointRoute):
    """A route of the service's own API, which rejects unknown query parameters."""

    only_known_parameters = True


@dataclass(frozen=True)
class Needs(Depends):
    """The scope that a route needs, in the form in which FastAPI passes it from router to route."""

    access: AccessScope | None = None


def needs(scope: AccessScope | None) -> list[Depends]:
    """The ``dependencies`` of a route, or of a router, whose callers need this scope, or none."""
    return [Needs(access=scope)]


def at_each(
    router: APIRouter, paths: Sequence[str], tail: str = "", **options: Any
) -> Callable[[Endpoint], Endpoint]:
    """Adds an endpoint at each path plus ``tail``; it gets None for what a path lacks."""
    names = {path: set(_PARAMETER.findall(path)) for path in paths}
    every = set[str]().union(*names.values())

    def add(endpoint: Endpoint) -> Endpoint:
        for path, own in names.items():
            call = endpoint if own == every else _without(endpoint, every - own)
            router.add_api_route(path + tail, call, **options)
        return endpoint

    return add


def _without(endpoint: Endpoint, names: set[str]) -> Endpoint:
    """The endpoint without these parameters, as FastAPI sees it."""
    absent: dict[str, Any] = dict.fromkeys(names)

    @wraps(endpoint)
    def call(request: Request, **parameters: str) -> Awaitable[Reply]:
        return endpoint(request, **parameters, **absent)

    signature = inspect.signature(endpoint, eval_str=True)
    rest = [each for each in signature.parameters.values() if each.name not in names]
    call.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
    return call


def check_model(name: str) -> None:
    """Raises :class:`NotFound` if a path of ``/v1`` or ``/v2`` names another model than ours."""
    if name != NAME:
        raise NotFound(f"Request for unknown model: {name[:40]!r} is not found; there is {NAME!r}")
