"""A bare ``grpc.aio`` server that answers each message with itself: what gRPC alone costs.

    python -m tests.bench.references.echo_rpc PORT

It parses and writes the message, as every server of the protocol must.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import uvloop
from tritonclient.grpc import service_pb2 as pb

SERVICE, METHOD = "inference.GRPCInferenceService", "ModelInfer"


async def echo(request: Any, context: Any) -> Any:
    return request


async def main(port: str) -> None:
    handler = grpc.unary_unary_rpc_method_handler(
        echo,
        request_deserializer=pb.ModelInferRequest.FromString,
        response_serializer=pb.ModelInferRequest.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
