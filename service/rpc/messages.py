"""The messages and services of gRPC, from ``protocol/*.proto`` (``tests.write_protocol``).

The classes are made at run time, in a pool of their own: generated code demands a runtime as new as
its compiler, and the default pool refuses names that a client library has entered.
"""

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

COMPILED = Path(__file__).with_name("protocol") / "protocol.binpb"


POOL: Any = DescriptorPool()
for _file in FileDescriptorSet.FromString(COMPILED.read_bytes()).file:
    POOL.Add(_file)


def message(name: str) -> Any:
    """The class of the message with this full name."""
    return GetMessageClass(POOL.FindMessageTypeByName(name))


def parameters(owner: Any) -> dict[str, Any]:
    """The parameters of a message, as JSON would have them."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "bool_param")
        for name, value in getattr(owner, "parameters", {}).items()
    }


def varint(number: int) -> bytes:
    """A whole number as protobuf writes it: seven bits a byte, the lowest first."""
    more, last = divmod(number, 0x80)
    return bytes((last | 0x80,)) + varint(more) if more else bytes((last,))
