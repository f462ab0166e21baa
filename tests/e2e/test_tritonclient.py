"""NVIDIA's unmodified Python client works with its defaults and with its options."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.server import Server, probabilities
from tests.service.decode.samples import digits

IMAGES = digits()[:4]
ENCODINGS = (None, "gzip", "deflate")


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with triton.InferenceServerClient(f"{server.host}:{server.port}", concurrency=4) as client:
        yield client


def image(images: Any = IMAGES, binary_data: bool = True) -> Any:
    tensor = triton.InferInput("image", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary_data)
    return tensor


def test_the_defaults_work(server: Server, client: Any) -> None:
    result = client.infer("mnist", [image()], request_id="a-1")
    assert np.array_equal(result.as_numpy("probabilities"), probabilities(server, IMAGES))
    assert result.get_response()["id"] == "a-1"
    assert result.get_response()["model_version"] == "2"


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mnist")
    assert client.is_model_ready("mnist", "2")
    assert not client.is_model_ready("mnist", "9")
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("mnist", "2")["inputs"][0]["shape"] == [-1, 28, 28]
    assert client.get_model_config("mnist")["max_batch_size"] == 4096


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("compression", ENCODINGS)
def test_every_form_and_compression(
    server: Server, client: Any, binary_in: bool, binary_out: bool, compression: str | None
) -> None:
    many = np.concatenate([IMAGES] * 25)
    result = client.infer(
        "mnist",
        [image(many, binary_in)],
        outputs=[triton.InferRequestedOutput("probabilities", binary_data=binary_out)],
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    last = result.as_numpy("probabilities")[-4:]
    assert np.allclose(last, probabilities(server, IMAGES), atol=1e-6)


def test_another_version(server: Server, client: Any) -> None:
    result = client.infer("mnist", [image()], model_version="1")
    assert np.array_equal(result.as_numpy("probabilities"), probabilities(server, IMAGES, "1"))
    assert not np.array_equal(result.as_numpy("probabilities"), probabilities(server, IMAGES))


@pytest.mark.parametrize("binary_data", [False, True])
def test_classification(server: Server, client: Any, binary_data: bool) -> None:
    output = triton.InferRequestedOutput("probabilities", binary_data=binary_data, class_count=3)
    found = client.infer("mnist", [image()], outputs=[output]).as_numpy("probabilities")
    assert found.shape == (4, 3)
    for best, row in zip(found, probabilities(server, IMAGES), strict=True):
        texts = [text.decode() if isinstance(text, bytes) else text for text in best]
        values, digits_found, labels = zip(*(text.split(":") for text in texts), strict=True)
        assert [int(digit) for digit in digits_found] == np.argsort(-row)[:3].tolist()
        assert digits_found == labels
        assert np.array_equal(np.array(values, np.float32), np.sort(row)[::-1][:3])


def test_many_requests_at_once(server: Server, client: Any) -> None:
    waiting = [client.async_infer("mnist", [image(IMAGES[i % 4 :][:1])]) for i in range(32)]
    wanted = probabilities(server, IMAGES)
    for i, request in enumerate(waiting):
        found = request.get_result().as_numpy("probabilities")
        assert np.allclose(found[0], wanted[i % 4], atol=1e-6)


def test_the_asyncio_client(server: Server) -> None:
    import tritonclient.http.aio as triton_aio

    async def infer_all() -> list[Any]:
        async with triton_aio.InferenceServerClient(f"{server.host}:{server.port}") as client:
            assert await client.is_server_ready()
            ways = [(binary, encoding) for binary in (False, True) for encoding in ENCODINGS]
            asked = (
                client.infer(
                    "mnist",
                    [image(binary_data=binary)],
                    request_id=f"{binary} {encoding}",
                    request_compression_algorithm=encoding,
                    response_compression_algorithm="gzip",
                )
                for binary, encoding in ways
            )
            results = await asyncio.gather(*asked)
            ids = [result.get_response()["id"] for result in results]
            assert ids == [f"{binary} {encoding}" for binary, encoding in ways]
            return [result.as_numpy("probabilities") for result in results]

    for found in asyncio.run(infer_all()):
        assert np.allclose(found, probabilities(server, IMAGES), atol=1e-6)


def test_options_without_effect_are_ignored(server: Server, client: Any) -> None:
    result = client.infer(
        "mnist",
        [image()],
        priority=2,
        sequence_id=7,
        sequence_start=True,
        sequence_end=True,
        parameters={"mine": 1},
        query_params={"any": "thing"},
        headers={"X-Mine": "too"},
    )
    assert np.array_equal(result.as_numpy("probabilities"), probabilities(server, IMAGES))


def test_the_repository_and_the_statistics(client: Any) -> None:
    client.infer("mnist", [image()])
    index = client.get_model_repository_index()
    assert {"name": "mnist", "version": "2", "state": "READY", "reason": ""} in index
    client.load_model("mnist")
    with pytest.raises(InferenceServerException, match=r"\[400\].* is the champion"):
        client.unload_model("mnist")
    with pytest.raises(InferenceServerException, match=r"\[400\] config: would overwrite"):
        client.load_model("mnist", config="{}")
    for arguments in ((), ("mnist",), ("mnist", "2")):
        found = client.get_inference_statistics(*arguments)["model_stats"]
        assert any(entry["inference_count"] >= 4 for entry in found)


def test_the_client_raises_the_services_messages(client: Any) -> None:
    wrong = triton.InferInput("image", [1, 28, 28], "FP32")
    wrong.set_data_from_numpy(np.ones((1, 28, 28), np.float32))
    with pytest.raises(InferenceServerException, match=r'\[400\] image: datatype "FP32" is not'):
        client.infer("mnist", [wrong])
    with pytest.raises(InferenceServerException, match=r"\[404\] there is no version '9'"):
        client.get_model_metadata("mnist", "9")
    with pytest.raises(InferenceServerException, match=r"\[504\] the deadline passed"):
        client.infer("mnist", [image()], timeout=1)


@pytest.mark.parametrize(
    ("call", "arguments", "why"),
    [
        ("get_trace_settings", (), "trace settings are not supported"),
        ("update_trace_settings", ("mnist", {"trace_level": ["OFF"]}), "trace settings"),
        ("get_log_settings", (), "MNIST_LOG_LEVEL"),
        ("update_log_settings", ({"log_verbose_level": 1},), "MNIST_LOG_LEVEL"),
        ("get_system_shared_memory_status", (), "shared memory is not supported"),
        ("register_system_shared_memory", ("name", "/key", 784), "shared memory"),
        ("get_cuda_shared_memory_status", (), "shared memory is not supported"),
    ],
)
def test_extensions_that_are_not_listed_say_what_to_do_instead(
    client: Any, call: str, arguments: tuple[Any, ...], why: str
) -> None:
    with pytest.raises(InferenceServerException, match=rf"\[404\].*{why}"):
        getattr(client, call)(*arguments)


def test_shared_memory_is_refused_by_name(client: Any) -> None:
    there = triton.InferInput("image", [1, 28, 28], "UINT8")
    there.set_shared_memory("region", 784)
    output = triton.InferRequestedOutput("probabilities")
    output.set_shared_memory("region", 40)
    for inputs, outputs in (([there], None), ([image()], [output])):
        with pytest.raises(InferenceServerException, match="shared memory is not supported"):
            client.infer("mnist", inputs, outputs=outputs)
