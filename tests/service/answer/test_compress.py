"""Accept-Encoding as RFC 9110 reads it, and bodies that come back whole."""

from __future__ import annotations

import gzip
import zlib

import pytest

from service.answer.predictions import compress, encoding


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        *((rejected, None) for rejected in (None, "", "identity", "br", "*;q=0", "gzip;q=x")),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip, br", "gzip"),
        ("gzip;q=0.5, deflate;q=0.9", "gzip"),
        ("gzip;q=0, deflate;q=0", None),
        ("gzip;q=0, deflate", "deflate"),
        ("*", "gzip"),
        ("gzip;q=0, *", "deflate"),
        (" gzip ; q=1.0 ", "gzip"),
    ],
)
def test_an_accepted_encoding_is_chosen(header: str | None, chosen: str | None) -> None:
    assert encoding(header) == chosen


def test_what_is_compressed_comes_back() -> None:
    body = bytes(range(256)) * 20
    assert gzip.decompress(compress(body, "gzip")) == body
    assert zlib.decompress(compress(body, "deflate")) == body
