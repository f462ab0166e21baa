"""Bytes that no client sends: each gets a code or an end, and the service answers on."""

from __future__ import annotations

import socket

import grpc
import numpy as np
import pytest

from tests.digits import images
from tests.server import Server
from tests.service.rpc.test_inference import INFER, infer, message, numbers

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    )


@pytest.mark.campaign
def test_spoilt_messages_get_a_code_and_leave_nothing(rpc: Server, channel: grpc.Channel) -> None:
    random, good = np.random.default_rng(0), message(images(1)).SerializeToString()
    codes, resident = set(), []
    for number in range(6000):
        if number % 3000 == 2999:
            resident.append(rpc.metric("process_resident_memory_bytes"))
        spoilt = bytearray(good[: random.integers(1, len(good) + 1)])
        for place in random.integers(0, min(60, len(spoilt)), 3):
            spoilt[place] = random.integers(256)
        try:
            infer(channel, bytes(spoilt))
        except grpc.RpcError as error:
            codes.add(error.code())
    assert codes <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    assert resident[1] - resident[0] < 8e6


@pytest.mark.campaign
def test_rapid_resets_and_bad_heads_harm_nobody(
    rpc: Server, rpc_port: int, channel: grpc.Channel
) -> None:
    """Streams that are reset at once (CVE-2023-44487), and HPACK that is none."""
    path = INFER.encode()
    head = b"\x83\x86\x04" + bytes((len(path),)) + path
    head += b"\x5f\x10application/grpc"
    for payload, most in ((head, 3000), (b"\xff\xff\xff\xff\xff\x7f", 1), (b"\x40\x7f", 1)):
        with socket.create_connection(("127.0.0.1", rpc_port), 10) as hostile:
            try:
                hostile.sendall(PREFACE)
                for stream in range(1, 2 * most, 2):
                    hostile.sendall(
                        frame(1, 4, stream, payload) + frame(3, 0, stream, b"\0\0\0\x08")
                    )
            except OSError:
                pass  # the service ended the connection
    array = images(1, seed=9)
    assert numbers(infer(channel, message(array))).shape == (1, 10)
    assert rpc.get("/health/ready").status == 200
