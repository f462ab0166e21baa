"""gRPC's health and reflection, as grpc_health_probe and grpcurl ask for them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from service.rpc.messages import message

Asked = message("grpc.reflection.v1.ServerReflectionRequest")
Answer = message("grpc.reflection.v1.ServerReflectionResponse")
HealthAsked = message("grpc.health.v1.HealthCheckRequest")


def ask(channel: grpc.Channel, **question: Any) -> Any:
    method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    stream = channel.stream_stream(method)
    (answer,) = stream(iter([Asked(**question).SerializeToString()]), timeout=30)
    return Answer.FromString(answer)


def test_the_services_are_listed_and_described(channel: grpc.Channel) -> None:
    listed = {each.name for each in ask(channel, list_services="").list_services_response.service}
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= listed
    for name in listed:
        found = ask(channel, file_containing_symbol=name).file_descriptor_response
        files = [FileDescriptorProto.FromString(each) for each in found.file_descriptor_proto]
        services = {f"{file.package}.{each.name}" for file in files for each in file.service}
        assert name in services
        names = {file.name for file in files}
        assert {each for file in files for each in file.dependency} <= names


def test_what_is_not_there_is_an_error_in_the_answer(channel: grpc.Channel) -> None:
    for question in ({"file_by_filename": "x.proto"}, {"file_containing_symbol": "a.B"}):
        assert ask(channel, **question).error_response.error_code == 5


def test_health_is_told_for_each_service(channel: grpc.Channel) -> None:
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    for name in ("", "inference.GRPCInferenceService"):
        assert check(HealthAsked(service=name).SerializeToString(), timeout=30) == b"\x08\x01"
    with pytest.raises(grpc.RpcError) as caught:
        check(HealthAsked(service="x").SerializeToString(), timeout=30)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
