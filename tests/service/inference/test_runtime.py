"""What loads, what does not and why, and what a run gives."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from service.inference.runtime import CUDA, Runtime, RuntimeLoadError
from tests.tiny import brittle_model_bytes, endless_model_bytes, tiny_model_bytes

HAS_CUDA = CUDA in onnxruntime.get_available_providers()


def _with_ends(
    image: tuple[str, int, list[str | int] | None],
    probabilities: tuple[str, int, list[str | int] | None],
    surplus: bool = False,
) -> bytes:
    """A model that gives zeros of the output's shape, with the ends described."""
    shape = [size if isinstance(size, int) else 1 for size in probabilities[2] or [1]]
    zeros = helper.make_node(
        "ConstantOfShape",
        ["shape"],
        [probabilities[0]],
        value=helper.make_tensor("v", probabilities[1], [1], [0]),
    )
    outputs = [helper.make_tensor_value_info(*probabilities)]
    nodes = [zeros]
    if surplus:
        nodes.append(helper.make_node("Identity", [probabilities[0]], ["more"]))
        outputs.append(helper.make_tensor_value_info("more", *probabilities[1:]))
    graph = helper.make_graph(
        nodes,
        "ends",
        [helper.make_tensor_value_info(*image)],
        outputs,
        [helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


UINT8, FLOAT = TensorProto.UINT8, TensorProto.FLOAT
IMAGE: tuple[str, int, list[str | int] | None] = ("image", UINT8, ["batch", 28, 28])
PROBABILITIES: tuple[str, int, list[str | int] | None] = ("probabilities", FLOAT, ["batch", 10])


def test_a_file_and_its_bytes_load_to_the_same_answers(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_model_bytes(3))
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    from_file, from_bytes = Runtime.load(path), Runtime.load(path.read_bytes())
    probabilities = from_file.run(images)
    assert probabilities.tobytes() == from_bytes.run(images).tobytes()
    assert probabilities.shape == (5, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_the_report_is_read_back_from_the_session() -> None:
    report = Runtime.load(tiny_model_bytes(), provider="cpu").report
    assert (report.requested, report.active, report.fallback) == ("cpu", "cpu", None)
    assert report.nodes.keys() == {"CPUExecutionProvider"}
    assert sum(report.nodes.values()) >= 1
    assert report.onnxruntime == onnxruntime.__version__


@pytest.mark.skipif(HAS_CUDA, reason="this onnxruntime has CUDA")
def test_without_cuda_auto_falls_back_and_says_why() -> None:
    report = Runtime.load(tiny_model_bytes(), provider="auto").report
    assert (report.requested, report.active) == ("auto", "cpu")
    assert report.fallback is not None
    assert "CUDA" in report.fallback


@pytest.mark.skipif(HAS_CUDA, reason="this onnxruntime has CUDA")
def test_without_cuda_asking_for_it_fails_in_one_line() -> None:
    with pytest.raises(RuntimeLoadError, match="provider cuda does not work here: ") as caught:
        Runtime.load(tiny_model_bytes(), provider="cuda")
    assert "\n" not in str(caught.value)


def test_the_story_in_the_file_is_read() -> None:
    model = onnx.load_from_string(tiny_model_bytes())
    helper.set_model_props(model, {"recipe": "tiny", "accuracy": "0.1"})
    runtime = Runtime.load(model.SerializeToString())
    assert runtime.metadata == {"recipe": "tiny", "accuracy": "0.1"}


@pytest.mark.parametrize(
    "content", [b"", b"not a model", tiny_model_bytes()[:-5], tiny_model_bytes()[:40], bytes(1000)]
)
def test_what_is_no_model_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(RuntimeLoadError) as caught:
        Runtime.load(content)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RuntimeLoadError, match=r"nowhere\.onnx"):
        Runtime.load(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (_with_ends(("x", UINT8, ["batch", 28, 28]), PROBABILITIES), "input is x tensor"),
        (_with_ends(("image", FLOAT, ["batch", 28, 28]), PROBABILITIES), r"tensor\(float\)"),
        (_with_ends(("image", UINT8, [1, 28, 28]), PROBABILITIES), r"\[1, 28, 28\]"),
        (_with_ends(("image", UINT8, ["batch", 784]), PROBABILITIES), "784"),
        (_with_ends(("image", UINT8, ["batch", "h", "w"]), PROBABILITIES), "'h', 'w'"),
        (_with_ends(("image", UINT8, []), PROBABILITIES), "input is image"),
        (_with_ends(IMAGE, ("scores", FLOAT, ["batch", 10])), "output is scores"),
        (_with_ends(IMAGE, ("probabilities", FLOAT, ["batch", 11])), "11"),
        (_with_ends(IMAGE, ("probabilities", TensorProto.DOUBLE, ["batch", 10])), "double"),
        (_with_ends(IMAGE, PROBABILITIES, surplus=True), "more tensor"),
    ],
)
def test_other_ends_than_the_contracts_are_refused(model: bytes, reason: str) -> None:
    with pytest.raises(RuntimeLoadError, match=reason) as caught:
        Runtime.load(model)
    assert "wanted" in str(caught.value)


def test_a_model_without_input_is_refused() -> None:
    model = onnx.load_from_string(_with_ends(IMAGE, PROBABILITIES))
    del model.graph.input[:]
    with pytest.raises(RuntimeLoadError, match="input is nothing"):
        Runtime.load(model.SerializeToString())


def test_warming_refuses_what_gives_no_probabilities() -> None:
    model = onnx.load_from_string(tiny_model_bytes())
    model.graph.node[-1].CopyFrom(helper.make_node("Identity", ["logits"], ["probabilities"]))
    runtime = Runtime.load(model.SerializeToString())
    with pytest.raises(RuntimeLoadError, match="a run of 1 images gave no 1 x 10 probabilities"):
        runtime.warm((1,))


def test_warming_tells_a_failing_run_in_one_line() -> None:
    runtime = Runtime.load(_always_failing())
    with pytest.raises(RuntimeLoadError, match="a run of 2 images failed: ") as caught:
        runtime.warm((2,))
    assert "\n" not in str(caught.value)


def _always_failing() -> bytes:
    """The brittle model without the zeros that an image without ink would pick."""
    model = onnx.load_from_string(brittle_model_bytes())
    (zeros,) = (item for item in model.graph.initializer if item.name == "zeros")
    model.graph.initializer.remove(zeros)
    model.graph.initializer.append(helper.make_tensor("zeros", FLOAT, [0], []))
    content: bytes = model.SerializeToString()
    return content


def test_runs_from_many_threads_give_what_runs_alone_give() -> None:
    runtime = Runtime.load(tiny_model_bytes())
    random = np.random.default_rng(2)
    sent = [random.integers(0, 256, (n + 1, 28, 28), np.uint8) for n in range(8)]
    expected = [runtime.run(images).tobytes() for images in sent]
    found: list[set[bytes]] = [set() for _ in sent]

    def work(number: int) -> None:
        found[number] = {runtime.run(sent[number]).tobytes() for _ in range(100)}

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(sent))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{bits} for bits in expected]


