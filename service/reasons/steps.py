"""Questions that ask a model in several steps, without knowing how it is run."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from service.types import Images, Probabilities

T = TypeVar("T")
Steps: TypeAlias = Generator[Images, Probabilities, T]
"""Yields images (n, 28, 28), is sent their probabilities (n, 10), and returns its result."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The result of a question that needs no further step."""

    value: T


def advance(steps: Steps[T], answer: Probabilities | None) -> Images | Done[T]:
    """Takes one step with the last ``answer``: returns the images to ask about, or the result."""
    try:
        return next(steps) if answer is None else steps.send(answer)
    except StopIteration as end:
        return Done(end.value)


def together(questions: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Takes the steps of all questions side by side; their images are asked about at once."""
    states = [advance(question, None) for question in questions]
    while asked := [at for at, state in enumerate(states) if not isinstance(state, Done)]:
        images = [state for state in states if not isinstance(state, Done)]
        answers = yield np.concatenate(images)
        ends = np.cumsum([len(each) for each in images])[:-1]
        for at, answer in zip(asked, np.split(answers, ends), strict=True):
            states[at] = advance(questions[at], answer)
    return [state.value for state in states if isinstance(state, Done)]


def finish(steps: Steps[T], ask: Callable[[Images], Probabilities]) -> T:
    """Takes all steps with ``ask`` as the model, and returns the result."""
    step = advance(steps, None)
    while not isinstance(step, Done):
        step = advance(steps, ask(step))
    return step.value
