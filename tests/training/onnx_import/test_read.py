"""Reading takes the model's file, the external data beside it, and no other file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.training.onnx_import import hostile
from tests.training.onnx_import.exported import mlp
from training.errors import TrainingError
from training.onnx_import.read import read, tensors


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def test_a_model_is_read_with_its_hash(tmp_path: Path) -> None:
    content = mlp().SerializeToString()
    source, facts = read(written(tmp_path, content))
    assert facts == {
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "external_data": {},
    }
    assert source == mlp()


@pytest.mark.parametrize("location", ["model.data", "weights/of/it.bin"])
def test_external_data_beside_the_file_is_loaded(tmp_path: Path, location: str) -> None:
    (tmp_path / location).parent.mkdir(parents=True, exist_ok=True)
    path = tmp_path / "model.onnx"
    hostile.save_beside(mlp(), path, location)
    source, facts = read(path)
    assert all(t.data_location == TensorProto.DEFAULT for t in tensors(source))
    got = numpy_helper.to_array(source.graph.initializer[0])
    assert (got == numpy_helper.to_array(mlp().graph.initializer[0])).all()
    digest = hashlib.sha256((tmp_path / location).read_bytes()).hexdigest()
    assert facts["external_data"] == {location: digest}


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        (["../key"], "points outside the directory"),
        (["inner/../../key"], "points outside the directory"),
        (["/etc/hostname"], "should be a relative path"),
        (["//etc"], "should be a relative path"),
        ([""], "should not be empty"),
        (["."], "not regular file"),
        (["\0"], "should be stored in"),
        (["missing"], "not regular file"),
        (["link"], "symbolic link"),
        (["linked/key"], "outside model directory"),
        (["pipe"], "not regular file"),
        (["data", "999"], "exceeds file size"),
        (["data", "0", "101"], "exceeds available data"),
        (["data", "-1"], "must be non-negative"),
        (["data", "1e3"], "invalid literal"),
        (["data", "9" * 40, "1"], "exceeds file size"),
    ],
)
def test_external_data_elsewhere_is_rejected(tmp_path: Path, entries: list[str], why: str) -> None:
    """It is outside the folder, behind a link, in no file, or outside the file's bytes."""
    (tmp_path / "key").write_bytes(bytes(4 * 784 * 128))
    inner = tmp_path / "in"
    inner.mkdir()
    (inner / "data").write_bytes(bytes(100))
    (inner / "link").symlink_to(tmp_path / "key")
    (inner / "linked").symlink_to(tmp_path)
    os.mkfifo(inner / "pipe")
    content = hostile.with_external(*entries).SerializeToString()
    with pytest.raises(TrainingError, match=rf"^external data .*{why}"):
        read(written(inner, content))


def test_external_data_in_an_attribute_of_a_node_are_rejected_too(tmp_path: Path) -> None:
    outside = hostile.with_external("../secret").graph.initializer[0]
    built = mlp()
    built.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=outside))
    with pytest.raises(TrainingError, match="points outside"):
        read(written(tmp_path, built.SerializeToString()))


def test_one_limit_holds_for_the_file_and_for_all_that_its_tensors_name(tmp_path: Path) -> None:
    """Many tensors may name the same bytes: each counts."""
    content = mlp().SerializeToString()
    with pytest.raises(TrainingError, match=f"more than {len(content) - 1:,} bytes"):
        read(written(tmp_path, content), limit=len(content) - 1)
    (tmp_path / "data").write_bytes(bytes(1000))
    built = hostile.with_external("data", "0", "1000")
    for copy in range(10):
        built.graph.initializer.add().CopyFrom(built.graph.initializer[0])
        built.graph.initializer[-1].name = f"copy_{copy}"
    path = written(tmp_path, built.SerializeToString())
    read(path, limit=path.stat().st_size + 11_000)
    with pytest.raises(TrainingError, match="too large with its external data"):
        read(path, limit=path.stat().st_size + 10_999)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "no ONNX model", id="empty"),
        pytest.param(np.random.default_rng(1).bytes(5000), "no ONNX model", id="random"),
        pytest.param(mlp().SerializeToString()[:-1000], "no ONNX model", id="cut off"),
    ],
)
def test_bytes_that_are_no_model_are_rejected(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        read(written(tmp_path, content))


@pytest.mark.parametrize(
    ("name", "why"),
    [("none.onnx", "it cannot be read: No such file"), (".", "not a file"), ("pipe", "not a file")],
)
def test_a_missing_file_a_folder_and_a_pipe_are_rejected(
    tmp_path: Path, name: str, why: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TrainingError, match=why):
        read(tmp_path / name)
