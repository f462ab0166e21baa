"""JSON is parsed strictly, and what is wrong with it is told with its place."""

from __future__ import annotations

import pytest

from service.decode.json_text import parse_json, parse_object
from service.errors import Invalid, Malformed


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is empty; JSON is expected"),
        (b'{"a": [1,]}', r"not JSON: .*\(char 8\)"),
        (b'{"a": NaN}', r"not JSON: .*\(char 6\)"),
        (b'{"a": 1} x', r"not JSON: .*\(char 9\)"),
        (b'{"a": "\xe2\x82"}', "not JSON: byte 7 is not UTF-8$"),
        (b"\x89PNG\r\n\x1a\n", "not JSON: byte 0 is not UTF-8$"),
        ("{}".encode("utf-16"), "not JSON: byte 0 is not UTF-8$"),
        ("{}".encode("utf-8-sig"), "not JSON: UTF-8 byte order mark"),
    ],
)
def test_what_is_no_json_is_malformed_and_says_where(body: bytes, told: str) -> None:
    with pytest.raises(Malformed, match=told) as caught:
        parse_json(body)
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize(("body", "kind"), [(b"[]", "a list"), (b'"AAAA"', "a string")])
def test_another_value_than_an_object_is_told_the_form(body: bytes, kind: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_object(body, "images", "pictures")
    told = 'an object such as {"images": [...]} is expected'
    assert caught.value.detail == f"body: is {kind}; {told}"
