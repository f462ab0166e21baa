"""IDX: MNIST's own files are accepted, and each kind of damage has its own message."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import numpy as np
import pytest

from service.decode.arrays import read_idx
from service.errors import Malformed, TooLarge
from tests.service.decode.samples import digits, idx, labels


def test_mnists_files_have_the_published_sizes_and_first_labels() -> None:
    assert digits().shape == (10_000, 28, 28)
    assert labels().shape == (10_000,)
    assert labels()[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels()).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0\x08", "magic number is 0x000008"),
        (b"\0\0\x08\x03\0\0\0\x01", "ends in its sizes"),
        (b"\0\1\x08\x01\0\0\0\x01\7", "magic number is 0x00010801"),
        (b"\0\0\x08\0", "magic number is 0x00000800"),
        (b"\0\0\x08\xff" + bytes(2000), "magic number is 0x000008ff"),
        (b"\0\0\x0d\x01\0\0\0\x01\7\7\7\7", "element type is 0x0d"),
        (
            b"\0\0\x08\x01\0\0\0\x02\7",
            "cut short: its header declares 2 bytes of data, it has 1",
        ),
        (b"\0\0\x08\x01\0\0\0\x02\7\7\7", "has data after its end"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"\7", "is cut short"),
        (b"\x1f\x8b\x08 no gzip", "gzip data are"),
    ],
)
def test_damage_is_malformed(data: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        read_idx(data)


def test_a_gzip_bomb_stops_at_the_limit() -> None:
    with pytest.raises(TooLarge, match="more than 1,000 bytes"):
        read_idx(gzip.compress(bytes(1_000_000)), limit_bytes=1000)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_array_that_was_written_is_read_back(pack: Callable[[bytes], bytes]) -> None:
    for array in (digits()[:2], labels()[:5], digits()[:0]):
        assert np.array_equal(read_idx(pack(idx(array))), array)
