"""TensorFlow Serving's gRPC: Predict, Classify, GetModelMetadata and GetModelStatus.

Sources: ``tensorflow_serving/apis/*.proto`` of tensorflow/serving, and ``tensor.proto`` and
``example.proto`` of tensorflow/tensorflow. Status and metadata are those of ``/v1``.
"""

from typing import Any

import numpy as np
import orjson
from google.protobuf.json_format import ParseDict
from numpy.typing import NDArray

from service.answer.predictions import LABELS
from service.api import v1
from service.api.pipeline import Pipeline
from service.api.request import Request
from service.background.large_work import SMALL_BYTES
from service.decode.arrays import images_from_array
from service.decode.v1 import SIGNATURE
from service.decode.validation import refuse
from service.inference.batch import Result
from service.models.repository import NAME
from service.rpc import MODELS, PREDICTION
from service.rpc.calls import Call
from service.rpc.messages import message
from service.types import INPUT, OUTPUT, PIXELS, Images, Limits

_DTYPES: dict[int, tuple[str, str]] = {
    1: ("<f4", "float_val"),
    2: ("<f8", "double_val"),
    3: ("<i4", "int_val"),
    4: ("u1", "int_val"),
    9: ("<i8", "int64_val"),
}
"""NumPy's type of a tensor's bytes, and the field that may have its numbers instead, by dtype."""


async def _predict(request: Request, body: bytes) -> bytes:
    asked = _kind("PredictRequest").FromString(body)
    result, spec = await _infer(request, asked, _from_predict, len(body))
    output = {"dtype": 1, "tensor_shape": {"dim": [{"size": result.rows}, {"size": 10}]}}
    output["tensor_content"] = result.probabilities.astype("<f4").tobytes()
    answer = _kind("PredictResponse")(outputs={OUTPUT: output}, model_spec=spec)
    return bytes(answer.SerializeToString())


async def _classify(request: Request, body: bytes) -> bytes:
    asked = _kind("ClassificationRequest").FromString(body)
    result, spec = await _infer(request, asked, _from_classify, len(body))
    rows = [
        {"classes": [{"label": n, "score": p} for n, p in zip(LABELS, row, strict=True)]}
        for row in result.probabilities.tolist()
    ]
    answer = _kind("ClassificationResponse")(result={"classifications": rows}, model_spec=spec)
    return bytes(answer.SerializeToString())


async def _metadata(request: Request, body: bytes) -> bytes:
    spec = _kind("GetModelMetadataRequest").FromString(body).model_spec
    found = orjson.loads((await v1.v1_metadata(request, spec.name, *_version(spec))).body)
    signatures = ParseDict(found["metadata"]["signature_def"], _kind("SignatureDefMap")())
    answer = _kind("GetModelMetadataResponse")()
    ParseDict(found["model_spec"], answer.model_spec)
    answer.metadata["signature_def"].Pack(signatures)
    return bytes(answer.SerializeToString())


async def _status(request: Request, body: bytes) -> bytes:
    spec = _kind("GetModelStatusRequest").FromString(body).model_spec
    request.method = "GET"  # the words of an unknown model are those of the status
    found = orjson.loads((await v1.v1_status(request, spec.name, *_version(spec))).body)
    for each in found["model_version_status"]:
        each["status"]["error_code"] = 0 if each["status"]["error_code"] == "OK" else 9
    answer = ParseDict(found, _kind("GetModelStatusResponse")(), ignore_unknown_fields=True)
    return bytes(answer.SerializeToString())


async def _infer(
    request: Request, asked: Any, read: Any, size: int
) -> tuple[Result, dict[str, Any]]:
    pipeline, spec = Pipeline(request), asked.model_spec
    version = v1.asked_version(request, spec.name, *_version(spec))
    if spec.signature_name not in (SIGNATURE, ""):
        there_is = f'there is no {spec.signature_name[:40]!r}; the model has "{SIGNATURE}"'
        raise refuse("signature_name", there_is)
    images = await pipeline.decode(size <= SMALL_BYTES, read, asked, request.core.limits)
    await pipeline.choose(version)
    result = await pipeline.infer(images)
    await pipeline.answer(result.rows, lambda: None)
    pipeline.follow_up(result)
    number = {"value": int(pipeline.served.version)}
    return result, {"name": NAME, "signature_name": SIGNATURE, "version": number}


def _kind(name: str) -> Any:
    return message(f"tensorflow.serving.{name}")


def _version(spec: Any) -> tuple[str, str]:
    return str(spec.version.value) if spec.HasField("version") else "", spec.version_label


def _from_predict(asked: Any, limits: Limits) -> Images:
    if set(asked.inputs) != {INPUT}:
        raise refuse("inputs", f'one tensor, "{INPUT}", is expected')
    return images_from_array(_array(asked.inputs[INPUT]), INPUT, limits)


def _array(tensor: Any) -> NDArray[Any]:
    if tensor.dtype not in _DTYPES:
        raise refuse(INPUT, f"dtype {tensor.dtype} is not supported; the model has DT_UINT8")
    kind, field = _DTYPES[tensor.dtype]
    content, shape = tensor.tensor_content, [each.size for each in tensor.tensor_shape.dim]
    try:
        numbers = np.frombuffer(content, kind) if content else np.array(getattr(tensor, field))
        return numbers.reshape(shape)
    except ValueError:
        raise refuse(INPUT, f"the content does not make the shape {shape}") from None


def _from_classify(asked: Any, limits: Limits) -> Images:
    kind = asked.input.WhichOneof("kind")
    examples = getattr(asked.input, kind).examples if kind else ()
    if not examples:
        raise refuse("input", "a list of examples is expected")
    try:
        rows = np.array([_values(each.features.feature[INPUT]) for each in examples])
    except ValueError:
        expected = f'each has the feature "{INPUT}", {PIXELS} numbers or bytes'
        raise refuse("examples", expected) from None
    return images_from_array(rows, "examples", limits)


def _values(feature: Any) -> NDArray[Any]:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    return np.frombuffer(b"".join(values), "u1") if kind == "bytes_list" else np.array(values)


METHODS: dict[str, Call] = {
    f"/{PREDICTION}/Predict": _predict,
    f"/{PREDICTION}/Classify": _classify,
    f"/{PREDICTION}/GetModelMetadata": _metadata,
    f"/{MODELS}/GetModelStatus": _status,
}
"""The calls by their paths."""
