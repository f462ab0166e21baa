"""The calls of the Open Inference Protocol but for inference: those of ``/v2``, by another name.

Each has its endpoint of HTTP answer, whose JSON has the names of the protocol's messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from google.protobuf.json_format import ParseDict

from service.api import v2
from service.api.request import Reply, Request
from service.errors import NotFound, Unavailable
from service.rpc.calls import Call, Message
from service.rpc.messages import POOL, message, parameters
from service.rpc.methods import INFERENCE

_Endpoint = Callable[..., Awaitable[Reply]]
_Ask = Callable[[Request, Any], Awaitable[Reply]]


def _server(endpoint: _Endpoint) -> _Ask:
    return lambda request, asked: endpoint(request)


def _model(endpoint: _Endpoint) -> _Ask:
    """Asks an endpoint of the model or of one of its versions."""
    return lambda request, asked: endpoint(request, asked.name, asked.version or None)


def _change(endpoint: _Endpoint) -> _Ask:
    def ask(request: Request, asked: Any) -> Awaitable[Reply]:
        content = {"parameters": parameters(asked)}
        request.body = Message(orjson.dumps(content, default=bytes.hex))
        return endpoint(request, asked.model_name)

    return ask


def _statistics(request: Request, asked: Any) -> Awaitable[Reply]:
    if asked.name:
        return v2.v2_statistics(request, asked.name, asked.version or None)
    return v2.v2_all_statistics(request)


def _index(request: Request, asked: Any) -> Awaitable[Reply]:
    request.body = Message(orjson.dumps({"ready": asked.ready}))
    return v2.v2_index(request)


def _call(name: str, ask: _Ask, field: str = "") -> Call:
    """Calls the method ``name``; the endpoint's answer is the whole answer, or its ``field``."""
    described = POOL.FindServiceByName(INFERENCE).FindMethodByName(name)
    asked_kind = message(described.input_type.full_name)
    answer_kind = message(described.output_type.full_name)

    async def call(request: Request, body: bytes) -> bytes:
        asked = asked_kind.FromString(body)
        try:
            answer = orjson.loads((await ask(request, asked)).body)
        except (NotFound, Unavailable):
            if not name.endswith("Ready"):
                raise
            answer = {"ready": False}
        parsed = ParseDict({field: answer} if field else answer, answer_kind(), True)
        return bytes(parsed.SerializeToString())

    return call


METHODS = {
    f"/{INFERENCE}/{name}": _call(name, *how)
    for name, *how in (
        ("ServerLive", _server(v2.v2_live)),
        ("ServerReady", _server(v2.v2_ready)),
        ("ServerMetadata", _server(v2.v2_server)),
        ("ModelReady", _model(v2.v2_model_ready)),
        ("ModelMetadata", _model(v2.v2_metadata)),
        ("ModelConfig", _model(v2.v2_config), "config"),
        ("ModelStatistics", _statistics),
        ("RepositoryIndex", _index, "models"),
        ("RepositoryModelLoad", _change(v2.v2_load)),
        ("RepositoryModelUnload", _change(v2.v2_unload)),
    )
}
"""The calls by their paths."""
