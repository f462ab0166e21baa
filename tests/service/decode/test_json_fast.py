"""The reader of whole numbers reads what a JSON parser reads, or returns None."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.decode.json_fast import FLAT, NESTED, NUMBERS, Form, read_plain
from tests.service.decode.samples import digits


def spaced(value: object) -> bytes:
    return json.dumps(value).encode()


def indented(value: object) -> bytes:
    return json.dumps(value, indent="\t").encode()


SHAPES: dict[str, tuple[Form, tuple[int, ...]]] = {
    "nested": (NESTED, (-1, 28, 28)),
    "flat": (FLAT, (-1, 784)),
    "numbers": (NUMBERS, (-1,)),
}


def read(items: bytes, form: Form = FLAT) -> NDArray[np.uint8] | None:
    """Reads the items between a beginning and an end as in a body."""
    lead = b'{"images":['
    return read_plain(lead + items + b"]}", len(lead), len(lead) + len(items), form)


@pytest.mark.parametrize("dump", [orjson.dumps, spaced, indented])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 30])
def test_it_reads_what_was_written(dump: Callable[[object], bytes], name: str, count: int) -> None:
    form, shape = SHAPES[name]
    images = digits()[:count]
    read_back = read(dump(images.reshape(shape).tolist())[1:-1], form)
    assert read_back is not None
    assert read_back.dtype == np.uint8
    assert np.array_equal(read_back, images.ravel() if form is NUMBERS else images)


def test_it_reads_every_value_from_0_to_255() -> None:
    image = (np.arange(784) % 256).astype(np.uint8)
    read_back = read(orjson.dumps([image.tolist()])[1:-1])
    assert read_back is not None
    assert np.array_equal(read_back.ravel(), image)


PLAIN = orjson.dumps([digits()[0].ravel().tolist()])[1:-1]
assert PLAIN.startswith(b"[0,0,0,")


@pytest.mark.parametrize(
    "start",
    [
        *(
            b"[%b,0,0," % number
            for number in b"256 999 1000 1234 00 01 001 010 -1 -0 1.5 1e1".split()
        ),
        *(b'["1",0,0,', b"[1 2,0,0,", b"[1\x0b,0,0,", b"[,0,0,0,", b"[0,,0,0,", b"[0,0,0 0,"),
        *(b"[0,0,0", b"[[0],0,0,", b"[0,0,0,0,", b"[0,0,", b"0,[0,0,", b"[0,0,]0,"),
        *(b"[0,true,0,", b"[0,\xa00,0,", b""),
    ],
)
def test_it_leaves_all_else_to_the_parser(start: bytes) -> None:
    assert read(start + PLAIN[7:]) is None


def test_it_takes_no_number_outside_an_image() -> None:
    """One number is missing inside and one is too many outside, so that their count is right."""
    for misplaced in (b"5" + PLAIN.replace(b"0,", b",", 1), PLAIN.replace(b"0,", b",", 1) + b"5"):
        assert read(misplaced) is None


def test_it_takes_no_image_of_the_other_form() -> None:
    assert read(PLAIN, NESTED) is None
    assert read(orjson.dumps(digits()[:1].tolist())[1:-1]) is None


EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.integers(0, 3),
        st.sampled_from(
            [b"", b"0", b"7", b",", b"[", b"]", b" ", b"\n", b".", b"-", b"],[", b"25"]
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(edits=EDITS, name=st.sampled_from([*SHAPES]), with_spaces=st.booleans())
@settings(max_examples=400, deadline=None)
def test_it_never_differs_from_the_parser(
    edits: list[tuple[int, int, bytes]], name: str, with_spaces: bool
) -> None:
    form, shape = SHAPES[name]
    dump = spaced if with_spaces else orjson.dumps
    text = dump(digits()[:2].reshape(shape).tolist())[1:-1]
    for anywhere, length, replacement in edits:
        place = anywhere % len(text)
        text = text[:place] + replacement + text[place + length :]
    read_back = read(text, form)
    if read_back is not None:
        parsed = orjson.loads(b"[%b]" % text)
        assert read_back.reshape(shape).tolist() == parsed
