"""Keys, rates and mutual TLS at the gRPC port, with the settings of HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from service.rpc.messages import message as kind
from tests.certificates import Authority
from tests.digits import images
from tests.server import Server, free_port, serving
from tests.service.access.keys import add
from tests.service.rpc.test_inference import INFER, message

Status, RetryInfo = kind("google.rpc.Status"), kind("google.rpc.RetryInfo")
LIVE = "/inference.GRPCInferenceService/ServerLive"
INDEX = "/inference.GRPCInferenceService/RepositoryIndex"
LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad"


def test_keys_and_certificates_are_wanted(models: Path, tmp_path: Path) -> None:
    authority, port = Authority(), free_port()
    names = "tls.crt", "tls.key", "ca.crt"
    cert, key, client_ca = (tmp_path / name for name in names)
    client_ca.write_bytes(authority.certificate)
    for path, content in zip((cert, key), authority.issue(), strict=True):
        path.write_bytes(content)
    known = add(tmp_path / "keys", "caller", "predict")
    flags = ["--tls-cert", cert, "--tls-key", key, "--tls-client-ca", client_ca]
    flags += ["--keys", tmp_path / "keys", "--grpc-port", port]
    running = Server(models, tmp_path / "log", *map(str, flags))
    own_certificate, own_key = authority.issue("client")
    trusted = grpc.ssl_channel_credentials(authority.certificate, own_key, own_certificate)
    stranger = grpc.ssl_channel_credentials(authority.certificate)
    address = f"127.0.0.1:{port}"
    body = message(images(1)).SerializeToString()
    try:
        with grpc.secure_channel(address, trusted) as channel:
            channel.unary_unary(LIVE)(b"", wait_for_ready=True, timeout=60)
            infer = channel.unary_unary(INFER)
            channel.unary_unary(INDEX)(b"", timeout=30, metadata=(("x-api-key", known),))
            for metadata in ((("authorization", f"Bearer {known}"),), (("x-api-key", known),)):
                infer(body, timeout=30, metadata=metadata)
            refused: list[tuple[str, Any, grpc.StatusCode]] = [
                (INFER, (), grpc.StatusCode.UNAUTHENTICATED),
                (INFER, (("x-api-key", "wrong"),), grpc.StatusCode.UNAUTHENTICATED),
                (LOAD, (("x-api-key", known),), grpc.StatusCode.PERMISSION_DENIED),
            ]
            for method, wrong, code in refused:
                with pytest.raises(grpc.RpcError) as caught:
                    channel.unary_unary(method)(body, timeout=30, metadata=wrong)
                assert caught.value.code() == code
        with (
            grpc.secure_channel(address, stranger) as channel,
            pytest.raises(grpc.RpcError) as caught,
        ):
            channel.unary_unary(LIVE)(b"", timeout=30)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert running.stop() == 0
    finally:
        running.process.kill()
        running.process.wait()
    assert known not in running.stderr()


def test_a_spent_rate_says_when_to_try_again(models: Path, tmp_path: Path) -> None:
    """For the key that spent it, by gRPC's RetryInfo; another key goes on."""
    port = free_port()
    file = tmp_path / "keys"
    spender = add(file, "spender", "predict", "--rate", "1")
    other = add(file, "other", "predict", "--rate", "1000")
    flags = ["--keys", str(file), "--grpc-port", str(port)]
    body = message(images(15)).SerializeToString()
    with (
        serving(models, tmp_path / "log", *flags) as running,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        running.wait_until_ready()
        infer = channel.unary_unary(INFER)
        calls = [infer.future(body, metadata=(("x-api-key", spender),)) for _ in range(50)]
        refused = next(call for call in calls if call.code() != grpc.StatusCode.OK)
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers = dict(refused.trailing_metadata())
        status = Status.FromString(trailers["grpc-status-details-bin"])
        assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        told = RetryInfo()
        assert status.details[0].Unpack(told)
        assert told.retry_delay.seconds >= 1
        infer(body, timeout=30, metadata=(("x-api-key", other),))
