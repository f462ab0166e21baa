""".npy and .npz files: all number types are accepted; objects and false sizes are rejected."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from service.decode.arrays import from_npy, read_npz
from service.errors import Fault, Invalid, Malformed, TooLarge
from service.types import Limits
from tests.service.decode.samples import LIMITS, digits, labels, memory_below, npy, npz

TYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g"]


def with_header(text: str, data: bytes = b"", version: bytes = b"\1\0") -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode() + data


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("memory_order", ["C", "F"])
def test_every_number_type_and_order_gives_the_same_images(
    kind: str, byte_order: Any, memory_order: Any
) -> None:
    original = digits()[:3] // (2 if kind == "i1" else 1)  # signed bytes reach 127
    dtype = np.dtype(kind).newbyteorder(byte_order)
    images = from_npy(npy(np.asarray(original.astype(dtype), order=memory_order)), LIMITS)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert np.array_equal(images, original)


@pytest.mark.parametrize(
    ("count", "shape"),
    [
        *((1, shape) for shape in ((28, 28), (784,), (1, 28, 28), (1, 784), (1, 28, 28, 1))),
        *((28, shape) for shape in ((28, 28, 28), (28, 784), (28, 28, 28, 1))),
    ],
)
def test_every_shape_of_images_is_accepted(count: int, shape: tuple[int, ...]) -> None:
    images = digits()[:count]
    assert np.array_equal(from_npy(npy(images.reshape(shape)), LIMITS), images)


@pytest.mark.parametrize(
    "shape", [(), (1,), (783,), (28,), (27, 28), (28, 27), (28, 28, 1), (1, 1, 28, 28), (2, 785)]
)
def test_another_shape_is_invalid(shape: tuple[int, ...]) -> None:
    with pytest.raises(Invalid, match=r"has the shape .*\[n,28,28\]"):
        from_npy(npy(np.full(shape, 7, np.uint8)), LIMITS)


def test_no_images_are_invalid_and_more_than_the_limit_are_too_large() -> None:
    with pytest.raises(Invalid, match="no images"):
        from_npy(npy(digits()[:0]), LIMITS)
    with pytest.raises(TooLarge, match="3 images; at most 2"):
        from_npy(npy(digits()[:3]), Limits(images=2))


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (-1, "i2", "-1, below 0"),
        (256, "u2", "256, above 255"),
        (np.nan, "f2", "NaN"),
        (np.inf, "f4", "inf, above"),
        (-np.inf, "f8", "-inf, below"),
    ],
)
def test_a_value_out_of_range_is_named(value: float, kind: str, message: str) -> None:
    array = digits()[:3].astype(kind)
    array[1, 5, 5] = value
    with pytest.raises(Invalid, match=f"image 1: holds {message}"):
        from_npy(npy(array), LIMITS)


@pytest.mark.parametrize("kind", ["u1", "i4", "f4", "f8", "f2"])
def test_an_array_scaled_to_0_1_is_rejected_in_every_type(kind: str) -> None:
    array = (digits()[:2] / 255).round() if kind[0] in "iu" else digits()[:2] / 255
    with pytest.raises(Invalid, match=r"2 images .* image 0: its largest value is 1; it looks"):
        from_npy(npy(array.astype(kind)), LIMITS)


def test_objects_are_never_unpickled() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("unpickled",))

    with pytest.raises(Malformed, match="objects, which are never loaded"):
        from_npy(npy(np.array([Bomb()])), LIMITS)


@pytest.mark.parametrize("kind", [bool, complex, "S4", "U4", "V4", "M8[s]", [("pixel", "u1")]])
def test_an_element_that_is_not_a_number_is_invalid(kind: Any) -> None:
    with pytest.raises(Invalid, match="not an integer or float type"):
        from_npy(npy(np.zeros((28, 28), kind)), LIMITS)


GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (28, 28), }"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD + "    \n",
        GOOD.replace("}", "'shape': (784,), }"),
        '{"shape":(28,28),"fortran_order":False,"descr":"<u1"}',
        "{'descr': '=u1', 'fortran_order': True, 'shape': (28,28,)}\n",
    ],
)
@pytest.mark.parametrize("version", [b"\1\0", b"\2\0", b"\3\0"])
def test_headers_of_other_writers_are_accepted(text: str, version: bytes) -> None:
    assert from_npy(with_header(text, b"\7" * 784, version), LIMITS).shape == (1, 28, 28)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "28", GOOD[:-1], GOOD[1:], GOOD + "x", "{" * 900, "(" * 900),
        GOOD.replace("'shape'", "'size'"),
        *(GOOD.replace("(28, 28)", shape) for shape in ("28", "(-28, -28)", "(28, 2 8)")),
        *(GOOD.replace("(28, 28)", shape) for shape in ("(28, 28.0)", "(True, 784)")),
        *(GOOD.replace("False", order) for order in ("0", "'False'", "__import__('os').abort()")),
        *(GOOD.replace("'|u1'", kind) for kind in ("'|u3'", "'u99'", "7", "('u1', -1)")),
        GOOD.replace("}", "'more': True, }"),
    ],
)
def test_a_damaged_header_is_malformed(text: str) -> None:
    with pytest.raises(Malformed, match=r"header of the .npy array is damaged|header declares"):
        from_npy(with_header(text, b"\7" * 784), LIMITS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        *(
            (data, "version 1, 2 or 3")
            for data in (b"", b"\x93NUMP", b"no array", b"\x93NUMPY\4\0")
        ),
        (b"\x93NUMPY\1\0", "cut short"),
        (b"\x93NUMPY\1\0\x76\0{'descr'", "cut short"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff", "longer than 1,024"),
        (npy(digits()[0])[:-1], "is cut short: its header declares 784 bytes of data, it has 783"),
        (npy(digits()[0]) + b"\0", "has data after its end"),
    ],
)
def test_damage_is_malformed(data: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        from_npy(data, LIMITS)


@pytest.mark.parametrize("shape", ["(100000, 28, 28)", f"({'9' * 300}, 28, 28)", "(0, 9)"])
def test_a_false_size_in_the_header_takes_no_memory(shape: str) -> None:
    body = with_header(GOOD.replace("(28, 28)", shape), b"\7" * 784)
    with memory_below(100_000), pytest.raises(Malformed, match="its header declares"):
        from_npy(body, LIMITS)


@pytest.mark.parametrize("compressed", [True, False])
def test_npz_returns_its_arrays_by_name(compressed: bool) -> None:
    data = npz(compressed=compressed, images=digits()[:9], labels=labels()[:9])
    arrays = read_npz(data, len(data) * 10)
    assert arrays.keys() == {"images", "labels"}
    assert np.array_equal(arrays["images"], digits()[:9])
    assert np.array_equal(arrays["labels"], labels()[:9])


def test_npz_skips_arrays_that_were_not_requested() -> None:
    data = npz(images=digits()[:9], other=np.array([object()], dtype=object))
    assert read_npz(data, 10_000, ["images", "labels"]).keys() == {"images"}
    with pytest.raises(Malformed, match="objects"):
        read_npz(data, 10_000)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", Malformed, "damaged"),
        (b"PK\3\4 no zip", Malformed, "damaged"),
        (npz(images=digits()[:2])[:-30], Malformed, "damaged"),
        (zipped(("images.npy", b"no array")), Malformed, "version 1, 2 or 3"),
        (zipped(("a.npy", b""), method=zipfile.ZIP_LZMA), Malformed, "a compression that NumPy"),
        (zipped(*((f"{n}.npy", b"") for n in range(65))), TooLarge, "more than 64 arrays"),
        (npz(a=labels()[:1900], b=labels()[:1900]), TooLarge, "more than 3,000 bytes"),
    ],
)
def test_a_damaged_or_hostile_npz_is_rejected(data: bytes, kind: type[Fault], message: str) -> None:
    with pytest.raises(kind, match=message):
        read_npz(data, limit_bytes=3000)


def test_a_zip_bomb_with_a_false_size_is_not_inflated() -> None:
    """The sizes in the directory are too small, so only inflating would reveal the true ones."""
    array = npy(np.zeros(5_000_000, np.uint8))
    size = struct.pack("<I", len(array))
    honest = zipped(("images.npy", array))
    assert honest.count(size) == 2
    hostile = honest.replace(size, struct.pack("<I", 1000))
    with memory_below(500_000), pytest.raises(Malformed):
        read_npz(hostile, limit_bytes=10_000)
