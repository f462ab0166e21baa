"""What loads, what does not and why, and what a run gives."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from service.inference.runtime import CUDA, Runtime, RuntimeLoadError
from tests.tiny import brittle_model_bytes, tiny_model_bytes

HAS_CUDA = CUDA in onnxruntime.get_available_providers()


UINT8, FLOAT = TensorProto.UINT8, TensorProto.FLOAT
End = tuple[str, int, list[str | int]]
IMAGE: End = ("image", UINT8, ["batch", 28, 28])
PROBABILITIES: End = ("probabilities", FLOAT, ["batch", 10])


def _with_ends(inputs: list[End], outputs: list[End]) -> bytes:
    """A model with these ends, which returns zeros."""
    nodes = []
    for name, kind, shape in outputs:
        sizes = [1, *(size for size in shape if isinstance(size, int))]
        zeros = helper.make_tensor("v", kind, sizes, np.zeros(sizes).ravel())
        nodes.append(helper.make_node("Constant", [], [name], value=zeros))
    made = [[helper.make_tensor_value_info(*end) for end in ends] for ends in (inputs, outputs)]
    graph = helper.make_graph(nodes, "ends", made[0], made[1])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


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
def test_without_cuda_auto_falls_back_and_says_why_and_asking_for_it_fails() -> None:
    report = Runtime.load(tiny_model_bytes(), provider="auto").report
    assert (report.requested, report.active) == ("auto", "cpu")
    assert report.fallback is not None
    assert "CUDA" in report.fallback
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
    with pytest.raises(RuntimeLoadError, match=r"\A.+\Z"):
        Runtime.load(content)
    with pytest.raises(RuntimeLoadError, match=r"nowhere\.onnx"):
        Runtime.load(Path("nowhere.onnx"))


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([("x", UINT8, ["batch", 28, 28])], [PROBABILITIES], "input is x tensor"),
        ([("image", FLOAT, ["batch", 28, 28])], [PROBABILITIES], r"tensor\(float\)"),
        ([("image", UINT8, [1, 28, 28])], [PROBABILITIES], r"\[1, 28, 28\]"),
        ([("image", UINT8, ["batch", 784])], [PROBABILITIES], "784"),
        ([("image", UINT8, ["batch", "h", "w"])], [PROBABILITIES], "'h', 'w'"),
        ([("image", UINT8, [])], [PROBABILITIES], "input is image"),
        ([], [PROBABILITIES], "input is nothing"),
        ([IMAGE], [("scores", FLOAT, ["batch", 10])], "output is scores"),
        ([IMAGE], [("probabilities", FLOAT, ["batch", 11])], "11"),
        ([IMAGE], [("probabilities", TensorProto.DOUBLE, ["batch", 10])], "double"),
        ([IMAGE], [PROBABILITIES, ("more", FLOAT, ["batch", 10])], "more tensor"),
    ],
)
def test_other_ends_than_the_contracts_are_refused(
    inputs: list[End], outputs: list[End], reason: str
) -> None:
    with pytest.raises(RuntimeLoadError, match=rf"{reason}.*; wanted"):
        Runtime.load(_with_ends(inputs, outputs))


def _without_softmax() -> bytes:
    model = onnx.load_from_string(tiny_model_bytes())
    model.graph.node[-1].CopyFrom(helper.make_node("Identity", ["logits"], ["probabilities"]))
    return bytes(model.SerializeToString())


def _always_failing() -> bytes:
    """The brittle model without the zeros that an image without ink would pick."""
    model = onnx.load_from_string(brittle_model_bytes())
    (zeros,) = (item for item in model.graph.initializer if item.name == "zeros")
    zeros.CopyFrom(helper.make_tensor("zeros", FLOAT, [0], []))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (_without_softmax(), "gave no 2 x 10 probabilities$"),
        (_always_failing(), "failed: .+$"),
    ],
)
def test_warming_refuses_what_fails_or_gives_no_probabilities(model: bytes, why: str) -> None:
    with pytest.raises(RuntimeLoadError, match=f"^a run of 2 images {why}"):
        Runtime.load(model, provider="cpu").warm((2,))


def test_runs_from_many_threads_give_what_runs_alone_give() -> None:
    runtime = Runtime.load(tiny_model_bytes())
    random = np.random.default_rng(2)
    sent = [random.integers(0, 256, (n + 1, 28, 28), np.uint8) for n in range(8)]
    expected = [runtime.run(images).tobytes() for images in sent]
    with ThreadPoolExecutor(len(sent)) as threads:
        found = threads.map(
            lambda n: {runtime.run(sent[n]).tobytes() for _ in range(100)}, range(8)
        )
    assert list(found) == [{bits} for bits in expected]


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
