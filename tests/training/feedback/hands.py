"""A hand that MNIST lacks, and a store with what people say about images."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.store.labels import Source, put_label
from service.store.store import SQLITE, Store
from service.store.tables import keep_images
from service.types import Images, Labels

Ints = NDArray[np.integer[Any]]


@cache
def other_hand() -> tuple[Images, Labels]:
    """The 1,797 digits of scikit-learn, 8x8 pixels, enlarged to 20x20 in a field of 28x28."""
    from sklearn.datasets import load_digits

    found = load_digits()
    fields = np.zeros((len(found.images), 28, 28), np.uint8)
    for field, pixels in zip(fields, found.images, strict=True):
        small = Image.fromarray((pixels * 15.9).astype(np.uint8))
        field[4:24, 4:24] = np.asarray(small.resize((20, 20), Image.Resampling.BICUBIC))
    return fields, found.target.astype(np.int64)


def fill(
    path: Path, images: Images, digits: Ints, callers: list[str], source: Source = "feedback"
) -> str:
    """Keeps labels in the store at ``path``, -1 for no digit; returns its URL."""
    url = f"{SQLITE}{path}"
    store = Store(url)
    with store.begin() as connection:
        names = keep_images(connection, [image.tobytes() for image in images])
        for name, digit, caller in zip(names, digits.tolist(), callers, strict=True):
            put_label(connection, name, None if digit < 0 else digit, caller, source)
    store.close()
    return url
