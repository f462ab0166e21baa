"""A stranger's file is read, with the external data beside it, and no other file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.training.onnx_import import hostile
from tests.training.onnx_import.strangers import mlp
from training.onnx_import import AdoptError
from training.onnx_import.read import read, tensors


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def test_a_model_is_read_with_its_hash(tmp_path: Path) -> None:
    content = mlp().SerializeToString()
    source = read(written(tmp_path, content))
    assert source.sha256 == hashlib.sha256(content).hexdigest()
    assert (source.name, source.size_bytes, source.data) == ("model.onnx", len(content), {})
    assert source.model == mlp()


@pytest.mark.parametrize("location", ["model.data", "weights/of/it.bin"])
def test_external_data_beside_the_file_is_taken_in(tmp_path: Path, location: str) -> None:
    (tmp_path / location).parent.mkdir(parents=True, exist_ok=True)
    path = tmp_path / "model.onnx"
    hostile.save_beside(mlp(), path, location)
    source = read(path)
    assert all(t.data_location == TensorProto.DEFAULT for t in tensors(source.model))
    got = numpy_helper.to_array(source.model.graph.initializer[0])
    assert (got == numpy_helper.to_array(mlp().graph.initializer[0])).all()
    digest = hashlib.sha256((tmp_path / location).read_bytes()).hexdigest()
    assert source.data == {location: digest}


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/hostname", "", ".", "in/../../secret", "\0", "a/..", "//etc"]
)
def test_external_data_elsewhere_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(4 * 784 * 128))
    (tmp_path / "in").mkdir()
    content = hostile.with_external(location).SerializeToString()
    with pytest.raises(AdoptError, match=r"is not in the folder|is not a file"):
        read(written(tmp_path / "in", content))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(bytes(10))
    inner = tmp_path / "in"
    inner.mkdir()
    (inner / "file").symlink_to(tmp_path / "secret" / "key")
    (inner / "folder").symlink_to(tmp_path / "secret")
    for location in ("file", "folder/key"):
        with pytest.raises(AdoptError, match="links are not followed"):
            read(written(inner, hostile.with_external(location).SerializeToString()))


def test_external_data_of_an_inner_constant_is_refused_too(tmp_path: Path) -> None:
    """Where the tensor hides is no way around the rule: here it is a node's attribute."""
    outside = hostile.with_external("../secret").graph.initializer[0]
    built = mlp()
    built.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=outside))
    with pytest.raises(AdoptError, match="is not in the folder"):
        read(written(tmp_path, built.SerializeToString()))


@pytest.mark.parametrize(
    ("offset", "length"),
    [("999", None), ("0", "101"), ("-1", None), ("1e3", None), ("9" * 40, "1")],
)
def test_a_place_outside_of_the_external_data_is_refused(
    tmp_path: Path, offset: str, length: str | None
) -> None:
    (tmp_path / "data").write_bytes(bytes(100))
    content = hostile.with_external("data", offset, length).SerializeToString()
    with pytest.raises(AdoptError, match=r"not within its external data|not a number of bytes"):
        read(written(tmp_path, content))


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data")
    with pytest.raises(AdoptError, match="'data' is not a file"):
        read(written(tmp_path, hostile.with_external("data").SerializeToString()))
    with pytest.raises(AdoptError, match="it is not a file"):
        read(tmp_path / "data")


def test_one_limit_holds_for_the_file_and_for_all_that_its_tensors_name(tmp_path: Path) -> None:
    """Many tensors may name the same bytes: each counts."""
    content = mlp().SerializeToString()
    with pytest.raises(AdoptError, match=f"more than {len(content) - 1:,} bytes"):
        read(written(tmp_path, content), limit=len(content) - 1)
    (tmp_path / "data").write_bytes(bytes(1000))
    built = hostile.with_external("data", "0", "1000")
    for copy in range(10):
        built.graph.initializer.add().CopyFrom(built.graph.initializer[0])
        built.graph.initializer[-1].name = f"copy_{copy}"
    path = written(tmp_path, built.SerializeToString())
    read(path, limit=path.stat().st_size + 11_000)
    with pytest.raises(AdoptError, match="larger than may be read"):
        read(path, limit=path.stat().st_size + 10_999)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no ONNX model"),
        (np.random.default_rng(1).bytes(5000), "no ONNX model"),
        (mlp().SerializeToString()[:-1000], "no ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS"),
        (b"PK\x03\x04" + bytes(100), "no ONNX model"),
    ],
    ids=["empty", "random", "cut off", "git lfs", "zip"],
)
def test_bytes_that_are_no_model_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(AdoptError, match=told):
        read(written(tmp_path, content))


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(AdoptError, match="it cannot be read: No such file or directory"):
        read(tmp_path / "nothing.onnx")
    with pytest.raises(AdoptError, match="it is not a file"):
        read(tmp_path)
