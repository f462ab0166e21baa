"""Says when an answer should not be trusted, and why."""

from __future__ import annotations

import numpy as np

from service.runtime import Images


def doubts(images: Images) -> list[list[str]]:
    """For each image (n, 28, 28) the reasons to doubt its answer; an empty list where none is.

    ``blank``: no ink at all, so whatever digit is answered says nothing.
    """
    inked: list[bool] = np.any(images, axis=(1, 2)).tolist()
    return [[] if has_ink else ["blank"] for has_ink in inked]
