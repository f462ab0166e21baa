"""What a reviewer is shown, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from service.store.labels import LEASE_S, next_items, put_label
from service.store.store import Store
from service.store.tables import ANSWERS, ASKED, DISAGREEMENTS, keep_images

NOW = 1e9


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with closing(Store(store_url)) as opened:
        yield opened


def answer(store: Store, margin: float, doubts: str = "", seed: int | None = None) -> str:
    """Keeps an answer with this margin; returns the image."""
    random = np.random.default_rng(int(margin * 1e6) if seed is None else seed)
    with store.begin() as connection:
        (image,) = keep_images(connection, [random.bytes(784)])
        row = {"request_id": "r", "position": 0, "answered_at": NOW, "caller": "c", "digit": 3}
        second = (1 - margin) / 2
        said = {"confidence": 1 - second, "second": second, "doubts": doubts, "version": "1"}
        connection.execute(ANSWERS.insert(), row | said | {"image": image})
    return image


def shown(store: Store, caller: str = "rita", count: int = 20, now: float = NOW) -> list[str]:
    with store.begin() as connection:
        return [item["id"] for item in next_items(connection, caller, count, now)[1]]


def test_disagreements_come_first_then_margins_doubts_and_variety(store: Store) -> None:
    sure, doubted = answer(store, 0.99), answer(store, 0.98, "low contrast")
    wide, narrow = answer(store, 0.5), answer(store, 0.1)
    disputed, asked = answer(store, 0.97), answer(store, 0.96)
    with store.begin() as connection:
        versions = {"champion": "1", "challenger": "2"}
        digits = {"champion_digit": 3, "challenger_digit": 8}
        row = {"image": disputed, "seen_at": NOW, **versions, **digits}
        connection.execute(DISAGREEMENTS.insert(), row)
        connection.execute(ASKED.insert(), {"image": asked, "reason": "the label is odd"})
        waiting, items = next_items(connection, "rita", 20, NOW)
    assert [item["id"] for item in items] == [asked, disputed, narrow, wide, doubted, sure]
    assert items[1]["reason"] == "versions disagree: version 1 reads 3, version 2 reads 8"
    assert items[2]["reason"] == "unsure: 0.55 for 3, 0.45 for another digit"
    assert items[4]["reason"] == "in doubt: low contrast"
    assert waiting == 7  # the one that is asked for, once more
    assert items[0]["confidence"] == pytest.approx(0.98)


def test_what_is_left_is_varied(store: Store) -> None:
    with store.begin() as connection:
        grey = [bytes([value]) * 784 for value in (0, 1, 2, 3, 120, 121, 250, 255)]
        names = keep_images(connection, grey)
        row = {"request_id": "r", "position": 0, "answered_at": NOW, "caller": "c", "digit": 3}
        row |= {"confidence": 1.0, "second": 0.0, "doubts": "", "version": "1"}
        connection.execute(ANSWERS.insert(), [row | {"image": name} for name in names])
    first = {names.index(image) for image in shown(store, count=3)}
    assert len(first & {0, 1, 2, 3}) == len(first & {4, 5}) == len(first & {6, 7}) == 1


def test_two_reviewers_do_not_get_the_same_image_at_once(store: Store) -> None:
    images = [answer(store, 0.01 * number) for number in range(1, 9)]
    assert shown(store, "rita", 5) == images[:5]
    assert shown(store, "sam", 5) == images[5:]
    assert shown(store, "sam", 5) == images[5:]  # nothing else is left
    assert shown(store, "tom", 5) == []
    assert shown(store, "tom", 5, NOW + LEASE_S + 1) == images[:5]
    assert shown(store, "rita", 3, NOW - 1e6) == images[:3]  # the clock was put back


def test_a_labelled_image_is_not_shown_again(store: Store) -> None:
    first, second = answer(store, 0.1), answer(store, 0.2)
    with store.begin() as connection:
        put_label(connection, first, None, "rita", "review")
    assert shown(store, "sam") == [second]
    with store.begin() as connection:
        connection.execute(ASKED.insert(), {"image": first, "reason": "others say 4"})
    assert shown(store, "sam") == [first, second]
    with store.begin() as connection:
        put_label(connection, first, 4, "sam", "review")
    assert shown(store, "sam") == [second]
