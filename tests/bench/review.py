"""Prints how many of the champion's mistakes a reviewer meets, beside one who looks at random.

    python -m tests.bench.review

The service captured test digits, damaged ones and doodles. A mistake is another digit than the true
one, or a doodle that was answered without a doubt.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from service.answer.quality import doubts as find_doubts
from service.classifier import Classifier
from service.observe.metrics import Metrics
from service.settings import Settings
from service.store.capture import Capture, rows
from service.store.labels import next_items
from service.store.store import Store
from service.types import Images, Probabilities
from tests.service.reasons.mnist import labelled
from training.measure.robustness.corruptions import CORRUPTIONS
from training.measure.robustness.non_digits import doodles

SHOWN = 50
DOODLE = -1
TARGET = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.review", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--rounds", type=int, default=10, help="mixes, each of another seed")
    options = parser.parse_args()
    rounds = [mistakes(options.models, seed) for seed in range(options.rounds)]
    first, at_random, images = np.mean(rounds, axis=0)
    print(f"{images:,.0f} images: test digits, 15 % damaged, 5 % doodles; {options.rounds} mixes")
    print(f"mistakes among the first {SHOWN} of /review: {first:.1f}")
    print(f"mistakes among {SHOWN} at random: {at_random:.2f}")
    print(f"ratio: {first / at_random:.1f} (>= {TARGET:g})")


def mistakes(models: Path, seed: int) -> tuple[float, float, float]:
    """Mistakes among the first images of the review and, in the mean, at random; and the images."""
    images, labels = mix(np.random.default_rng(seed))
    answers = Classifier(models=models).predict(images)
    wrong = [
        answer.digit != label if label != DOODLE else not answer.doubts
        for answer, label in zip(answers, labels, strict=True)
    ]
    shown = review(images, np.array([answer.probabilities for answer in answers], np.float32))
    by_pixels = {image.tobytes(): is_wrong for image, is_wrong in zip(images, wrong, strict=True)}
    return sum(by_pixels[one] for one in shown), SHOWN * float(np.mean(wrong)), len(images)


def mix(random: np.random.Generator, count: int = 4000) -> tuple[Images, list[int]]:
    """Test digits, 15 % of them damaged, each kind as often, and 5 % doodles; with their labels."""
    digits, labels = labelled()
    chosen = random.permutation(len(digits))[: count - count // 20]
    images, kinds = digits[chosen], list(CORRUPTIONS.values())
    for number in range(count * 15 // 100):
        damage = kinds[number % len(kinds)]
        images[number] = damage(images[number : number + 1])[0]
    drawn = doodles(count // 20, random)
    return np.concatenate([images, drawn]), [*labels[chosen].tolist(), *[DOODLE] * len(drawn)]


def review(images: Images, probabilities: Probabilities) -> list[bytes]:
    """The images that a reviewer of a new store with these answers is shown."""
    facts = {"request_id": "a", "caller": "a", "answered_at": 0.0, "version": "1"}
    with tempfile.TemporaryDirectory() as folder, closing(Store(f"sqlite:///{folder}/a")) as store:
        capture = Capture(store, Settings(), Metrics())
        with store.begin() as connection:
            doubts, places = find_doubts(images, probabilities, 0.78), range(len(images))
            capture._write(list(rows(facts, places, (images, probabilities), doubts)), connection)
            return [item["pixels"] for item in next_items(connection, "rita", SHOWN, 0.0)[1]]


if __name__ == "__main__":
    main()
