"""What a listening socket does with who knocks while the service stops."""

from __future__ import annotations

import socket
import sys

import pytest

from service.http.shutdown import let_none_in


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do so")
def test_those_who_are_in_stay_and_who_knocks_later_finds_it_closed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    before = socket.create_connection(address, 5)
    let_none_in(listener.fileno())
    knocking = socket.socket()
    knocking.settimeout(0.3)
    with pytest.raises(TimeoutError):
        knocking.connect(address)
    knocking.close()
    accepted, _ = listener.accept()
    before.sendall(b"asked")
    assert accepted.recv(10) == b"asked"
    accepted.sendall(b"answered")
    assert before.recv(10) == b"answered"
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)
    before.close()
    accepted.close()
