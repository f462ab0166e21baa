"""What happens below the application: peers that are slow, cut off, or speak no HTTP."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.problems import check_every_answer, check_problem
from tests.server import Answer, Server, parse_answers, read_all, serving, wait_until
from tests.service.conftest import SLOW

RAW = "application/octet-stream"
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
WHOLE = POST + b"Content-Length: 784\r\n\r\n" + bytes(784)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = (
    POST.replace(b"/predict", b"/predict?version=" + SLOW.encode())
    + b"X-Request-Timeout-Ms: 700\r\nContent-Length: %d\r\n\r\n" % (4096 * 784)
    + bytes(4096 * 784)
)
LAST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def statuses(answers: bytes | list[Answer]) -> list[int]:
    found = parse_answers(answers) if isinstance(answers, bytes) else answers
    return [answer.status for answer in found]


def answered(server: Server, *packets: bytes, pause_s: float = 0.05) -> list[Answer]:
    """The answers to packets with pauses between them, until the server closes the connection."""
    with server.connect() as connection:
        with suppress(OSError):  # closed before all was sent
            for packet in packets:
                connection.sendall(packet)
                time.sleep(pause_s)
        return parse_answers(read_all(connection))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"NONSENSE / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nName\x00: value\r\n\r\n",
        b"GET / HTTP/1.1\r\nname: val\x00ue\r\n\r\n",
        b"GET / HTTP/1.1\r\n : empty name\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nhost: y\r\nConnection: close\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: +5\r\n\r\nhello",
        POST + b"Content-Length: 0x10\r\n\r\n",
        POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"5\r\nhelloXX\r\n",
        CHUNKED + b"f" * 40 + b"\r\n",
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\n\r\nhello",
    ],
)
def test_what_is_no_http_is_told_so_and_the_connection_is_closed(
    served: Server, sent: bytes
) -> None:
    (answer,) = parse_answers(served.exchange(sent))
    check_problem(answer, 400)
    assert answer.headers["connection"] == "close"
    assert served.get("/health/live").status == 200


def test_what_is_no_request_is_logged_and_counted_like_one(served: Server) -> None:
    before = served.metric("mnist_requests_total", endpoint="other", status="400")
    (answer,) = parse_answers(served.exchange(b"GET / HTTP/1.1\r\nbroken\r\n\r\n"))
    assert served.metric("mnist_requests_total", endpoint="other", status="400") == before + 1
    name = answer.headers["x-request-id"]
    wait_until(lambda: name in served.stderr())
    (line,) = (x for x in served.access() if x["request_id"] == name)
    assert (line["method"], line["path"], line["status"]) == ("-", "/", 400)


def test_a_broken_body_reaches_a_running_request_in_pieces(served: Server) -> None:
    (answer,) = answered(served, CHUNKED + b"5\r\nhello\r\n", b"nonsense\r\n")
    check_problem(answer, 400, "transfer encoding")


@pytest.mark.parametrize("target", [b"/" + b"a" * 8192, b"/predict?version=" + b"1" * 8200])
def test_a_path_or_query_too_long_is_told_so(served: Server, target: bytes) -> None:
    (answer,) = answered(served, b"GET " + target + b" HTTP/1.1\r\n\r\n")
    check_problem(answer, 414)


@pytest.mark.parametrize(
    "fields",
    [
        b"X-Big: " + b"a" * 70_000,
        b"\r\n".join(b"X-%d: %s" % (n, b"a" * 100) for n in range(700)),
        b"a" * 70_000 + b": x",
    ],
)
@pytest.mark.parametrize("pieces", [1, 10])
def test_a_head_too_large_is_told_so(served: Server, fields: bytes, pieces: int) -> None:
    sent = b"GET /health/live HTTP/1.1\r\n" + fields + b"\r\n\r\n"
    step = -(-len(sent) // pieces)
    packets = [sent[first : first + step] for first in range(0, len(sent), step)]
    (answer,) = answered(served, *packets, pause_s=0.002)
    check_problem(answer, 431)


@pytest.mark.parametrize(("start", "status"), [(b"GET / HTTP/1.1\r\n", 431), (b"GET /", 414)])
def test_an_endless_field_name_or_path_is_cut_off(
    served: Server, start: bytes, status: int
) -> None:
    (answer,) = answered(served, start, *200 * [b"a" * 1000], pause_s=0)
    check_problem(answer, status)


@pytest.mark.parametrize("root", [b"/v1", b"/v2"])
def test_under_v1_and_v2_these_errors_have_their_form(served: Server, root: bytes) -> None:
    (answer,) = answered(served, b"GET " + root + b"/" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n")
    check_every_answer(answer)
    assert answer.status == 414
    assert json.loads(answer.body).keys() == {"error"}


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        ("head", b"GET /health/live HTTP/1.1\r\nHost:"),
        ("body", WHOLE[:-784]),
        ("body", WHOLE[:-84]),
        ("body", CHUNKED + b"5\r\nhel"),
        ("body", CHUNKED + b"5\r\nhello\r\n"),
    ],
)
def test_a_slow_head_or_body_is_given_up(served: Server, part: str, sent: bytes) -> None:
    start = time.monotonic()
    (answer,) = answered(served, sent)
    assert 0.5 < time.monotonic() - start < 5
    check_problem(answer, 408, part)
    assert answer.headers["connection"] == "close"


def test_a_head_that_drips_is_given_up_too(served: Server) -> None:
    start = time.monotonic()
    answered(served, b"GET /health/live HTTP/1.1\r\n", *50 * [b"a: b\r\n"], pause_s=0.1)
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_that_says_nothing_is_closed(served: Server, sent: bytes) -> None:
    assert served.exchange(sent) == b""


def test_a_body_in_small_pieces_is_read_whole(served: Server) -> None:
    head = POST + b"Connection: close\r\nContent-Length: 784\r\n\r\n"
    assert statuses(answered(served, head, *98 * [bytes(8)], pause_s=0.001)) == [200]


def test_chunks_make_the_same_body(served: Server) -> None:
    body = bytes(range(256)) * 3 + bytes(16)
    chunks = b"".join(
        b"%x;extension=1\r\n%s\r\n" % (100, body[n : n + 100]) for n in range(0, 700, 100)
    )
    chunks += b"54\r\n" + body[700:] + b"\r\n0\r\nContent-Type: text/plain\r\n"
    chunks += b"X-Request-ID: no\r\n\r\n"
    sent = POST + b"X-Request-ID: yes\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + LAST
    first, last = answered(served, sent)
    assert (first.status, first.body) == (200, served.post("/predict", body, RAW).body)
    assert first.headers["x-request-id"] == "yes"
    assert last.status == 200


def test_pipelined_requests_are_answered_in_order(served: Server) -> None:
    one = POST + b"X-Request-ID: id-%d\r\nContent-Length: 784\r\n\r\n"
    sent = b"".join(one % n + bytes([n]) * 784 for n in range(1, 51)) + LAST
    *answers, last = answered(served, sent)
    assert [a.headers["x-request-id"] for a in answers] == [f"id-{n}" for n in range(1, 51)]
    for number, answer in enumerate(answers, 1):
        assert answer.body == served.post("/predict", bytes([number]) * 784, RAW).body
    assert last.headers["connection"] == "close"


def test_a_broken_request_behind_good_ones_leaves_their_answers(served: Server) -> None:
    assert statuses(answered(served, LIVE, LIVE, b"nonsense\r\n\r\n")) == [200, 200, 400]


@pytest.mark.parametrize(
    "broken",
    [b"nonsense\r\n\r\n", b"CONNECT /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", CHUNKED + b"zz\r\n"],
)
@pytest.mark.parametrize("good", [1, 3])
def test_requests_in_one_packet_with_a_broken_one_are_answered(
    served: Server, good: int, broken: bytes
) -> None:
    answers = answered(served, good * LIVE + broken + 2 * LIVE)
    assert statuses(answers)[:good] == [200] * good
    assert answers[-1].headers["connection"] == "close"


@pytest.fixture(scope="module")
def hasty(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is slower to answer :data:`LONG` than it lets a peer be."""
    bounds = ("--header-timeout-s", "0.3", "--body-timeout-s", "0.3", "--keep-alive-s", "1")
    log = tmp_path_factory.mktemp("hasty") / "stderr"
    with serving(models, log, *bounds, "--batch-rows", "1") as running:
        assert running.post(f"/predict?version={SLOW}", bytes(784), RAW).status == 200
        yield running


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        (b"GET /health/live HTTP/1.1\r\n", b"Host: localhost\r\nConnection: close\r\n\r\n"),
        (POST + b"Connection: close\r\nContent-Length: 784\r\n\r\n", bytes(784)),
    ],
)
def test_what_is_pipelined_is_not_late_before_its_turn(
    hasty: Server, begun: bytes, rest: bytes
) -> None:
    with hasty.connect() as connection:
        connection.sendall(LONG)
        time.sleep(0.1)
        connection.sendall(begun)
        first = connection.recv(65536)
        connection.sendall(rest)
        assert statuses(first + read_all(connection)) == [504, 200]


