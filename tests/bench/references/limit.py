"""The limit: an ASGI application with no framework, no checks and no errors.

``/echo`` reads the body and answers a constant: what HTTP in Python costs. ``/ort`` also runs the
model, inline and on whatever bytes came: what the job costs with nothing around it.
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
    length = (b"content-length", b"%d" % len(answer))
    headers = [(b"content-type", b"application/json"), length]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
