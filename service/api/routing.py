"""Routes: FastAPI declares and documents them, and both doors call their endpoints."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, get_type_hints

from fastapi import APIRouter, Security
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import TypeAdapter
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from service.api.request import JSON_TYPE, Reply
from service.api.schemas.parameters import PATH_PARAMETERS
from service.errors import PROBLEM_TYPE, Fault, NotFound
from service.models.repository import NAME
from service.settings import Scope as AccessScope

Endpoint = Callable[..., Awaitable[Reply]]
Responses = dict[int | str, dict[str, Any]]
_KEYS = HTTPBearer(scheme_name="key"), APIKeyHeader(name="X-API-Key", scheme_name="key in a field")
PNG: Responses = {200: {"description": "The picture.", "content": {"image/png": {}}}}
_PROTOCOLS = "/v1", "/v2"
_ANY = (400, 403, 404, 405, 408, 414, 421, 431, 503)
"""What any request may be answered."""
_POSTED = (413, 415, 429, 500, 504)
"""What any request with a body may be answered besides."""
_FAULTS = {Fault.status: Fault} | {kind.status: kind for kind in Fault.__subclasses__()}
_TEXTS = {status: (kind.__doc__ or "").partition("\n")[0] for status, kind in _FAULTS.items()}


class EndpointRoute(APIRoute):
    """A FastAPI route whose endpoint takes the :class:`Request` and returns a :class:`Reply`.

    FastAPI reads the endpoint's signature once: for its parameters and for the document. Neither
    door runs FastAPI's parsing and serialisation, which would take longer than the request itself.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        # A router's dependencies come before the route's own, which overrule them.
        keys = options.pop("dependencies", ())[-len(_KEYS) :]
        assert keys, f"{path} must declare what it needs; see needs()"
        self.scope: AccessScope | None = keys[0].scopes[0] if keys[0].scopes else None
        if isinstance(options.get("response_model"), DefaultPlaceholder):
            options["response_model"] = None
        super().__init__(path, endpoint, dependencies=keys if self.scope else [], **options)
        self.call = endpoint
        self.verbs = frozenset(self.methods or ())
        self.timed = any(each.header_params for each in self.dependant.dependencies)
        """Whether its requests have a deadline; it has a histogram of its own, then."""
        is_own = not path.startswith(_PROTOCOLS)
        self.only_known_parameters = is_own and self.scope not in (None, "metrics")
        self.responses = self._faults(is_own) | self.responses
        for field in self.dependant.path_params:
            field.field_info.description = PATH_PARAMETERS.get(field.name)
        # Without a description it is a parameter of another path of the same endpoint.
        queries = [each for each in self.dependant.query_params if each.field_info.description]
        self.dependant.query_params = queries
        hints = get_type_hints(endpoint, include_extras=True)
        self.queries = {field.alias: TypeAdapter(hints[field.name]) for field in queries}

    def _faults(self, is_own: bool) -> Responses:
        """The answers with a fault; under ``/v1`` and ``/v2`` 400 stands for 422 too."""
        statuses = {*_ANY, *(_POSTED if "POST" in self.verbs else ())}
        if self.scope is not None:
            statuses |= {401, 422} if is_own else {401}
        texts = _TEXTS if is_own else {**_TEXTS, 400: f"{_TEXTS[400]} Or: {_TEXTS[422]}"}
        kind, form = (PROBLEM_TYPE, "Problem") if is_own else (JSON_TYPE, "ErrorAnswer")
        content = {kind.decode(): {"schema": {"$ref": f"#/components/schemas/{form}"}}}
        return {s: {"description": texts[s], "content": content} for s in sorted(statuses)}

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


def needs(scope: AccessScope | None) -> list[Any]:
    """The ``dependencies`` of a route whose callers need another scope than its router says."""
    return [Security(each, scopes=[scope] if scope else []) for each in _KEYS]


def endpoints(tag: str, scope: AccessScope | None) -> APIRouter:
    """A router for endpoints whose callers need this scope, or none."""
    return APIRouter(route_class=EndpointRoute, tags=[tag], dependencies=needs(scope))


def at_each(
    router: APIRouter, paths: Sequence[str], tail: str = "", **options: Any
) -> Callable[[Endpoint], Endpoint]:
    """Adds an endpoint at each path plus ``tail``; what a path lacks keeps its default."""

    def add(endpoint: Endpoint) -> Endpoint:
        for path in paths:
            router.add_api_route(path + tail, endpoint, **options)
        return endpoint

    return add


def check_model(name: str) -> None:
    """Raises :class:`NotFound` if a path of ``/v1`` or ``/v2`` names another model than ours."""
    if name != NAME:
        raise NotFound(f"Request for unknown model: {name[:40]!r} is not found; there is {NAME!r}")
