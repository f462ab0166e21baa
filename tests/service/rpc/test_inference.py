"""The Open Inference Protocol over gRPC, asked by NVIDIA's client and by bare messages."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import aio
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from tests.digits import Images, images
from tests.server import Server, probabilities, wait_until
from tests.service.conftest import SLOW

INFER = "/inference.GRPCInferenceService/ModelInfer"
Client = Any
"""NVIDIA's client, which has no types."""


def tensor(array: Images) -> list[triton.InferInput]:
    sent = triton.InferInput("image", list(array.shape), "UINT8")
    sent.set_data_from_numpy(array)
    return [sent]


def message(array: Images, *, version: str = "2", **fields: Any) -> pb.ModelInferRequest:
    """A request with raw contents."""
    sent = pb.ModelInferRequest(model_name="mnist", model_version=version, **fields)
    sent.inputs.add(name="image", datatype="UINT8", shape=array.shape)
    sent.raw_input_contents.append(array.tobytes())
    return sent


def infer(channel: grpc.Channel, sent: bytes | pb.ModelInferRequest, **options: Any) -> Any:
    body = sent if isinstance(sent, bytes) else sent.SerializeToString()
    answer = channel.unary_unary(INFER)(body, timeout=30, **options)
    return pb.ModelInferResponse.FromString(answer)


def refusal(ask: Callable[[], object]) -> tuple[grpc.StatusCode, str, grpc.RpcError]:
    with pytest.raises(grpc.RpcError) as caught:
        ask()
    return caught.value.code(), caught.value.details(), caught.value


def numbers(answer: Any) -> Any:
    return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(-1, 10)


@pytest.mark.parametrize("count", [1, 2, 9, 100])
def test_the_bits_are_those_of_http(rpc: Server, client: Client, count: int) -> None:
    array = images(count, seed=count)
    for _ in range(2):  # the second one is read by the plan of the first
        answer = client.infer("mnist", tensor(array), "2", request_id="mine")
        assert np.array_equal(answer.as_numpy("probabilities"), probabilities(rpc, array))
        assert answer.get_response().id == "mine"
        assert answer.get_response().model_version == "2"


def test_one_plan_serves_no_other_message(rpc: Server, channel: grpc.Channel) -> None:
    """Messages that begin alike, in turn: each is answered as its own bytes say."""
    first, second = images(1, seed=1), images(1, seed=2)
    for array, version, name in ((first, "1", "a"), (first, "2", "a"), (second, "2", "b")) * 2:
        answer = infer(channel, message(array, version=version, id=name))
        assert np.array_equal(numbers(answer), probabilities(rpc, array, version))
        assert (answer.id, answer.model_version) == (name, version)


def test_pixels_that_look_like_a_message_are_pixels(rpc: Server, channel: grpc.Channel) -> None:
    """The end of a message may not be its pixels: other fields may follow them."""
    array = images(2, seed=3)
    whole = message(array)
    late = pb.ModelInferRequest(id="x" * 784).SerializeToString()
    for _ in range(2):
        assert infer(channel, whole).id == ""
        answer = infer(channel, whole.SerializeToString() + late)
        assert answer.id == "x" * 784
        assert np.array_equal(numbers(answer), probabilities(rpc, array))


@pytest.mark.parametrize("field", ["uint_contents", "fp32_contents", "int64_contents"])
def test_contents_are_read(rpc: Server, channel: grpc.Channel, field: str) -> None:
    array = images(3, seed=4)
    sent = message(array)
    del sent.raw_input_contents[:]
    getattr(sent.inputs[0].contents, field).extend(array.reshape(-1).tolist())
    assert np.array_equal(numbers(infer(channel, sent)), probabilities(rpc, array))