def test_loading_and_running_starts_no_thread_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_model_bytes())
    program = (
        "import os, sys, pathlib, numpy as np\n"
        "from service.inference.runtime import Runtime\n"
        "count = lambda: len(os.listdir('/proc/self/task'))\n"
        "before = count()\n"
        "runtime = Runtime.load(pathlib.Path(sys.argv[1]), provider='cpu')\n"
        "runtime.run(np.zeros((64, 28, 28), np.uint8))\n"
        "print(count() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_run_that_does_not_end_is_ended_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.inference.runtime.WARM_SECONDS", 0.2)
    runtime = Runtime.load(endless_model_bytes(), provider="cpu")
    with pytest.raises(RuntimeLoadError, match=r"a run of 1 images took longer than 0\.2 s"):
        runtime.warm((1,))


@pytest.mark.parametrize("location", ["weights", "../weights", "/etc/passwd"])
def test_weights_in_another_file_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    model = onnx.load_from_string(tiny_model_bytes())
    (weights,) = (each for each in model.graph.initializer if each.name == "weights")
    here = tmp_path / "here"
    here.mkdir()
    for folder in (here, tmp_path):
        (folder / "weights").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    monkeypatch.chdir(here)
    (here / "model.onnx").write_bytes(model.SerializeToString())
    for source in (model.SerializeToString(), here / "model.onnx"):
        with pytest.raises(RuntimeLoadError, match="External data path"):
            Runtime.load(source, provider="cpu")
