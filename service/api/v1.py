"""``/v1``: TensorFlow Serving's predict and classify, and the names, status and metadata of models.

Bodies are JSON with any Content-Type, since clients send any. Sources: ``g3doc/api_rest.md`` and
``apis/get_model_{status,metadata}.proto`` of tensorflow/serving.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from service.answer.predictions import of_rows
from service.api.pipeline import Pipeline
from service.api.predict import explanations
from service.api.request import Reply, Request
from service.api.routing import at_each, endpoints
from service.api.schemas.bodies import V1_CLASSIFY, V1_PREDICT
from service.api.schemas.parameters import AgainstQuery, Current, Timed
from service.background.large_work import SMALL_JSON_BYTES
from service.decode.v1 import SIGNATURE, from_classify, from_predict
from service.errors import Invalid, MethodNotAllowed, NotFound
from service.inference.batch import Result
from service.models.repository import NAME
from service.reasons.explain import check_explained
from service.types import INPUT, OUTPUT, Images

CHAMPION = "champion"
_MODEL = "/v1/models/{model}"
_PATHS = (_MODEL, _MODEL + "/versions/{version}", _MODEL + "/labels/{label}")
"""The champion, a version by its number, and a version by its label."""
router = endpoints("v1", "predict")
get, post = (partial(at_each, router, _PATHS, methods=[verb]) for verb in ("GET", "POST"))


@post(":predict", openapi_extra=V1_PREDICT)
async def v1_predict(request: Timed, model: str, version: str = "", label: str = "") -> Reply:
    """Classifies images in row form (`instances`) or in column form (`inputs`)."""
    return await _answer(request, asked_version(request, model, version, label), from_predict)


@post(":classify", openapi_extra=V1_CLASSIFY)
async def v1_classify(request: Timed, model: str, version: str = "", label: str = "") -> Reply:
    """For each example the labels "0" to "9" with their probabilities."""
    return await _answer(request, asked_version(request, model, version, label), from_classify)


@post(":explain", openapi_extra=V1_PREDICT)
async def v1_explain(
    request: Timed, model: str, version: str = "", label: str = "", against: AgainstQuery = None
) -> Reply:
    """Adds to the answer of `:predict` the reasons of each row, as `/explain` gives them."""
    explain = partial(explanations, other=against)
    asked = asked_version(request, model, version, label)
    return await _answer(request, asked, from_predict, explain)


@post(":{verb}")
async def v1_other(
    request: Current, model: str, verb: str, version: str = "", label: str = ""
) -> Reply:
    """Rejects a method that the model has no signature for, such as the protocol's `regress`."""
    asked_version(request, model, version, label)
    raise Invalid(f"the model has no {verb[:40]!r}; it has 'predict', 'classify' and 'explain'")


@router.get("/v1/models")
async def v1_names(request: Current) -> Reply:
    """The names of the models."""
    return Reply.json({"models": [NAME]})


@get("/metadata")
async def v1_metadata(request: Current, model: str, version: str = "", label: str = "") -> Reply:
    """The model's one signature, as the JSON of TensorFlow's SignatureDef."""
    asked = asked_version(request, model, version, label)
    versions = request.core.versions
    if asked is not None:
        await versions.state(asked)
    signature = {
        "inputs": {INPUT: _tensor(INPUT, "DT_UINT8", -1, 28, 28)},
        "outputs": {OUTPUT: _tensor(OUTPUT, "DT_FLOAT", -1, 10)},
        "method_name": "tensorflow/serving/predict",
    }
    number = asked or versions.champion.version
    return Reply.json(
        {
            "model_spec": {"name": NAME, "signature_name": "", "version": number},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }
    )


@get()
async def v1_status(request: Current, model: str, version: str = "", label: str = "") -> Reply:
    """The state of each version, the champion's first: `AVAILABLE` if it is loaded."""
    if ":" in request.path:  # a GET of `...:predict` matches as a name, which never has a colon
        raise MethodNotAllowed("GET is not allowed here; POST is", headers=((b"allow", b"POST"),))
    asked = asked_version(request, model, version, label)
    versions = request.core.versions
    if asked is not None:
        states = [await versions.state(asked)]
    else:
        states = (await versions.listing())["versions"]
        states.sort(key=lambda s: (s["state"] == "serving", int(s["version"])), reverse=True)
    answer: dict[str, Any] = {"model_version_status": [_status(state) for state in states]}
    if not version and not label:  # KServe asks for the model so
        answer |= {"name": NAME, "ready": versions.why_not_ready() is None}
    return Reply.json(answer)


def asked_version(request: Request, model: str, version: str, label: str) -> str | None:
    """The version in the path, None for the champion; NotFound for another model or label."""
    if model != NAME:  # in the words of TensorFlow Serving
        asked = f"Specific({model[:40]}, {version})" if version else f"Latest({model[:40]})"
        is_status = request.method == "GET" and not request.path.endswith("/metadata")
        status = f"Could not find any versions of model {model[:40]}"
        raise NotFound(status if is_status else f"Servable not found for request: {asked}")
    if label not in ("", CHAMPION):
        raise NotFound(f"there is no label {label[:40]!r}; there is {CHAMPION!r}")
    return request.core.versions.champion.version if label else version or None


async def _answer(
    request: Request,
    version: str | None,
    read: Callable[..., tuple[Images, str]],
    explain: Callable[[Pipeline, Result], Awaitable[list[dict[str, Any]]]] | None = None,
) -> Reply:
    core, pipeline = request.core, Pipeline(request)
    body = await request.content(core.settings.max_body_bytes)
    small = len(body) <= SMALL_JSON_BYTES and b'"b64"' not in body  # that may be a picture
    images, field = await pipeline.decode(small, read, body, core.limits)
    if explain is not None:
        check_explained(len(images))
    await pipeline.choose(version)
    result = await pipeline.infer(images)
    build: Callable[..., bytes] = of_rows
    if explain is not None:
        build = partial(build, explanations=await explain(pipeline, result))
    answer = await pipeline.answer(result.rows, build, result.probabilities, field)
    pipeline.follow_up(result)
    # The protocol's answer has no place for the version.
    return Reply(answer, headers=((b"x-model-version", pipeline.served.version.encode()),))


def _status(state: dict[str, Any]) -> dict[str, Any]:
    failed = state["state"] == "failed"
    return {
        "version": state["version"],
        "state": "END" if failed else "AVAILABLE",
        "status": {
            "error_code": "FAILED_PRECONDITION" if failed else "OK",
            "error_message": state["reason"] if failed else "",
        },
    }


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    dim = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dim, "unknown_rank": False}, "name": name}
