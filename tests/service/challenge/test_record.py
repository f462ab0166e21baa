"""What a challenge leaves in the store, in SQLite and in PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

from service.challenge.record import exchange, tally
from service.challenge.verdict import Compared, Tally
from service.models.repository import Challenger
from service.store.store import Store
from service.store.tables import LABELS, keep_images

NAMED, AGAIN = Challenger("7", 0.0, "monday"), Challenger("7", 0.1, "tuesday")
APART = [(bytes([number] * 784), 1, 2) for number in range(6)]


def add(url: str, named: Challenger, images: int, *, failure: str = "") -> str:
    """Tells the store of images, all of them apart up to six; returns why the challenger is out."""
    news = [Compared("6", "7", images, APART[:images]), Compared("5", "7", 50, [])]
    with closing(Store(url)) as store, store.begin() as connection:
        return exchange(connection, "6", named, news, failure)


def told(url: str, named: Challenger = NAMED, champion: str = "6") -> Tally:
    with closing(Store(url)) as store, store.begin() as connection:
        return tally(connection, champion, named)


def label(url: str, said: list[tuple[int, str, int | None]]) -> None:
    """Labels images by their number, the caller and the digit."""
    with closing(Store(url)) as store, store.begin() as connection:
        for number, caller, digit in said:
            (image,) = keep_images(connection, [APART[number][0]])
            row = {"id": f"{number}{caller}", "image": image, "digit": digit, "caller": caller}
            connection.execute(LABELS.insert().values(**row, source="review", labelled_at=1.0))


def test_counts_add_up_over_workers_and_an_image_counts_once_in_the_verdict(
    store_url: str,
) -> None:
    add(store_url, NAMED, 10)
    with ThreadPoolExecutor(4) as workers:
        assert set(workers.map(partial(add, store_url, NAMED), [10] * 8)) == {""}
    assert told(store_url) == Tally(images=90, agreed=36)
    assert told(store_url, champion="5") == Tally()
    label(store_url, [(0, "a", 2), (1, "a", 1), (2, "a", 5), (3, "a", None)])
    label(store_url, [(4, "a", 2), (4, "b", 1)])  # contradicted
    assert told(store_url)[2:5] == (4, 1, 1)


def test_a_failure_is_that_of_one_challenge_and_the_first_reason_stays(store_url: str) -> None:
    assert add(store_url, NAMED, 1) == ""
    add(store_url, NAMED, 0, failure="it loops")
    assert add(store_url, NAMED, 1, failure="it is slow") == "it loops"
    assert told(store_url) == Tally(images=2, agreed=0, failure="it loops")
    assert add(store_url, AGAIN, 0) == ""
    assert told(store_url, AGAIN).failure == ""
