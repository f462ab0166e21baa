"""``/datasets/mnist-test/images/{index}.png``: the test images by the index in ``/evaluate``."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter

from service.api.evaluate import MNIST_TEST, load_dataset
from service.api.request import Reply
from service.api.routing import OwnRoute
from service.api.schemas.parameters import Current
from service.api.schemas.responses import PNG, problems
from service.errors import NotFound
from service.imaging.preview import encode_png
from service.types import Images

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_CACHE = (b"cache-control", b"public, max-age=3600")
router = APIRouter(route_class=OwnRoute, tags=["digits"])


@router.get(
    f"/datasets/{MNIST_TEST}/images/{{index}}.png",
    response_model=None,
    response_class=Response,
    responses=problems(404, 422) | PNG,
)
async def test_image(
    request: Current,
    index: Annotated[str, PathParameter(json_schema_extra={"type": "integer", "minimum": 0})],
) -> Reply:
    """One image of the test set, white on black, by the index that `/evaluate` returns."""
    images = await asyncio.to_thread(_images, request.core.settings.data)
    if not _INDEX.fullmatch(index) or int(index) >= len(images):
        raise NotFound(f"{MNIST_TEST} has images 0 to {len(images) - 1}, not {index[:40]!r}")
    return Reply(encode_png(images[int(index)]), media_type=b"image/png", headers=(_CACHE,))


@lru_cache(maxsize=1)
def _images(folder: Path) -> Images:
    """The images (n, 28, 28); 8 MB, kept once somebody asked for one."""
    return load_dataset(MNIST_TEST, folder)[0]
