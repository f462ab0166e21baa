"""A version is proved in a process of its own before the service loads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from service.inference.runtime import RuntimeLoadError
from service.models import proof
from service.models.proof import ProofError, prove, samples
from service.models.repository import Repository, RepositoryError
from tests.server import DOORS, Door, serving, wait_until
from tests.tiny import (
    tiny_model_bytes,
    tiny_repository,
    tiny_version,
    treacherous_model_bytes,
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one good version, none of which anything is noted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_repository(tmp_path / "models")


def notes(tmp_path: Path) -> list[str]:
    folder = tmp_path / "cache" / "mnist-serve"
    return [path.name for path in folder.iterdir() if path.read_bytes()]


def ends_with(node: str) -> bytes:
    """The tiny model with another node in the place of its softmax."""
    model = onnx.load_from_string(tiny_model_bytes())
    model.graph.node.pop()
    model.graph.node.append(helper.make_node(node, ["logits"], ["probabilities"]))
    return bytes(model.SerializeToString())


def hungry() -> bytes:
    """The tiny model after a product of 40 GB."""
    model = onnx.load_from_string(tiny_model_bytes())
    nodes = [
        helper.make_node("Expand", ["a little", "shape"], ["much"]),
        helper.make_node("ReduceMax", ["much"], ["zero"], keepdims=0),
        helper.make_node("Add", ["logits", "zero"], ["all"]),
    ]
    softmax = model.graph.node.pop()
    softmax.input[0] = "all"
    model.graph.node.extend([*nodes, softmax])
    constants = {"a little": np.zeros(1, np.float32), "shape": np.array([10**10])}
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    return bytes(model.SerializeToString())


RAW = "application/octet-stream"
BAD = {
    "loops when there is ink": (treacherous_model_bytes("loop", "ink"), "took longer than 1 s"),
    "gives NaN when there is ink": (
        treacherous_model_bytes("nan", "ink"),
        "gave no 22 x 10 probabilities|gave no 1 x 10 probabilities",
    ),
    "gives rubbish": (ends_with("Exp"), "gave no 1 x 10 probabilities"),
    "takes all memory": (hungry(), "failed|needs more than|crashed"),
    "is no model": (b"no model", "."),
}


@pytest.mark.parametrize("name", BAD)
def test_a_version_that_gives_no_answers_is_not_proved_and_a_note_says_nothing(
    root: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, reason = BAD[name]
    tiny_version(root, 2, model)
    repository = Repository(root, model_bytes=20 << 20)
    with monkeypatch.context() as patch:
        if "loops" in name:
            patch.setattr(proof, "PROOF_SECONDS", 1)
        for _ in range(2):
            with pytest.raises(ProofError, match=reason) as caught:
                prove(repository, 2, batch_rows=4)
            assert "\n" not in str(caught.value)
    prove(repository, 1, batch_rows=4)
    assert len(notes(tmp_path)) == 1


def test_only_the_files_that_were_published_are_proved(root: Path) -> None:
    (root / "mnist/1/model.onnx").write_bytes(tiny_model_bytes(7))
    with pytest.raises(RepositoryError, match=r"^version 1: model\.onnx has SHA-256"):
        prove(Repository(root), 1, batch_rows=4)


def test_a_file_over_the_bound_is_not_read(root: Path) -> None:
    with pytest.raises(RepositoryError, match="more than 1000 bytes"):
        prove(Repository(root, model_bytes=1000), 1, batch_rows=4)


def test_a_version_is_proved_once_for_its_bytes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(Repository(root), 1, batch_rows=4)
    (note,) = notes(tmp_path)
    card = json.loads((root / "mnist/1/card.json").read_text())
    assert note.startswith(card["sha256"])
    monkeypatch.setattr("service.models.proof.sys.executable", "/no/such/program")
    start = perf_counter()
    prove(Repository(root), 1, batch_rows=4)
    assert perf_counter() - start < 0.1
    tiny_version(root, 2, tiny_model_bytes(2))
    with pytest.raises(RuntimeLoadError, match="could not be proved"):
        prove(Repository(root), 2, batch_rows=4)


@pytest.mark.parametrize("hindrance", ["others can write", "read-only", "a file in its place"])
def test_notes_are_neither_trusted_nor_needed(
    root: Path, tmp_path: Path, hindrance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache" / "mnist-serve"
    prove(Repository(root), 1, batch_rows=4)
    (folder / notes(tmp_path)[0]).unlink()
    if hindrance == "others can write":
        folder.chmod(0o777)
    elif hindrance == "read-only":
        monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self")
    else:
        folder.rename(tmp_path / "gone")
        folder.write_text("")
    prove(Repository(root), 1, batch_rows=4)
    tiny_version(root, 2, ends_with("Exp"))
    with pytest.raises(ProofError):
        prove(Repository(root), 2, batch_rows=4)
    assert not folder.is_dir() or not notes(tmp_path)


def test_the_process_gets_no_secret_and_is_the_first_that_the_kernel_ends(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in Python's place writes what it got."""
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\nenv > {tmp_path}/env\nexit 0\n")
    spy.chmod(0o755)
    monkeypatch.setenv("MNIST_KEYS", "/secret")
    monkeypatch.setattr("service.models.proof.sys.executable", str(spy))
    prove(Repository(root), 1, batch_rows=4)
    assert "MNIST_KEYS" not in (tmp_path / "env").read_text()
    pid = os.fork()
    if pid == 0:
        proof.bound_this_process(1 << 30, 60)
        os._exit(int(Path("/proc/self/oom_score_adj").read_text()) == 1000)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_the_samples_are_digits_noise_and_a_blank() -> None:
    images = samples()
    assert images.shape == (22, 28, 28)
    assert images.dtype == np.uint8
    assert 0 < images.any(axis=(1, 2)).sum() < 22


@pytest.mark.parametrize("door", DOORS)
def test_a_bad_champion_never_serves_and_everyone_is_told_why(
    root: Path, tmp_path: Path, door: Door
) -> None:
    tiny_version(root, 2, BAD["gives NaN when there is ink"][0])
    with serving(root, tmp_path / "log", door=door) as server:
        (root / "mnist/champion").write_text("2\n")
        wait_until(lambda: server.metric("mnist_champion_fault") == 1, 60)
        (entry,) = server.get("/models").json()["models"]
        assert entry["champion"] == "1"
        assert entry["versions"][1]["state"] == "failed"
        assert entry["versions"][1]["reason"] == entry["champion_fault"]
        assert "probabilities" in entry["champion_fault"]
        for target, status in (("/predict?version=2", 503), ("/predict", 200)):
            assert server.post(target, bytes(784), RAW).status == status
        wait_until(lambda: entry["champion_fault"] in server.stderr())  # a thread writes it
