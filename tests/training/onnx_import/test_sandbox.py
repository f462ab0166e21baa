"""A stranger's graph runs in a process of its own, which may not take what it likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto

from tests.server import wait_until
from tests.training.onnx_import import hostile
from tests.training.onnx_import.strangers import mlp
from training.data.loading import DataError
from training.onnx_import import AdoptError
from training.onnx_import.options import Wishes
from training.onnx_import.sandbox import Limits, adopt_apart


def written(folder: Path, model: ModelProto) -> Path:
    path = folder / "stranger.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("model", [hostile.endless(), hostile.doubling()], ids=["loop", "calls"])
def test_a_graph_without_end_is_stopped(tmp_path: Path, data: Path, model: ModelProto) -> None:
    told = "stranger.onnx: stopped, since to load it took more than 1 s of processor time"
    with pytest.raises(AdoptError, match=told):
        adopt_apart(written(tmp_path, model), Wishes(), data, Limits(load_s=1))


def test_a_graph_that_wants_all_memory_gets_the_limit(tmp_path: Path, data: Path) -> None:
    """2 GiB, which the machine has, where 1 GiB is allowed."""
    path = written(tmp_path, hostile.greedy(2))
    with pytest.raises(AdoptError, match=r"^stranger.onnx: it does not run: .*memory"):
        adopt_apart(path, Wishes(), data, Limits(memory_bytes=1 << 30))


def test_what_nobody_foresaw_is_one_line_too(tmp_path: Path, data: Path) -> None:
    """Half of its weights are missing: found by the library that widens them."""
    built = mlp(kind=TensorProto.FLOAT16)
    weights = built.graph.initializer[0]
    weights.raw_data = weights.raw_data[: len(weights.raw_data) // 2]
    with pytest.raises(AdoptError, match=r"^stranger.onnx: it is malformed: .*reshape"):
        adopt_apart(written(tmp_path, built), Wishes(), data)


def test_what_comes_back_is_the_model_and_plain_facts(tmp_path: Path, data: Path) -> None:
    model, facts = adopt_apart(written(tmp_path, mlp()), Wishes(scale="0..1"), data)
    assert len(model) > 4 * 784 * 128
    assert facts["test"]["count"] == 200
    assert {form["scale"] for form in facts["imported"]["measured"]} == {"0..1"}


def test_code_that_lies_where_the_user_stands_is_not_run(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a stranger's model may hold a stranger's ``numpy.py``."""
    for name in ("numpy", "onnx", "json", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, mlp())
    before = {file.name for file in tmp_path.iterdir()}
    with pytest.raises(AdoptError, match="no output 'none'"):
        adopt_apart(Path(path.name), Wishes(output="none"), data)
    assert {file.name for file in tmp_path.iterdir()} == before


def test_without_onnx_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(AdoptError, match=r"onnx is not installed; .* 'mnist-serve\[train\]'"):
        adopt_apart(tmp_path / "any.onnx", Wishes(), None)


def test_images_that_cannot_be_read_are_told_of_by_their_own_name(tmp_path: Path) -> None:
    with pytest.raises(AdoptError, match=r"^.*/nowhere: no such data$") as caught:
        adopt_apart(written(tmp_path, mlp()), Wishes(), tmp_path / "nowhere")
    assert not isinstance(caught.value, DataError)


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_the_child_ends_with_the_command(tmp_path: Path, data: Path) -> None:
    """Stopped by SIGTERM, while a graph without end runs in the child."""
    path = written(tmp_path, hostile.endless())
    flags = ["--models", str(tmp_path / "models"), "--data", str(data)]
    command = subprocess.Popen(
        [sys.executable, "-m", "training.cli.models", "import", path, *flags]
    )
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    wait_until(lambda: children.read_text() != "")
    (child,) = children.read_text().split()
    command.terminate()
    assert command.wait(20) == 143
    assert not Path(f"/proc/{child}").exists()
