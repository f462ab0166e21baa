"""Labelled images: JSON, IDX and .npy files, plain or gzip, and .npz data sets."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from service.decode.labelled import from_form, from_json
from service.errors import Fault, Invalid, Malformed, TooLarge
from service.types import Limits
from tests.service.decode.samples import BOUNDARY, LIMITS, digits, form, idx, labels, npy, npz


def check(read: tuple[NDArray[Any], NDArray[Any]], count: int) -> None:
    for array, expected, dtype in zip(read, (digits(), labels()), ("u1", "i8"), strict=True):
        assert array.dtype == dtype
        assert np.array_equal(array, expected[:count])


@pytest.mark.parametrize("count", [1, 2, 100])
@pytest.mark.parametrize("keys", [["images", "labels"], ["labels", "images"]])
@pytest.mark.parametrize("as_floats", [False, True])
def test_json(count: int, keys: list[str], as_floats: bool) -> None:
    images = digits()[:count].astype(float if as_floats else int)
    value = {"images": images.tolist(), "labels": labels()[:count].tolist()}
    check(from_json(orjson.dumps({key: value[key] for key in keys}), LIMITS), count)


def files(array: NDArray[Any], other_npy: NDArray[Any]) -> dict[str, bytes]:
    plain = {"npy": npy(array), "other npy": npy(other_npy), "idx": idx(array)}
    return plain | {f"{name}.gz": gzip.compress(data) for name, data in plain.items()}


FILES = files(digits()[:9], digits()[:9].reshape(9, 784).astype("<f4"))
LABEL_FILES = files(labels()[:9], labels()[:9].reshape(9, 1).astype(">i8"))


@pytest.mark.parametrize("images", FILES)
@pytest.mark.parametrize("label_file", LABEL_FILES)
def test_two_files_of_any_form(images: str, label_file: str) -> None:
    body = form(("labels", LABEL_FILES[label_file]), ("images", FILES[images]))
    check(from_form(body, BOUNDARY, LIMITS), 9)


@pytest.mark.parametrize(("images", "truth"), [("images", "labels"), ("x_test", "y_test")])
@pytest.mark.parametrize("compressed", [True, False])
def test_one_data_set(images: str, truth: str, compressed: bool) -> None:
    arrays = {images: digits()[:9], truth: labels()[:9], "x_train": digits()[:20]}
    body = form(("dataset", npz(compressed=compressed, **arrays)))
    check(from_form(body, BOUNDARY, LIMITS), 9)


IMAGES, LABELS = digits()[:3].tolist(), labels()[:3].tolist()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"images": IMAGES}, 'both "images" and "labels"'),
        ({"labels": LABELS}, 'both "images" and "labels"'),
        ({"images": IMAGES, "labels": LABELS, "more": 1}, "unknown key 'more'"),
        ({"images": IMAGES, "labels": LABELS[:2]}, "2 labels for 3 images"),
        ({"images": [], "labels": []}, "no images"),
        ({"images": IMAGES, "labels": {}}, "labels: is an object; a list"),
        ({"images": IMAGES, "labels": [7, 10, 1]}, "label 1: is not a whole number from 0 to 9"),
        *(
            ({"images": IMAGES, "labels": [7, 2, label]}, "label 2: is not a whole")
            for label in (-1, 7.0, True, None, 10**30)
        ),
        ({"images": IMAGES, "labels": [[7], [2], [1]]}, "3 labels are faulty"),
        ({"images": [[0.5] * 784], "labels": [7]}, "scaled to 0..1"),
    ],
)
def test_wrong_json_is_invalid(value: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        from_json(json.dumps(value).encode(), LIMITS)


def test_a_repeated_key_is_malformed() -> None:
    with pytest.raises(Malformed, match='the key "labels" is repeated'):
        from_json(b'{"images":[],"labels":[],"labels":[]}', LIMITS)


def pair(images: NDArray[Any], truth: NDArray[Any]) -> list[tuple[str, bytes]]:
    return [("images", npy(images)), ("labels", npy(truth))]


@pytest.mark.parametrize(
    ("parts", "kind", "message"),
    [
        ([], Invalid, '"images" and "labels", or "dataset"'),
        ([("images", FILES["npy"])], Invalid, "or \"dataset\", are expected"),
        ([("images", b""), ("labels", b""), ("more", b"")], Invalid, "are expected"),
        ([("images", b""), ("images", b"")], Invalid, "the field 'images' is repeated"),
        ([(name, b"") for name in "abcd"], TooLarge, "more than 3 parts"),
        ([("images", b""), ("labels", LABEL_FILES["npy"])], Malformed, "^images: not an IDX"),
        ([("images", FILES["npy"]), ("labels", b"x" * 99)], Malformed, "^labels: not an IDX"),
        ([("images", FILES["npy.gz"][:-9]), ("labels", b"")], Malformed, "^images: the gzip"),
        ([("dataset", b"")], Malformed, "npz is damaged"),
        ([("dataset", npz(images=digits()[:2]))], Invalid, "neither images and labels nor x_test"),
        ([("dataset", npz(x_test=digits()[:2], labels=labels()[:2]))], Invalid, "neither"),
        (pair(digits()[:3], labels()[:2]), Invalid, "2 labels for 3 images"),
        (pair(digits()[:2], labels()[:2].astype(float)), Invalid, "type float64; whole numbers"),
        (pair(digits()[:2], labels()[:2] > 1), Invalid, "not an integer or float type"),
        (pair(digits()[:2], labels()[:2].reshape(1, 2)), Invalid, r"shape \[1, 2\]; \[n\] is"),
        (pair(digits()[:2], np.array(7)), Invalid, r"shape \[\]; \[n\] is"),
        (pair(digits()[:2], np.array([7, 10])), Invalid, "label 1: is 10; a digit from 0 to 9"),
        (pair(digits()[:2], np.array([-1, 2])), Invalid, "label 0: is -1; a digit"),
        (pair(digits()[:2], np.array([7, 2**63], "u8")), Invalid, "label 1: is 92233720368"),
        (pair(digits()[:2] / 255, labels()[:2]), Invalid, "scaled to 0..1"),
        (pair(digits()[:2, :27], labels()[:2]), Invalid, r"images: has the shape \[2, 27, 28\]"),
    ],
)  # fmt: skip
def test_wrong_files_are_rejected(
    parts: list[tuple[str, bytes]], kind: type[Fault], message: str
) -> None:
    with pytest.raises(kind, match=message):
        from_form(form(*parts), BOUNDARY, LIMITS)


def test_limits_hold_for_images_and_for_what_is_unpacked() -> None:
    body = form(("images", FILES["idx.gz"]), ("labels", LABEL_FILES["idx"]))
    with pytest.raises(TooLarge, match="9 images; at most 8"):
        from_form(body, BOUNDARY, Limits(images=8))
    with pytest.raises(TooLarge, match="more than 7,000 bytes"):
        from_form(body, BOUNDARY, Limits(body_bytes=7000))
    data_set = form(("dataset", npz(images=digits()[:9], labels=labels()[:9])))
    with pytest.raises(TooLarge, match="more than 7,000 bytes"):
        from_form(data_set, BOUNDARY, Limits(body_bytes=7000))
