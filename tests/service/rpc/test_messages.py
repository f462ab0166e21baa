"""The messages have the names and numbers of the protocols, as the ``.proto`` files say."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from tritonclient.grpc import model_config_pb2, service_pb2

from service.rpc.messages import COMPILED, POOL, varint
from tests.write_protocol import compiled


def test_the_compiled_messages_are_those_of_the_files() -> None:
    """``python -m tests.write_protocol`` was run after the last change."""
    ours, fresh = (
        FileDescriptorSet.FromString(each) for each in (COMPILED.read_bytes(), compiled())
    )
    assert ours == fresh


def test_our_fields_are_those_of_tritons_own_messages() -> None:
    theirs = {
        name: kind
        for file in (service_pb2, model_config_pb2)
        for name, kind in file.DESCRIPTOR.message_types_by_name.items()
    }
    compared = 0
    for name, ours in POOL.FindFileByName("inference.proto").message_types_by_name.items():
        compared += _compare(ours, theirs[name])
    assert compared > 100


def test_our_methods_are_those_of_tritons_service() -> None:
    ours = POOL.FindServiceByName("inference.GRPCInferenceService").methods
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    for method in ours:
        other = theirs[method.name]
        assert method.input_type.full_name == other.input_type.full_name
        assert method.output_type.full_name == other.output_type.full_name
        assert method.server_streaming == other.server_streaming


def test_a_number_is_written_as_protobuf_writes_it() -> None:
    for number in (0, 1, 127, 128, 784, 50_176, 1 << 31):
        written = service_pb2.ModelMetadataResponse.TensorMetadata(shape=[number])
        assert written.SerializeToString()[2:] == varint(number)


def _compare(ours: Any, theirs: Any) -> int:
    """Compares the fields of two messages, and returns how many they are."""
    compared = len(ours.fields)
    for field in ours.fields:
        other = theirs.fields_by_name[field.name]
        assert field.number == other.number, field.full_name
        assert field.type == other.type, field.full_name
        assert field.is_repeated == other.is_repeated, field.full_name
    for nested in ours.nested_types:
        compared += _compare(nested, theirs.nested_types_by_name[nested.name])
    return compared
