"""The store by itself: its tables, its thread, and what it does when it is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.errors import Unavailable
from service.store.images import drop_unused, keep_images
from service.store.store import Store
from service.store.tables import IMAGES


def test_an_image_is_kept_once_and_dropped_once_nothing_is_about_it(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.sqlite'}")
    with store.begin() as connection:
        names = keep_images(connection, [bytes(784), b"\1" * 784, bytes(784)])
        assert names[0] == names[2] != names[1]
    with store.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(IMAGES)) == 2
        drop_unused(connection, names)
        assert connection.scalar(select(func.count()).select_from(IMAGES)) == 0
    store.close()


def test_a_store_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'none' / 'a.sqlite'}")
    with pytest.raises(Unavailable, match="away"):
        asyncio.run(store.run(lambda connection: None))
    store.close()
