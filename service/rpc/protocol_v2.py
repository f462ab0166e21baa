"""The calls of the Open Inference Protocol but for inference: those of ``/v2``, by another name.

Each has its endpoint of HTTP answer, whose JSON has the names of the protocol's messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from google.protobuf.json_format import ParseDict

from service.api.request import Reply, Request
from service.api.v2 import admin
from service.errors import NotFound, Unavailable
from service.rpc.calls import Call, Message
from service.rpc.messages import POOL, message, parameters
from service.rpc.methods import INFERENCE

_Ask = Callable[[Request, Any], Awaitable[Reply]]


def _asked(endpoint: Callable[..., Awaitable[Reply]]) -> _Ask:
    """Asks an endpoint of a model or of one of its versions."""
    return lambda request, asked: endpoint(request, asked.name, asked.version or None)


def _statistics(request: Request, asked: Any) -> Awaitable[Reply]:
    if not asked.name:
        return admin.v2_all_statistics(request)
    return admin.v2_statistics(request, asked.name, asked.version or None)


def _load(request: Request, asked: Any) -> Awaitable[Reply]:
    return admin.v2_load(_with_parameters(request, asked), None, asked.model_name)


def _unload(request: Request, asked: Any) -> Awaitable[Reply]:
    return admin.v2_unload(_with_parameters(request, asked), None, asked.model_name)


def _index(request: Request, asked: Any) -> Awaitable[Reply]:
    request.body = Message(orjson.dumps({"ready": asked.ready}))
    return admin.v2_index(request, None)


def _with_parameters(request: Request, asked: Any) -> Request:
    request.body = Message(orjson.dumps({"parameters": parameters(asked)}, default=bytes.hex))
    return request


_ENDPOINTS: dict[str, tuple[_Ask, str]] = {
    "ServerLive": (lambda request, asked: admin.v2_live(request), ""),
    "ServerReady": (lambda request, asked: admin.v2_ready(request), ""),
    "ServerMetadata": (lambda request, asked: admin.v2_server(request), ""),
    "ModelReady": (_asked(admin.v2_model_ready), ""),
    "ModelMetadata": (_asked(admin.v2_metadata), ""),
    "ModelConfig": (_asked(admin.v2_config), "config"),
    "ModelStatistics": (_statistics, ""),
    "RepositoryIndex": (_index, "models"),
    "RepositoryModelLoad": (_load, ""),
    "RepositoryModelUnload": (_unload, ""),
}
"""The endpoint of each method, and the field that has the whole of its answer."""


def methods() -> dict[str, Call]:
    """The calls by their paths."""
    return {f"/{INFERENCE}/{name}": _call(name, *asked) for name, asked in _ENDPOINTS.items()}


def _call(name: str, ask: _Ask, field: str) -> Call:
    described = POOL.FindServiceByName(INFERENCE).FindMethodByName(name)
    asked_kind, answer_kind = map(
        message, (described.input_type.full_name, described.output_type.full_name)
    )

    async def call(request: Request, body: bytes) -> bytes:
        asked = asked_kind.FromString(body)
        try:
            answer = orjson.loads((await ask(request, asked)).body)
        except (NotFound, Unavailable):
            if not name.endswith("Ready"):
                raise
            answer = {"ready": False}
        answer = {field: answer} if field else answer
        parsed: bytes = ParseDict(
            answer, answer_kind(), ignore_unknown_fields=True
        ).SerializeToString()
        return parsed

    return call
