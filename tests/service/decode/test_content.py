"""Content-Type is parsed, and Content-Encoding is undone or rejected."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from service.decode.content import gunzip, inflate, parse_content_type
from service.errors import Malformed, QueueFull, TooLarge, UnsupportedType
from tests.service.decode.samples import memory_below

BODY = b'{"images": []}' * 50
LIMIT = 1 << 20


def gz(data: bytes, level: int = 9) -> bytes:
    return gzip.compress(data, level, mtime=0)


@pytest.mark.parametrize(
    ("value", "media_type", "parameters"),
    [
        (None, "", {}),
        ("", "", {}),
        (b"application/json", "application/json", {}),
        ("Application/JSON ; Charset=UTF-8", "application/json", {"charset": "UTF-8"}),
        ("multipart/form-data; boundary=a-b", "multipart/form-data", {"boundary": "a-b"}),
        ('multipart/form-data;boundary="a;\\"b"', "multipart/form-data", {"boundary": 'a;"b'}),
        ("a/b; c=1 x; d=2;", "a/b", {"c": "1 x", "d": "2", "": ""}),
        (b"\xff\xfe", "\xff\xfe", {}),
    ],
)
def test_content_type(value: str | bytes | None, media_type: str, parameters: object) -> None:
    assert parse_content_type(value) == (media_type, parameters)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (None, BODY),
        ("", BODY),
        ("identity", BODY),
        *((name, gz(BODY)) for name in ("gzip", " GZip ", "x-gzip")),
        ("deflate", zlib.compress(BODY)),
        ("identity, deflate", zlib.compress(BODY)),
    ],
)
def test_inflate_undoes_the_encoding(encoding: str | None, body: bytes) -> None:
    assert inflate(body, encoding, LIMIT) == BODY


@pytest.mark.parametrize("size", [0, 1, 32_767, 32_768, 32_769, 400_000])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_body_of_any_size_is_inflated_whole(size: int, level: int) -> None:
    random = np.random.default_rng(size)
    for content in (bytes(size), random.bytes(size), random.integers(0, 3, size, "u1").tobytes()):
        deflated = zlib.compress(content, level)
        assert inflate(deflated, "deflate", LIMIT) == content
        assert inflate(gz(content, level), "gzip", LIMIT) == content
        for after in (3, 10_000):
            with pytest.raises(Malformed, match=f"{after:,} bytes follow"):
                inflate(deflated + bytes(after), "deflate", LIMIT)
        with pytest.raises(Malformed, match="cut short"):
            inflate(deflated[:-1], "deflate", LIMIT)


@pytest.mark.parametrize("encoding", ["br", "gzip, br", "a\nb"])
def test_another_encoding_is_unsupported_and_the_answer_lists_those_read(encoding: str) -> None:
    with pytest.raises(UnsupportedType, match="send gzip or deflate") as caught:
        inflate(BODY, encoding, LIMIT)
    assert caught.value.headers == ((b"accept-encoding", b"gzip, deflate"),)
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize("encoding", ["gzip, gzip", "deflate, gzip", "gzip," * 5])
def test_two_encodings_are_unsupported_whatever_they_hold(encoding: str) -> None:
    with pytest.raises(UnsupportedType, match="; send gzip or deflate, and once"):
        inflate(gz(gz(BODY)), encoding, LIMIT)


@pytest.mark.parametrize("inflated", [gunzip, lambda body, *more: inflate(body, "gzip", *more)])
def test_what_is_inflated_is_charged_as_it_grows(inflated: Callable[..., bytes]) -> None:
    content = bytes(20 * LIMIT)
    charged: list[int] = []
    assert inflated(gz(content), 20 * LIMIT, charged.append) == content
    assert sum(charged) == 20 * LIMIT
    assert max(charged) <= 1 << 20

    def refuse(size: int) -> None:
        charged.append(size)
        if sum(charged) > 5 * LIMIT:
            raise QueueFull("no room")

    charged.clear()
    bomb = gz(bytes(1000 * LIMIT))
    with memory_below(8 * LIMIT), pytest.raises(QueueFull):
        inflated(bomb, 1000 * LIMIT, refuse)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: data + data, "follow the end"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (lambda data: b"", "cut short"),
        (lambda data: b"\x1f\x8b" + b"\xff" * len(data), "damaged"),
    ],
)
def test_damage_is_malformed(encoding: str, spoil: Callable[[bytes], bytes], message: str) -> None:
    whole = gz(BODY) if encoding == "gzip" else zlib.compress(BODY)
    with pytest.raises(Malformed, match=message):
        inflate(spoil(whole), encoding, LIMIT)


def test_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert len(inflate(gz(bytes(LIMIT)), "gzip", LIMIT)) == LIMIT
    with pytest.raises(TooLarge, match="1,048,576 bytes after decompression"):
        inflate(gz(bytes(LIMIT + 1)), "gzip", LIMIT)


def test_a_bomb_never_takes_much_more_than_the_limit() -> None:
    bomb = gz(bytes(100 * LIMIT))
    with memory_below(4 * LIMIT), pytest.raises(TooLarge):
        inflate(bomb, "gzip", LIMIT)
