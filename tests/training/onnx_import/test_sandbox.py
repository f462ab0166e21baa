"""The import runs a graph in a child process with limits on time and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from onnx import ModelProto

from tests.server import wait_until
from tests.training.onnx_import import hostile
from tests.training.onnx_import.exported import mlp, scikit_linear, written
from training.data.loading import DataError
from training.errors import TrainingError
from training.onnx_import.sandbox import import_in_child


@pytest.mark.parametrize(
    ("model", "step"), [(hostile.endless(), "detect"), (hostile.doubling(), "load")]
)
def test_an_endless_one_is_stopped(
    tmp_path: Path, data: Path, model: ModelProto, step: str
) -> None:
    why = f"theirs.onnx: the step {step} took more than 1 s of processor time"
    with pytest.raises(TrainingError, match=why):
        import_in_child(written(tmp_path, model), None, data, seconds=1)


def test_a_graph_that_wants_all_memory_gets_the_limit(tmp_path: Path, data: Path) -> None:
    """2 GiB, which the machine has, where the limit is 1 GiB."""
    path = written(tmp_path, hostile.greedy())
    with pytest.raises(TrainingError, match=r"^theirs.onnx: it does not run: .*memory"):
        import_in_child(path, None, data, memory_bytes=1 << 30)


def test_an_unforeseen_failure_is_one_line_too(tmp_path: Path, data: Path) -> None:
    """An operator of scikit-learn without its attributes."""
    built = scikit_linear()
    del built.graph.node[1].attribute[:]
    with pytest.raises(TrainingError, match=r"^theirs.onnx: it is malformed: 'intercepts'$"):
        import_in_child(written(tmp_path, built), None, data)


def test_the_parent_receives_model_facts_and_steps(tmp_path: Path, data: Path) -> None:
    """The text of a file cannot control the terminal."""
    built = mlp()
    built.producer_name = "\x1b[2Jevil\n" * 50
    built.graph.node[-1].output[0] = built.graph.output[0].name = "\x1b[31mlogits\r\n"
    path = written(tmp_path, built)
    steps: list[tuple[str, float]] = []
    model, facts = import_in_child(path, "0..1", data, lambda *step: steps.append(step))
    assert len(model) > 4 * 784 * 128
    assert facts["test"]["count"] == 25
    assert set(facts) > {"robustness", "doubt"}
    imported = facts["imported"]
    assert {form["scale"] for form in imported["measured"]} == {"0..1"}
    assert imported["found"]["output"] == r"\x1b[31mlogits\x0d\x0a"
    assert imported["producer"].isprintable()
    assert len(imported["producer"]) < 200
    order = list(dict(steps))
    assert order == ["load", "detect", "verify", "measure"]
    assert steps == sorted(steps, key=lambda step: (order.index(step[0]), step[1]))
    assert dict(steps)["detect"] == 1


def test_code_in_the_current_folder_does_not_run(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a downloaded model may hold a ``numpy.py`` too."""
    for name in ("numpy", "onnx", "json", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, hostile.classes(11))
    with pytest.raises(TrainingError, match="it returns 11"):
        import_in_child(Path(path.name), None, data)
    assert not (tmp_path / "ran").exists()


def test_without_onnx_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(TrainingError, match=r"not installed: onnx; .* 'mnist-serve\[train\]'"):
        import_in_child(tmp_path / "any.onnx", None, None)


def test_a_failure_of_the_data_names_the_data(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^.*/nowhere: no such data$") as caught:
        import_in_child(written(tmp_path, mlp()), None, tmp_path / "nowhere")
    assert not isinstance(caught.value, DataError)


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_the_child_ends_with_the_command(tmp_path: Path, data: Path) -> None:
    """SIGTERM comes while an endless graph runs in the child."""
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