def test_a_head_too_large_behind_a_request_under_way_leaves_its_answer(hasty: Server) -> None:
    (answer,) = answered(hasty, LONG, b"GET / HTTP/1.1\r\nHost: ", *4 * [b"a" * 30_000])
    assert answer.status == 504
    assert answer.headers["connection"] == "close"


def test_a_head_is_not_as_large_as_what_comes_before_it(served: Server) -> None:
    assert statuses(answered(served, 5000 * LIVE + LAST[:30], LAST[30:])) == 5001 * [200]


def test_a_body_that_breaks_off_after_its_answer_gets_no_second_one(served: Server) -> None:
    head = CHUNKED.replace(b"/predict", b"/health/live")
    assert statuses(answered(served, head, b"nonsense\r\n")) == [405]


def test_a_refused_body_is_read_to_its_end_and_the_connection_goes_on(served: Server) -> None:
    head = POST + b"Content-Length: 300000\r\n\r\n"
    first, last = answered(served, head + bytes(1000), bytes(299_000), LAST)
    check_problem(first, 413)
    assert last.status == 200


@pytest.mark.parametrize("_try", range(5))
def test_a_refused_body_whose_sender_wishes_to_close_is_read_to_its_end_too(
    served: Server, _try: int
) -> None:
    """Closed before, the connection would be reset, and the answer lost to who still sends."""
    with served.connect() as connection:
        connection.sendall(POST + b"Connection: close\r\nContent-Length: 30000000\r\n\r\n")
        connection.sendall(bytes(30_000_000))
        (answer,) = parse_answers(read_all(connection))
    check_problem(answer, 413)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("field", [b"", b"Connection: close\r\n"])
