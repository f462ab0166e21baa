"""Prints how good the champion's reasons are, and what they cost.

    python -m tests.bench.reasons
    python -m tests.bench.reasons --picture docs/reasons.png

The second draws five digits with their reasons instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from service.reasons.explain import EXPLAIN_ROWS, explanation, overlay, why
from service.reasons.shapley import Image, attribute, cells
from service.reasons.steps import Steps, finish
from tests.service.imaging.champion import MODELS
from tests.service.reasons.mnist import digits, training_images
from tests.service.reasons.oracles import (
    ask,
    by_occlusion,
    change,
    from_orders,
    least_blend,
    per_patch,
)
from training.measure.faithfulness import curves, faithfulness

T = TypeVar("T")
SHOWN = (0, 1, 4, 9, 18)
SCALE, GAP = 5, 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reasons", description=__doc__)
    parser.add_argument("--digits", type=int, default=100, help="of MNIST's test set")
    parser.add_argument("--picture", type=Path, help="draws five digits into this file")
    options = parser.parse_args()
    if options.picture:
        draw(options.picture)
        return
    images = digits(options.digits, first=1000)
    print("attributions, beside brute force over 7x7 patches")
    found = [alike(image) for image in images]
    print(f"  correlation {np.mean(found):.3f} in the mean, {np.min(found):.3f} at least")
    version = (MODELS / "mnist/champion").read_text().strip()
    model = (MODELS / "mnist" / version / "model.onnx").read_bytes()
    print(f"  {faithfulness(model, digits(100 * options.digits))}")
    rivals = [rival(image) for image in digits(options.digits)]
    print("  by occlusion: deletion {:.3f}, insertion {:.3f}".format(*np.mean(rivals, 0)))
    print("otherwise, to the second likeliest digit")
    changes = [changed(image) for image in images]
    ink = [one for one, _ in changes]
    print(
        f"  found {np.mean(np.isfinite(ink)):.3f}, changed ink {np.median(ink):.1f} in the median"
    )
    print(f"  less than a blend with the nearest {np.mean([one < b for one, b in changes]):.3f}")
    print("milliseconds of one core, a question")
    print(f"  nearest {cost(images, lambda image: training_images().nearest(image, 5)):.2f}")
    print(f"  ?include=why {cost(images, lambda image: answered(image, why)):.2f}")
    print(f"  /explain {cost(images, lambda image: answered(image, explained)):.2f}")


def alike(image: Image) -> float:
    """The correlation of the attributions of ``/explain`` with those of many orders."""
    patches, whole = cells(image), ask(image[None])[0]
    digit = int(whole.argmax())
    steps = attribute(image, digit, float(whole[digit]), patches, EXPLAIN_ROWS)
    values = per_patch(finish(steps, ask).values, patches)
    return float(np.corrcoef(values, from_orders(image, patches, 400))[0, 1])


def rival(image: Image) -> tuple[float, float]:
    """The areas under the curves of deletion and insertion, by occlusion."""
    digit = int(ask(image[None])[0].argmax())
    return curves(ask, image, digit, by_occlusion(image, digit))


def changed(image: Image) -> tuple[float, float]:
    """The ink that the change to the second likeliest digit takes, and the least blend."""
    digit = int(ask(image[None])[0].argsort()[-2])
    found = change(image, digit)
    return (found.changed if found else np.inf), least_blend(image, digit)


def explained(image: Image, probabilities: NDArray[np.float32]) -> Steps[dict[str, Any]]:
    return explanation(image, probabilities, None, training_images())


def answered(image: Image, question: Callable[[Image, NDArray[np.float32]], Steps[T]]) -> T:
    return finish(question(image, ask(image[None])[0]), ask)


def cost(images: NDArray[np.uint8], question: Callable[[Image], object]) -> float:
    """The median of the CPU milliseconds that a question takes."""
    question(images[0])
    spent = []
    for image in images:
        start = process_time()
        question(image)
        spent.append(process_time() - start)
    return float(np.median(spent)) * 1e3


def draw(path: Path) -> None:
    """A row for each digit: the image, its attributions, its otherwise, the nearest images."""
    rows = []
    for place in SHOWN:
        image = digits(1, first=place)[0]
        whole = ask(image[None])[0]
        digit = int(whole.argmax())
        steps = attribute(image, digit, float(whole[digit]), cells(image), EXPLAIN_ROWS)
        other = change(image, int(whole.argsort()[-2]))
        assert other is not None
        nearest = [each.image for each in training_images().nearest(image, 3)]
        tiles = [grey(image), laid_over(image, finish(steps, ask).values)]
        tiles += [difference(image, other.image), *(grey(each) for each in (other.image, *nearest))]
        framed = [np.pad(t, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=90) for t in tiles]
        rows.append(np.concatenate(framed, axis=1))
    whole_picture = np.concatenate(rows).repeat(SCALE, 0).repeat(SCALE, 1)
    Picture.fromarray(whole_picture).save(path, optimize=True)


def grey(image: Image) -> NDArray[np.uint8]:
    return np.repeat(image[..., None], 3, axis=2)


def laid_over(image: Image, attributions: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The attributions over the image, as the page lays them."""
    colours = overlay(attributions).astype(float)
    share = colours[..., 3:] / 255
    return np.round(colours[..., :3] * share + grey(image) * 0.4 * (1 - share)).astype(np.uint8)


def difference(image: Image, other: Image) -> NDArray[np.uint8]:
    """Ink put in is green, ink taken out is magenta, the rest is grey."""
    change_of = other.astype(int) - image
    added, taken = np.clip(change_of, 0, 255), np.clip(-change_of, 0, 255)
    rest = np.minimum(image, other) // 3
    parts = [np.maximum(rest, each) for each in (taken, added, taken)]
    return np.stack(parts, axis=2).astype(np.uint8)


if __name__ == "__main__":
    main()
