"""A form is parsed strictly, and its picture files are all accepted or all rejected."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from service.decode.content import from_form, parse_form
from service.errors import Fault, Invalid, Malformed, TooLarge, UnsupportedType
from service.types import Limits
from tests.service.decode.samples import BOUNDARY, LIMITS, digits, encode, form, picture

WHOLE = form(("files", b"data"))


@pytest.mark.parametrize("count", [1, 5])
def test_files_keep_their_order(count: int) -> None:
    files = [("files", picture(index=index)) for index in range(count)]
    seen = from_form(form(*files), BOUNDARY, LIMITS).preprocess(LIMITS)
    assert np.array_equal([one.image for one in seen], digits()[:count])


def test_the_parser_returns_the_name_and_the_data_of_each_part() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="a;\\"b"; filename="c d.png"\r\n'
        b"Content-Type: image/png\r\n\r\none\r\n--x\r\n"
        b"content-disposition: form-data; name=plain\r\n\r\n\r\n--two\r\n--x--\r\n"
    )
    assert parse_form(body, "x", max_parts=2) == [('a;"b', b"one"), ("plain", b"\r\n--two")]


def test_bytes_like_a_boundary_stay_in_the_file() -> None:
    part = ("a", b"--" + BOUNDARY.encode() + b"--\r\n-- \r\n\r\n--\r")
    assert parse_form(form(part), BOUNDARY, max_parts=1) == [part]


@pytest.mark.parametrize("before", [b"\r\n", b"For readers without MIME.\r\n", b"--\r\n\r\n"])
def test_the_parser_ignores_text_before_the_first_boundary(before: bytes) -> None:
    assert parse_form(before + WHOLE, BOUNDARY, max_parts=1) == [("files", b"data")]


def test_all_or_nothing_each_faulty_file_is_named() -> None:
    files = [picture(), b"no picture", picture(), picture()[:100], b""]
    with pytest.raises(Malformed, match="3 files are faulty, the first is file 1: not") as caught:
        from_form(form(*(("files", file) for file in files)), BOUNDARY, LIMITS).preprocess(LIMITS)
    assert [flaw.index for flaw in caught.value.flaws] == [1, 3, 4]
    assert {flaw.field for flaw in caught.value.flaws} == {"files"}


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (b"<svg/>", UnsupportedType),
        (encode(Image.new("L", (20_000, 1)), "PNG"), TooLarge),
        (b"x", Malformed),
    ],
)
def test_the_first_faulty_file_decides_the_kind_of_fault(file: bytes, kind: type[Fault]) -> None:
    with pytest.raises(kind):
        from_form(form(("files", picture()), ("files", file)), BOUNDARY, LIMITS).preprocess(LIMITS)


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["files", "image"], Invalid, r"unknown field 'image'; the field is \"files\""),
        ([], Invalid, "no files"),
        (["files"] * 3, TooLarge, "more than 2 parts"),
    ],
)
def test_wrong_fields_are_rejected(names: list[str], kind: type[Fault], message: str) -> None:
    with pytest.raises(kind, match=message):
        from_form(form(*((name, b"data") for name in names)), BOUNDARY, Limits(images=2))


@pytest.mark.parametrize(
    ("body", "boundary", "message"),
    [
        (WHOLE, "", "names no boundary"),
        (WHOLE, "another", "lacks the boundary that the Content-Type names"),
        (WHOLE, "€", "lacks the boundary"),
        (WHOLE.replace(b"--", b"-", 1)[:20], BOUNDARY, "lacks the boundary"),
        (b"", BOUNDARY, "lacks the boundary"),
        (WHOLE[:-6], BOUNDARY, "cut short"),
        (WHOLE[:60], BOUNDARY, "cut short"),
        (WHOLE.replace(b"Content-Disposition", b"Content-D isposition"), BOUNDARY, "no name"),
        (WHOLE.replace(b"Content-Disposition", b"X-Other"), BOUNDARY, "part 0 of the form has no"),
        (WHOLE.replace(b'; name="files"', b""), BOUNDARY, "part 0 of the form has no name"),
        (WHOLE.replace(b"form-data", b"attachment"), BOUNDARY, "part 0 of the form has no name"),
        (WHOLE.replace(b'"files"', b'"' + b"x" * 100_000 + b'"'), BOUNDARY, "head is damaged"),
    ],
)
def test_damage_is_malformed_and_not_logged(
    body: bytes, boundary: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Malformed, match=message) as caught:
        from_form(body, boundary, LIMITS)
    assert "\n" not in caught.value.detail
    assert caplog.records == []
