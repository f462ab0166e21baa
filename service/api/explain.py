"""``POST /explain``: the reasons of one answer, and ``:explain`` of ``/v1`` for each row."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from service.api.pipeline import Pipeline
from service.api.predict import read_images
from service.api.request import Reply
from service.api.routing import OwnRoute, needs
from service.api.schemas.bodies import EXPLAIN_BODY
from service.api.schemas.parameters import AgainstQuery, Timed, VersionQuery
from service.api.schemas.reasons import Explanation
from service.api.schemas.responses import BODY, problems
from service.errors import Invalid
from service.inference.batch import Result
from service.reasons.explain import EXPLAIN_COST, explanation

router = APIRouter(route_class=OwnRoute, tags=["digits"], dependencies=needs("predict"))


@router.post(
    "/explain",
    response_model=Explanation,
    responses=problems(400, 422, *BODY),
    openapi_extra={"requestBody": EXPLAIN_BODY},
)
async def explain(
    request: Timed, version: VersionQuery = None, against: AgainstQuery = None
) -> Reply:
    """Gives the reasons of one answer, found by asking the version about changed images.

    The body is one of `/predict` with one image.
    """
    other = against_digit(against)
    pipeline = Pipeline(request)
    images, _ = await read_images(request, pipeline, only_one=True)
    await pipeline.choose(version)
    result = await pipeline.infer(images)
    found = (await explanations(pipeline, result, other))[0]
    answer = {"model": "mnist", "version": pipeline.served.version, **found}
    reply = await pipeline.answer(1, Reply.json, answer)
    pipeline.follow_up(result)
    return reply


def against_digit(text: str | None) -> int | None:
    """The digit that ``?against`` names. Raises Invalid if it names none."""
    if text is not None and text not in tuple("0123456789"):
        raise Invalid(f"against={text[:40]!r} is no digit; 0 to 9 are")
    return None if text is None else int(text)


async def explanations(
    pipeline: Pipeline, result: Result, other: int | None
) -> list[dict[str, Any]]:
    """The reasons of each answer, one after the other. Raises as ``infer``."""
    training = await pipeline.core.training_images.get(pipeline.deadline)
    pairs = zip(result.images, result.probabilities, strict=True)
    questions = (explanation(*pair, other, training) for pair in pairs)
    return await pipeline.follow(questions, EXPLAIN_COST * result.rows)
