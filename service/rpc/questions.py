"""What clients ask about the service: the calls of ``/v2`` but for inference, health, reflection.

Each of the former has its endpoint of HTTP answer, whose JSON has the names of the messages.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
from google.protobuf.json_format import ParseDict
from grpc_reflection.v1alpha.reflection import aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from service.api import v2
from service.api.request import Reply, Request
from service.errors import NotFound, Unavailable
from service.rpc import INFERENCE, SERVICES
from service.rpc.calls import Call, Calls, Message
from service.rpc.messages import POOL, message, parameters

LOOK_SECONDS = 0.2
_Asked, _Answer = (message(f"grpc.health.v1.HealthCheck{kind}") for kind in ("Request", "Response"))
_SERVING, _NOT_SERVING, _UNKNOWN = (bytes(_Answer(status=n).SerializeToString()) for n in (1, 2, 3))
_REFLECTION = aio.ReflectionServicer(SERVICES, POOL)


def _health(request: Request, name: str) -> bytes:
    if name and name not in SERVICES:
        return _UNKNOWN
    return _SERVING if request.core.versions.why_not_ready() is None else _NOT_SERVING


async def check(request: Request, body: bytes) -> bytes:
    """The health of a service, or of all with an empty name: SERVING while it is ready."""
    name = _Asked.FromString(body).service
    if (answer := _health(request, name)) is _UNKNOWN:
        raise NotFound(f"there is no service {name[:80]!r}; there are {', '.join(SERVICES)}")
    return answer


async def watch(
    calls: Calls, request: Request, bodies: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """Tells a service's health each time it changes, until the caller leaves or it stops."""
    name, told = _Asked.FromString(await anext(bodies, b"")).service, b""
    while not calls.closing.is_set():
        answer = _health(request, name)
        if answer != told:
            yield answer
            told = answer
        await asyncio.sleep(LOOK_SECONDS)


async def reflect(request: Request, bodies: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Answers each question of the stream; the messages of v1alpha are those of v1."""
    questions = (ServerReflectionRequest.FromString(body) async for body in bodies)
    async for answer in _REFLECTION.ServerReflectionInfo(questions, None):
        yield answer.SerializeToString()


async def _statistics(request: Request, name: str, version: str | None = None) -> Reply:
    if name:
        return await v2.v2_statistics(request, name, version)
    return await v2.v2_all_statistics(request)


def _call(
    name: str, endpoint: Callable[..., Awaitable[Reply]], model: str = "", field: str = ""
) -> Call:
    """Calls the method ``name``, whose message has the model's name in the field ``model``.

    The endpoint's answer is the whole answer, or its ``field``.
    """
    described = POOL.FindServiceByName(INFERENCE).FindMethodByName(name)
    asked_kind = message(described.input_type.full_name)
    answer_kind = message(described.output_type.full_name)

    async def call(request: Request, body: bytes) -> bytes:
        asked = asked_kind.FromString(body)
        content = {"ready": getattr(asked, "ready", False), "parameters": parameters(asked)}
        request.body = Message(orjson.dumps(content, default=bytes.hex))
        named = [getattr(asked, model)] if model else []
        if getattr(asked, "version", ""):
            named.append(asked.version)
        try:
            answer = orjson.loads((await endpoint(request, *named)).body)
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
        ("ServerLive", v2.v2_live),
        ("ServerReady", v2.v2_ready),
        ("ServerMetadata", v2.v2_server),
        ("ModelReady", v2.v2_model_ready, "name"),
        ("ModelMetadata", v2.v2_metadata, "name"),
        ("ModelConfig", v2.v2_config, "name", "config"),
        ("ModelStatistics", _statistics, "name"),
        ("RepositoryIndex", v2.v2_index, "", "models"),
        ("RepositoryModelLoad", v2.v2_load, "model_name"),
        ("RepositoryModelUnload", v2.v2_unload, "model_name"),
    )
}
"""The calls by their paths."""
