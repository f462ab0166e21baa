"""The limit: an ASGI application with no framework, no checks and no errors.

``/echo`` reads the body and answers a constant: what HTTP in Python costs. ``/ort`` also runs the
model, inline and on whatever bytes came: what the job costs with nothing around it. ``/v2`` is the
same for a binary tensor, with what perf_analyzer asks before it begins.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import onnxruntime as ort

_options = ort.SessionOptions()
_options.intra_op_num_threads = _options.inter_op_num_threads = 1
_session = ort.InferenceSession(os.environ["BENCH_MODEL"], _options, ["CPUExecutionProvider"])
_NAMED = {
    "name": "mnist",
    "versions": ["1"],
    "platform": "onnx_onnxv1",
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
}
_CONFIG = {
    "name": "mnist",
    "platform": "onnx_onnxv1",
    "max_batch_size": 64,
    "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": [28, 28]}],
    "output": [{"name": "probabilities", "data_type": "TYPE_FP32", "dims": [10]}],
}
_TOLD = {
    "/v2": {"name": "limit", "version": "1", "extensions": ["binary_tensor_data"]},
    "/v2/models/mnist": _NAMED,
    "/v2/models/mnist/config": _CONFIG,
}
_CONSTANT = json.dumps({"digit": 7, "probabilities": [0.0123456789] * 10}).encode()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = _CONSTANT
    if scope["path"] == "/ort":
        images = np.frombuffer(body, np.uint8).reshape(-1, 28, 28)
        (probabilities,) = _session.run(["probabilities"], {"image": images})
        digits = probabilities.argmax(axis=1).tolist()
        content = {"digit": digits, "probabilities": probabilities.tolist()}
        answer = json.dumps(content).encode()
    elif scope["path"] == "/v2/models/mnist/infer":
        head_bytes = int(dict(scope["headers"])[b"inference-header-content-length"])
        images = np.frombuffer(body, np.uint8, offset=head_bytes).reshape(-1, 28, 28)
        (probabilities,) = _session.run(["probabilities"], {"image": images})
        tensor = {"name": "probabilities", "datatype": "FP32", "shape": probabilities.shape}
        outputs = [{**tensor, "data": probabilities.ravel().tolist()}]
        answer = json.dumps({"model_name": "mnist", "outputs": outputs}).encode()
    elif scope["path"].startswith("/v2"):
        answer = json.dumps(_TOLD.get(scope["path"], {})).encode()
    length = (b"content-length", b"%d" % len(answer))
    headers = [(b"content-type", b"application/json"), length]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