def test_a_sender_who_never_stops_is_cut_off(served: Server, field: bytes) -> None:
    start = time.monotonic()
    head, piece = CHUNKED.replace(b"Host", field + b"Host"), b"10000\r\n" + bytes(65536) + b"\r\n"
    answered(served, head, *400 * [piece])
    assert 3 < time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("length", "interim", "status"),
    [(784, b"HTTP/1.1 100 Continue\r\n\r\n", 200), (300_000, b"", 413)],
    ids=["accepted", "too large"],
)
def test_who_waits_for_100_continue_gets_it_unless_the_body_is_too_large(
    served: Server, length: int, interim: bytes, status: int
) -> None:
    with served.connect() as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length)
        if interim:
            assert connection.recv(1024) == interim
            connection.sendall(bytes(length))
        (answer,) = parse_answers(connection.recv(65536))
    assert answer.status == status
    check_every_answer(answer)


def test_a_wish_to_upgrade_is_passed_over(served: Server) -> None:
    with served.connect() as connection:
        wish = (
            b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n"
        )
        for _ in range(2):
            connection.sendall(POST + wish + b"Content-Length: 784\r\n\r\n" + bytes(784))
            assert statuses(connection.recv(65536)) == [200]
        connection.sendall(LAST)
        assert statuses(read_all(connection)) == [200]


@pytest.mark.parametrize(
    "sent", [b"GET /health/live HTTP/1.0\r\n\r\n", b"\r\n\r\n" + LAST], ids=["1.0", "empty lines"]
)
def test_http_1_0_and_empty_lines_before_a_request_are_answered(
    served: Server, sent: bytes
) -> None:
    assert statuses(served.exchange(sent)) == [200]


def _reset(connection: socket.socket) -> None:
    """Leaves as a killed process does: with a reset instead of a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _left(served: Server) -> float:
    return sum(
        value
        for (name, labels), value in served.metrics().items()
        if name == "mnist_requests_total" and ("status", "499") in labels
    )


@pytest.mark.parametrize("polite", [True, False])
def test_who_leaves_in_the_middle_of_a_body_is_counted_and_does_no_harm(
    served: Server, polite: bool
) -> None:
    before = _left(served)
    for _ in range(5):
        connection = served.connect()
        connection.sendall(WHOLE[:-684])
        time.sleep(0.02)
        if polite:
            connection.close()
        else:
            _reset(connection)
    wait_until(lambda: _left(served) == before + 5)
    assert "raceback" not in served.stderr()


def test_who_leaves_while_the_model_runs_is_counted_and_does_no_harm(served: Server) -> None:
    """Tried anew where the answer was faster than the caller, who cannot see when it runs."""
    target = f"/predict?version={SLOW}"
    assert served.post(target, bytes(784), RAW).status == 200
    request = POST.replace(b"/predict", target.encode())
    before = _left(served)
    for _ in range(50):
        connection = served.connect()
        connection.sendall(request + b"Content-Length: 156800\r\n\r\n" + bytes(156_800))
        time.sleep(0.02)
        _reset(connection)
        wait_until(lambda: served.metric("mnist_queue_rows") == 0)
        if _left(served) > before:
            break
    assert _left(served) > before
    assert served.get("/health/ready").status == 200


def test_who_leaves_after_a_large_body_is_noticed_before_the_answer(hasty: Server) -> None:
    before = _left(hasty)
    with hasty.connect() as connection:
        connection.sendall(LONG)
        time.sleep(0.1)
    wait_until(lambda: _left(hasty) == before + 1)


def test_who_closes_only_the_sending_side_is_answered_or_counted_as_gone(served: Server) -> None:
    before, replies = _left(served), 0
    for _ in range(10):
        with served.connect() as connection:
            connection.sendall(WHOLE)
            connection.shutdown(socket.SHUT_WR)
            replies += statuses(read_all(connection)) == [200]
    wait_until(lambda: replies + _left(served) - before == 10)
    assert served.get("/health/ready").status == 200


def test_who_asks_much_and_reads_nothing_does_no_harm(served: Server) -> None:
    connection = served.connect(timeout=0.5)
    many = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200
    with suppress(TimeoutError):  # the server stops reading
        for _ in range(20):
            connection.sendall(many)
    assert served.get("/health/ready").status == 200
    _reset(connection)
    time.sleep(0.1)
    assert served.get("/health/ready").status == 200
    assert "raceback" not in served.stderr()


def test_who_reads_nothing_is_left(hasty: Server) -> None:
    many = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200_000
    with hasty.connect(timeout=20) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(many)
