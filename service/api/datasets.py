"""``/datasets/mnist-test/images/{index}.png``: the test images that ``/evaluate`` tells of."""

from __future__ import annotations

import asyncio
import re

from fastapi import FastAPI

from service.api.evaluate import MNIST_TEST, load_dataset
from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.operations import TEST_IMAGE
from service.errors import NotFound
from service.imaging.preview import png
from service.settings import Settings
from service.types import Images

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_CACHE = (b"cache-control", b"public, max-age=3600")


def mount(app: FastAPI, settings: Settings) -> None:
    """Adds the route to ``app``."""
    held: list[Images] = []
    """The images (n, 28, 28) once they were asked for: 8 MB, unpacked once and not each time."""
    loading = asyncio.Lock()

    async def image(request: Request) -> Reply:
        """One image of the test set, white on black, by the index that `/evaluate` gives."""
        request.parameters()
        text = request.path_params["index"]
        async with loading:
            if not held:
                images, _ = await asyncio.to_thread(load_dataset, MNIST_TEST, settings.data)
                held.append(images)
        (images,) = held
        if not _INDEX.fullmatch(text) or int(text) >= len(images):
            raise NotFound(f"{MNIST_TEST} has images 0 to {len(images) - 1}, not {text[:40]!r}")
        return Reply(png(images[int(text)]), media_type=b"image/png", headers=(_CACHE,))

    add_route(app, "GET", f"/datasets/{MNIST_TEST}/images/{{index}}.png", image, **TEST_IMAGE)