def test_the_likeliest_digits_are_named(client: Client) -> None:
    array = images(2, seed=5)
    wanted = [triton.InferRequestedOutput("probabilities", class_count=3)]
    all_numbers = client.infer("mnist", tensor(array), "2").as_numpy("probabilities")
    named = client.infer("mnist", tensor(array), "2", outputs=wanted).as_numpy("probabilities")
    assert named.shape == (2, 3)
    for row, found in zip(all_numbers, named, strict=True):
        value, digit, label = found[0].decode().split(":")
        assert (int(digit), label) == (row.argmax(), digit)
        assert np.float32(value) == row.max()


WRONG: list[tuple[str, Callable[[pb.ModelInferRequest], object], grpc.StatusCode, str]] = [
    ("model", lambda m: setattr(m, "model_name", "x"), grpc.StatusCode.NOT_FOUND, "'x'"),
    ("version", lambda m: setattr(m, "model_version", "99"), grpc.StatusCode.NOT_FOUND, "'99'"),
    (
        "datatype",
        lambda m: setattr(m.inputs[0], "datatype", "FP32"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "FP32",
    ),
    (
        "shape",
        lambda m: m.inputs[0].shape.append(1),
        grpc.StatusCode.INVALID_ARGUMENT,
        "[1,28,28,1]",
    ),
    (
        "bytes",
        lambda m: m.raw_input_contents.__setitem__(0, b"abc"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "784",
    ),
    (
        "second raw",
        lambda m: m.raw_input_contents.append(b""),
        grpc.StatusCode.INVALID_ARGUMENT,
        "raw_input_contents",
    ),
    (
        "output",
        lambda m: m.outputs.add(name="scores"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "probabilities",
    ),
    (
        "scaled",
        lambda m: m.raw_input_contents.__setitem__(0, b"\1" * 784),
        grpc.StatusCode.INVALID_ARGUMENT,
        "0..1",
    ),
    (
        "timeout",
        lambda m: m.parameters["timeout"].__setattr__("int64_param", -1),
        grpc.StatusCode.INVALID_ARGUMENT,
        "timeout",
    ),
    (
        "shared memory",
        lambda m: m.inputs[0].parameters["shared_memory_region"].__setattr__("string_param", "a"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "shared memory",
    ),
]


@pytest.mark.parametrize(("name", "spoil", "code", "word"), WRONG, ids=[w[0] for w in WRONG])
def test_a_wrong_message_is_refused_by_name(
    channel: grpc.Channel, name: str, spoil: Callable[[Any], object], code: Any, word: str
) -> None:
    sent = message(images(1))
    spoil(sent)
    got, details, error = refusal(lambda: infer(channel, sent))
    assert got == code
    assert word in details
    assert "x-request-id" in dict(error.trailing_metadata())


def test_fractions_are_refused(channel: grpc.Channel) -> None:
    sent = message(images(1))
    del sent.raw_input_contents[:]
    sent.inputs[0].contents.fp32_contents.extend([7.5] * 784)
    code, details, _ = refusal(lambda: infer(channel, sent))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "fp32_contents[0] is 7.5" in details


def test_bytes_that_are_no_message_are_refused(channel: grpc.Channel) -> None:
    code, details, _ = refusal(lambda: infer(channel, b"\xff\xff\xff"))
    assert (code, details) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "the bytes are no message of this method",
    )


def test_a_message_above_the_bound_of_bodies_is_refused(channel: grpc.Channel) -> None:
    code, _, _ = refusal(lambda: infer(channel, message(images(300))))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_gzip_is_read_and_bounded_after_inflation(rpc: Server, channel: grpc.Channel) -> None:
    array = images(4, seed=6)
    answer = infer(channel, message(array), compression=grpc.Compression.Gzip)
    assert np.array_equal(numbers(answer), probabilities(rpc, array))
    bomb = message(np.zeros((20_000, 28, 28), np.uint8))
    code, _, _ = refusal(lambda: infer(channel, bomb, compression=grpc.Compression.Gzip))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_deadline_that_passes_is_told(client: Client) -> None:
    with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED"):
        client.infer("mnist", tensor(images(150)), "4", timeout=1)


def test_the_server_and_its_model_describe_themselves(client: Client) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mnist")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready("mnist", "99")
    assert "statistics" in client.get_server_metadata().extensions
    assert list(client.get_model_metadata("mnist").inputs[0].shape) == [-1, 28, 28]
    assert client.get_model_config("mnist").config.dynamic_batching.preserve_ordering
    before = client.get_inference_statistics("mnist", "2").model_stats[0].inference_count
    client.infer("mnist", tensor(images(3)), "2")
    after = client.get_inference_statistics("mnist", "2").model_stats[0].inference_count
    assert after == before + 3


def test_the_repository_is_listed_loaded_and_unloaded(client: Client) -> None:
    client.load_model("mnist")
    states = {each.version: each.state for each in client.get_model_repository_index().models}
    assert states["1"] == "READY"
    with pytest.raises(InferenceServerException, match="champion"):
        client.unload_model("mnist")
    with pytest.raises(InferenceServerException, match="overwrite"):
        client.load_model("mnist", config="{}")


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        (lambda client: client.get_trace_settings(), "trace"),
        (lambda client: client.update_log_settings({}), "MNIST_LOG_LEVEL"),
        (lambda client: client.get_system_shared_memory_status(), "shared memory"),
        (lambda client: client.unregister_cuda_shared_memory(), "shared memory"),
    ],
)
def test_what_is_not_there_is_refused_with_a_sentence(
    client: Client, ask: Callable[[Client], object], word: str
) -> None:
    with pytest.raises(InferenceServerException, match=word) as caught:
        ask(client)
    assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_a_stream_keeps_its_order_and_outlives_an_error(rpc: Server, client: Client) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    arrays = [images(1 if n % 7 else 150, seed=n) for n in range(100)]
    for number, array in enumerate(arrays):
        name = "mnist" if number % 10 else "other"
        client.async_stream_infer(name, tensor(array), "2", request_id=str(number))
    got = [answers.get(timeout=30) for _ in arrays]
    client.stop_stream()
    for number, (result, error) in enumerate(got):
        if number % 10:
            assert result.get_response().id == str(number)
        else:
            assert "other" in str(error)
    assert np.array_equal(got[1][0].as_numpy("probabilities"), probabilities(rpc, arrays[1]))


def test_each_call_is_counted_and_logged_by_its_method(rpc: Server, channel: grpc.Channel) -> None:
    before = rpc.metric("mnist_requests_total", endpoint=INFER, status="200")
    infer(channel, message(images(1)), metadata=(("x-request-id", "call-7"),))
    assert rpc.metric("mnist_requests_total", endpoint=INFER, status="200") == before + 1
    wait_until(lambda: "call-7" in rpc.stderr().rpartition("\n")[0])
    (line,) = (each for each in rpc.access() if each["request_id"] == "call-7")
    assert (line["path"], line["status"]) == (INFER, 200)


def test_a_cancelled_call_leaves_the_queue(rpc: Server, channel: grpc.Channel) -> None:
    body, call = message(images(150), version=SLOW).SerializeToString(), channel.unary_unary(INFER)
    executed = rpc.metric("mnist_batch_size_sum")
    calls = [call.future(body, timeout=60) for _ in range(30)]
    wait_until(lambda: rpc.metric("mnist_queue_rows") >= 2000, 30)
    for each in calls:
        each.cancel()
    wait_until(lambda: rpc.metric("mnist_queue_rows") == 0, 30)
    assert rpc.metric("mnist_batch_size_sum") - executed < 150 * len(calls)


def test_the_asyncio_client_runs(rpc: Server, rpc_port: int) -> None:
    array = images(2, seed=8)

    async def ask() -> Any:
        async with aio.InferenceServerClient(f"127.0.0.1:{rpc_port}") as client:
            assert await client.is_model_ready("mnist")
            return await client.infer("mnist", tensor(array), "2")

    answer = asyncio.run(ask()).as_numpy("probabilities")
    assert np.array_equal(answer, probabilities(rpc, array))
