"""Heads, targets, hosts and the framing of bodies: what is accepted, and where it is bounded."""

from __future__ import annotations

import gzip

import pytest

from tests.problems import check_problem
from tests.server import Server, wait_until
from tests.service.http.test_connection import CHUNKED, LAST, LIVE, POST, answered, statuses

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
CHUNK = b"310\r\n" + bytes(784) + b"\r\n"
LIMIT = 65_536


def pieces(sent: bytes, count: int) -> list[bytes]:
    step = -(-len(sent) // count)
    return [sent[first : first + step] for first in range(0, len(sent), step)]


def padded(size: int, field: bytes) -> bytes:
    """A head of ``size`` bytes before its empty line, filled up with many of a field."""
    room = size - len(GET) - len(b"X: ")
    many = field * (room // len(field))
    return GET + many + b"X: " + b"a" * (room - len(many)) + b"\r\n\r\n"


@pytest.mark.parametrize("count", [1, 2, 10, 60])
@pytest.mark.parametrize("field", [b"a:b\r\n", b"a:" + 1000 * b" " + b"b\r\n", b"Name: value\r\n"])
def test_the_bound_of_a_head_is_exact_however_it_is_cut(
    served: Server, field: bytes, count: int
) -> None:
    fits, exceeds = padded(LIMIT, field), padded(LIMIT + 1, field)
    assert fits.index(b"\r\n\r\n") == LIMIT
    assert statuses(answered(served, *pieces(fits, count), pause_s=0.001)) == [200]
    (answer,) = answered(served, *pieces(exceeds, count), pause_s=0.001)
    check_problem(answer, 431)


def test_a_pipelined_head_is_bounded_too(served: Server) -> None:
    body = POST + b"Content-Length: 784\r\n\r\n" + bytes(784)
    answers = answered(served, body + padded(4 * LIMIT, b"a:b\r\n"))
    assert statuses(answers)[0] == 200
    assert answers[-1].headers["connection"] == "close"
    assert statuses(answers)[1:] in ([431], [])


@pytest.mark.parametrize("cut", range(-3, 12))
def test_a_wish_to_upgrade_is_passed_over_wherever_it_is_cut(served: Server, cut: int) -> None:
    wish = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    sent = POST + wish + b"Content-Length: 784\r\n\r\n" + bytes(784)
    place = sent.index(b"Upgrade: ") + cut
    assert statuses(answered(served, sent[:place], sent[place:], LAST)) == [200, 200]


@pytest.mark.parametrize("cut", range(1, 5))
def test_the_end_of_a_head_is_found_wherever_it_is_cut(served: Server, cut: int) -> None:
    """What follows is no part of the head, however large."""
    head = POST + b"Connection: close\r\nContent-Length: 156800\r\n\r\n"
    body = bytes(156_800)
    assert statuses(answered(served, head[:-cut], head[-cut:] + body)) == [200]


def test_extensions_of_chunks_are_bounded(served: Server) -> None:
    endless = CHUNKED + b"310;a=", *5 * [b"a" * 20_000]
    check_problem(answered(served, *endless)[0], 413, "chunk extensions or trailers")
    assert served.get("/health/live").status == 200


def test_small_chunks_with_small_extensions_are_read(served: Server) -> None:
    chunks = 40_000 * b"1;a=b\r\n\0\r\n"
    sent = CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + chunks + b"0\r\n\r\n"
    (answer,) = answered(served, *pieces(sent, 20), pause_s=0)
    check_problem(answer, 422, "784")


@pytest.mark.parametrize("count", [1, 2, 20])
@pytest.mark.parametrize("trailer", [1000 * b"A: bbbbbbbbbbbbbbb\r\n", b"A: " + bytes(30_000)])
def test_trailers_are_bounded(served: Server, trailer: bytes, count: int) -> None:
    trailer = trailer.replace(b"\0", b"a")
    rest = pieces(CHUNK + b"0\r\n" + trailer + b"\r\n\r\n", count)
    check_problem(answered(served, CHUNKED, *rest)[0], 413, "chunk extensions or trailers")


@pytest.mark.parametrize("apart", [False, True])
def test_a_trailer_that_asks_to_close_closes(served: Server, apart: bool) -> None:
    body = [CHUNK + b"0\r\n", b"Connection: close\r\n\r\n"]
    sent = [CHUNKED + body[0], body[1]] if apart else [CHUNKED + b"".join(body)]
    (answer,) = answered(served, *sent, LIVE)
    assert (answer.status, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    "host",
    b"a b|a/b|user@a|a,b|a, b|a?b|a#b|a\\b|a:b|a:80:80|[::1|::1|a%4|a:123456|\xc3\xa4|<a>".split(
        b"|"
    ),
)
def test_what_is_no_host_is_refused(served: Server, host: bytes) -> None:
    for target in (b"/health/live", b"http://x/health/live"):
        head = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        check_problem(answered(served, head)[0], 400, "host")


@pytest.mark.parametrize(
    "host", [b"", b"x", b"x:", b"x:80", b"127.0.0.1:8000", b"[::1]:80", b"a_b.c", b"a%41"]
)
def test_a_name_or_an_address_is_a_host(served: Server, host: bytes) -> None:
    assert statuses(answered(served, GET.replace(b"x", host) + b"\r\n")) == [200]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://h", "/"),
        (b"http://h?a=1", "/"),
        (b"HTTP://h:80/health/live", "/health/live"),
        (b"https://[::1]/health/live?a=1", "/health/live"),
    ],
)
def test_a_target_may_be_a_whole_url(served: Server, target: bytes, path: str) -> None:
    (answer,) = answered(served, GET.replace(b"/health/live", target) + b"\r\n")
    assert answer.status == 200
    assert answer.headers["content-type"] == served.get(path).headers["content-type"]
    name = answer.headers["x-request-id"]
    wait_until(lambda: name in served.stderr())
    assert [line["path"] for line in served.access() if line["request_id"] == name] == [path]


@pytest.mark.parametrize(
    "target", [b"ftp://h/", b"http://", b"http:///", b"http://user@h/", b"http://:80/", b"h/a"]
)
def test_a_target_that_is_no_url_of_ours_is_refused(served: Server, target: bytes) -> None:
    check_problem(answered(served, GET.replace(b"/health/live", target) + b"\r\n")[0], 400)


def test_two_lines_of_a_field_are_one_list(server: Server) -> None:
    """RFC 9110, section 5.3: no line of two is passed over."""
    body = gzip.compress(bytes(784))
    for codings in ((b"br", b"gzip"), (b"gzip", b"br"), (b"gzip", b"gzip")):
        lines = b"".join(b"Content-Encoding: %b\r\n" % coding for coding in codings)
        head = POST + b"Connection: close\r\nContent-Length: %d\r\n" % len(body)
        check_problem(answered(server, head + lines + b"\r\n" + body)[0], 415)


def test_http_1_0_keeps_its_connection_where_asked(served: Server) -> None:
    keep = b"GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    first, second, last = answered(served, keep, keep, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert [each.headers["connection"] for each in (first, second, last)] == [
        *("keep-alive", "keep-alive", "close")
    ]


def test_http_1_0_has_no_chunks_on_a_kept_connection(served: Server) -> None:
    """RFC 9112, section 6.1: what follows such a body is not trusted."""
    old = CHUNKED.replace(b"1.1", b"1.0").replace(b"Host", b"Connection: keep-alive\r\nHost")
    (answer,) = answered(served, old + CHUNK + b"0\r\n\r\n" + LIVE)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
