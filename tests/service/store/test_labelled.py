"""Which labels are used: those that agree, of callers whom others do not contradict."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Connection

from service.errors import StoreFull
from service.store.labels import NO_DIGIT, Source, labelled, put_label, take_back
from service.store.store import Store
from service.store.tables import keep_images


@pytest.fixture
def connection(store_url: str) -> Iterator[Connection]:
    store = Store(store_url)
    with store.begin() as opened:
        yield opened
    store.close()


def say(
    connection: Connection,
    image: int,
    digit: int | None,
    caller: str,
    source: Source = "feedback",
    *,
    most: int = 0,
) -> str:
    (name,) = keep_images(connection, [image.to_bytes(2, "big") * 392])
    return put_label(connection, name, digit, caller, source, most=most)[0]


def used(connection: Connection) -> dict[int, int]:
    """The digits that are used, by the number of the image."""
    found = labelled(connection)
    numbers = found.images[:, 0, 0].astype(int) * 256 + found.images[:, 0, 1]
    assert len(found.ids) == len(found.labels) == len(found.callers) == len(found.labelled_at)
    return dict(zip(numbers.tolist(), found.digits.tolist(), strict=True))


def test_images_have_their_labels_and_none_is_an_empty_array(connection: Connection) -> None:
    assert labelled(connection).images.shape == (0, 28, 28)
    first = say(connection, 1, 7, "anna")
    say(connection, 2, None, "anna")
    found = labelled(connection)
    assert used(connection) == {1: 7, 2: NO_DIGIT}
    assert found.labels[0] == first
    assert found.images.dtype == np.uint8
    assert found.digits.dtype == np.int64


def test_two_labels_of_an_image_must_agree(connection: Connection) -> None:
    for caller, digit in (("anna", 7), ("ben", 1)):
        say(connection, 1, digit, caller)
        say(connection, 2, 2, caller)
    assert used(connection) == {2: 2}
    say(connection, 1, 7, "ben")  # another digit of the same caller replaces the one before
    assert used(connection) == {1: 7, 2: 2}


def test_the_same_label_again_changes_nothing(connection: Connection) -> None:
    first, at = say(connection, 1, 7, "anna"), labelled(connection).labelled_at
    assert say(connection, 1, 7, "anna") == first
    assert labelled(connection).labelled_at == at


def test_a_caller_whom_others_contradict_is_not_used_and_harms_nobody(
    connection: Connection,
) -> None:
    for image in range(1000):
        say(connection, image, 3, "mallory")
    for image in range(12):
        say(connection, image, image % 10, "anna")
    assert used(connection)[100] == 3  # one's word against another's decides nothing
    for image in range(5, 12):
        say(connection, image, image % 10, "ben")
    assert used(connection) == {image: image % 10 for image in range(12)}


def test_feedback_never_discredits_a_reviewer(connection: Connection) -> None:
    for image in range(20):
        say(connection, image, 5, "rita", "review")
        for caller in ("mallory", "mallory2", "mallory3"):
            say(connection, image, 6, caller)
    assert set(used(connection).values()) == {5}


def test_one_caller_cannot_fill_the_store(connection: Connection) -> None:
    for image in range(8):
        say(connection, image, 1, "mallory", most=10)
    with pytest.raises(StoreFull, match="8 of them yours"):
        say(connection, 8, 1, "mallory", most=10)
    say(connection, 7, 2, "mallory", most=10)  # what is kept can be corrected, and repeated
    assert used(connection)[7] == 2
    say(connection, 8, 1, "anna", most=10)
    say(connection, 9, 1, "rita", "review")
    with pytest.raises(StoreFull, match="10 labels"):
        say(connection, 10, 1, "anna", most=10)
    say(connection, 10, 1, "rita", "review")  # reviewers only label what is kept


def test_a_label_is_taken_back_by_its_caller_and_by_a_reviewer(connection: Connection) -> None:
    own, other = say(connection, 1, 1, "anna"), say(connection, 2, 2, "ben")
    assert take_back(connection, own, "ben") is None
    assert take_back(connection, own, "anna") is not None
    assert take_back(connection, other, None) is not None
    assert used(connection) == {}
