"""gRPC's reflection: clients such as grpcurl ask it for the services and their messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from service.api.request import Request
from service.rpc.messages import POOL, message
from service.rpc.methods import SERVICES

_NOT_FOUND, _UNIMPLEMENTED = 5, 12
_Asked = message("grpc.reflection.v1.ServerReflectionRequest")
_Answer = message("grpc.reflection.v1.ServerReflectionResponse")


async def reflect(request: Request, bodies: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Answers each question of the stream."""
    async for body in bodies:
        asked = _Asked.FromString(body)
        answer = _Answer(valid_host=asked.host, original_request=asked, **_answer(asked))
        yield answer.SerializeToString()


def _answer(asked: Any) -> dict[str, Any]:
    kind = asked.WhichOneof("message_request")
    try:
        if kind == "list_services":
            return {"list_services_response": {"service": [{"name": name} for name in SERVICES]}}
        if kind in ("file_by_filename", "file_containing_symbol"):
            find = POOL.FindFileByName if "name" in kind else POOL.FindFileContainingSymbol
            return _files(find(getattr(asked, kind)))
        if kind == "all_extension_numbers_of_type":
            name = POOL.FindMessageTypeByName(asked.all_extension_numbers_of_type).full_name
            return {"all_extension_numbers_response": {"base_type_name": name}}
    except KeyError as error:
        return _error(_NOT_FOUND, str(error.args[0]))
    known = kind == "file_containing_extension"  # no message here has one
    return _error(_NOT_FOUND if known else _UNIMPLEMENTED, "there is nothing to tell about this")


def _files(file: Any) -> dict[str, Any]:
    """A file with all that it imports."""
    found: dict[str, bytes] = {}

    def add(one: Any) -> None:
        if one.name not in found:
            content = FileDescriptorProto()
            one.CopyToProto(content)
            found[one.name] = content.SerializeToString()
            for other in one.dependencies:
                add(other)

    add(file)
    return {"file_descriptor_response": {"file_descriptor_proto": list(found.values())}}


def _error(code: int, text: str) -> dict[str, Any]:
    return {"error_response": {"error_code": code, "error_message": text}}
