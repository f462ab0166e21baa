"""Questions that ask a model in several steps, without knowing how it is run."""

from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from service.types import Images, Probabilities

T = TypeVar("T")
Steps: TypeAlias = Generator[Images, Probabilities, T]
"""Yields images (n, 28, 28), is sent their probabilities (n, 10), and returns its result."""


def advance(steps: Steps[T], answer: Probabilities | None) -> tuple[Images | None, list[T]]:
    """Takes one step with the last ``answer``: the images to ask about, or None and the result."""
    try:
        return next(steps) if answer is None else steps.send(answer), []
    except StopIteration as end:
        return None, [end.value]


def together(questions: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Takes the steps of all questions side by side; their images are asked about at once."""
    states = [advance(question, None) for question in questions]
    while asked := {at: images for at, (images, _) in enumerate(states) if images is not None}:
        answers = yield np.concatenate(list(asked.values()))
        ends = np.cumsum([len(images) for images in asked.values()])[:-1]
        for at, answer in zip(asked, np.split(answers, ends), strict=True):
            states[at] = advance(questions[at], answer)
    return [result for _, (result,) in states]


def finish(steps: Steps[T], ask: Callable[[Images], Probabilities]) -> T:
    """Takes all steps with ``ask`` as the model, and returns the result."""
    images, result = advance(steps, None)
    while images is not None:
        images, result = advance(steps, ask(images))
    return result[0]
