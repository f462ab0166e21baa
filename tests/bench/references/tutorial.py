"""What a tutorial on FastAPI and ONNX Runtime arrives at: pydantic in, pydantic out."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
_options = ort.SessionOptions()
_options.intra_op_num_threads = _options.inter_op_num_threads = 1
_session = ort.InferenceSession(os.environ["BENCH_MODEL"], _options, ["CPUExecutionProvider"])


class Images(BaseModel):
    images: list[list[list[float]]]


class Answer(BaseModel):
    digits: list[int]
    probabilities: list[list[float]]


@app.post("/predict")
async def predict(body: Images) -> Answer:
    images = np.array(body.images).astype(np.uint8)
    (probabilities,) = _session.run(["probabilities"], {"image": images})
    digits = probabilities.argmax(axis=1).tolist()
    return Answer(digits=digits, probabilities=probabilities.tolist())
