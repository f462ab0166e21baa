"""TensorFlow Serving's own gRPC client, unmodified, from a folder that holds it alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import free_port, serving
from tests.tiny import tiny_repository

SCRIPT = """
import sys
import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
models = model_service_pb2_grpc.ModelServiceStub(channel)
images = np.random.default_rng(0).integers(2, 256, (3, 28, 28), np.uint8)

def predict(array, version=None, model="mnist"):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = model
    if version is not None:
        asked.model_spec.version.value = version
    asked.inputs["image"].CopyFrom(tf.make_tensor_proto(array))
    answer = prediction.Predict(asked, 30)
    return tf.make_ndarray(answer.outputs["probabilities"]), answer.model_spec.version.value

first, version = predict(images)
assert first.shape == (3, 10) and first.dtype == np.float32 and version == 1
assert np.array_equal(predict(images[..., None].astype(np.float32))[0], first)
other, version = predict(images, 2)
assert version == 2 and not np.array_equal(other, first)

asked = classification_pb2.ClassificationRequest()
asked.model_spec.name = "mnist"
example = asked.input.example_list.examples.add()
example.features.feature["image"].int64_list.value.extend(images[0].ravel().tolist())
(found,) = prediction.Classify(asked, 30).result.classifications
assert [each.label for each in found.classes] == list("0123456789")
assert np.array_equal(np.float32([each.score for each in found.classes]), first[0])

asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
asked.model_spec.name = "mnist"
signatures = get_model_metadata_pb2.SignatureDefMap()
assert prediction.GetModelMetadata(asked, 30).metadata["signature_def"].Unpack(signatures)
tensor = signatures.signature_def["serving_default"].inputs["image"]
assert tensor.dtype == tf.uint8.as_datatype_enum

asked = get_model_status_pb2.GetModelStatusRequest()
asked.model_spec.name = "mnist"
states = models.GetModelStatus(asked, 30).model_version_status
available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
assert [(each.version, each.state) for each in states] == [(1, available), (2, available)]

for array, model, code in (
    (images, "x", grpc.StatusCode.NOT_FOUND),
    (images / 255, "mnist", grpc.StatusCode.INVALID_ARGUMENT),
    (images[:, :20], "mnist", grpc.StatusCode.INVALID_ARGUMENT),
):
    try:
        predict(array, model=model)
    except grpc.RpcError as error:
        assert error.code() == code, error
    else:
        raise AssertionError(model)
print("all answered")
"""


@pytest.mark.campaign
def test_tensorflow_servings_client_runs_unmodified(tmp_path: Path) -> None:
    """Its package is taken without what it depends on, which the environment of the tests has."""
    folder, port = tmp_path / "client", free_port()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    package = "tensorflow-serving-api>=2.18,<3"
    done = subprocess.run(
        [*install, str(folder), package], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{package} cannot be installed here: {done.stderr[-500:]}"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    models = tiny_repository(tmp_path / "models", versions=(1, 2), champion=1)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    with serving(models, tmp_path / "log", "--grpc-port", str(port)):
        ended = subprocess.run(
            [sys.executable, str(script), f"127.0.0.1:{port}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
    assert ended.stdout.strip() == "all answered", ended.stderr[-2000:]
