"""The ``models`` command shows, proves, promotes, rolls back, compares and prunes real versions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.repository import Repository
from tests.tiny import dense_model_bytes, tiny_model_bytes, tiny_repository
from tests.training.digits import mnist
from training import data
from training.card import describe
from training.models import main
from training.promote import release
from training.publish import staging
from training.verify import check

HERE = Path(__file__).parents[2]
UNPRIVILEGED = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.getuid() == 0 else []


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return mnist()


@pytest.fixture(scope="session")
def published(digits: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three linear classifiers, fitted in one step to ever more digits, each better; kept as is."""
    root = tmp_path_factory.mktemp("published") / "models"
    for count in (300, 1000, 3000):
        model = linear_classifier(digits, count)
        with staging(root) as folder:
            (folder / "model.onnx").write_bytes(model)
            release(folder, root, honest_card(model, digits))
    assert Repository(root).champion() == 3
    return root


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy of the three that a test may change."""
    subprocess.run(["cp", "-r", published, tmp_path / "models"], check=True)
    return tmp_path / "models"


def linear_classifier(digits: data.Dataset, count: int) -> bytes:
    """Ridge regression on the one-hot labels of the first ``count`` training images."""
    pixels = digits.train_images[:count].reshape(count, 784) / 255
    inputs = np.concatenate([pixels, np.ones((count, 1))], axis=1)
    wanted = np.eye(10)[digits.train_labels[:count]]
    weights = 8 * np.linalg.solve(inputs.T @ inputs + 5 * np.eye(785), inputs.T @ wanted)
    return dense_model_bytes(weights[:784].astype(np.float32), weights[784].astype(np.float32))


def honest_card(model: bytes, digits: data.Dataset) -> dict[str, Any]:
    right = check(model, digits.test_images).argmax(axis=1) == digits.test_labels
    return describe(
        architecture="linear",
        parameters=7850,
        opset=18,
        ir_version=8,
        data={"files": digits.hashes},
        settings={"ridge": 5},
        training={"epochs": []},
        validation=None,
        test={"count": len(right), "accuracy": float(right.mean())},
        verification={"passed": True, "milliseconds_per_run": {"1": 0.0123}},
    )


class Said:
    """Runs the command in this process and keeps what it said."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.capsys = root, capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Standard output; fails where the status is another or an error is not one line."""
        assert main([*arguments, "--models", str(self.root)]) == status
        out, err = self.capsys.readouterr()
        assert err.count("\n") == (1 if status else 0)
        assert err.startswith("models: ") == bool(status)
        return out + err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def models(root: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(root, capsys)


def test_list_shows_each_version_and_marks_the_champion(models: Said) -> None:
    heading, *lines = models("list").splitlines()
    assert heading.split() == [
        *("VERSION", "CHAMPION", "CREATED", "ARCHITECTURE"),
        *("WEIGHTS", "ACCURACY", "SIZE", "LATENCY"),
    ]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert ["*" in line for line in lines] == [False, False, True]
    assert "31 KiB  0.012 ms" in lines[2]
    report = models.json("list")
    assert report["champion"] == "3"
    best = report["versions"][2]
    assert best["accuracy"] == Repository(models.root).card(3)["test"]["accuracy"]
    assert f"{best['accuracy']:.4f}" in lines[2]


def test_list_shows_a_damaged_version_and_the_others(models: Said) -> None:
    (models.root / "mnist/2/card.json").write_text("{")
    (models.root / "mnist/1/card.json").write_text(
        '{"version": "1", "sha256": "", "test": 3, "verification": [], "data": "none"}'
    )
    lines = models("list").splitlines()
    assert lines[1].split() == ["1", *"------"]
    assert "version 2: card.json is damaged" in lines[2]
    assert "*" in lines[3]


def test_list_tells_of_a_damaged_champion_file_after_the_versions(models: Said) -> None:
    (models.root / "mnist/champion").write_text("four")
    said = models("list", status=1)
    assert len(said.splitlines()) == 5
    assert said.splitlines()[-1].endswith("champion is damaged: it holds b'four', not a version")


def test_show_tells_every_figure_of_a_card(models: Said) -> None:
    lines = models("show", "2").splitlines()
    assert any(line.split() == ["architecture", "linear"] for line in lines)
    assert any(line.split()[:1] == ["test.accuracy"] for line in lines)
    assert models.json("show", "2") == Repository(models.root).card(2)


def test_verify_proves_hash_ends_batches_and_accuracy(models: Said, digits: data.Dataset) -> None:
    card = Repository(models.root).card(3)
    report = models.json("verify", "3")
    assert report["passed"]
    assert report["test"] == {**card["test"], "as_in_card": True}
    assert models("verify", "1").endswith("version 1 is sound\n")


def test_verify_finds_an_accuracy_that_is_not_the_cards(models: Said) -> None:
    path = models.root / "mnist/1/card.json"
    card = json.loads(path.read_text())
    card["test"]["accuracy"] += 0.0001
    path.write_text(json.dumps(card))
    said = models("verify", "1", status=1)
    assert said.startswith("models: version 1: test accuracy is 0.")
    card["data"]["files"] = {"digits.npz": "another data set"}
    path.write_text(json.dumps(card))
    assert "its card's is of other test images (see --data)" in models("verify", "1")


def test_verify_finds_a_changed_model(models: Said) -> None:
    path = models.root / "mnist/1/model.onnx"
    content = bytearray(path.read_bytes())
    content[20_000] ^= 1
    path.write_bytes(content)
    assert "version 1: model.onnx has SHA-256 " in models("verify", "1", status=1)


def test_promote_passes_the_gate_or_forces_it(models: Said) -> None:
    repository = Repository(models.root)
    said = models("promote", "2", status=1)
    assert said.startswith("models: version 2 was not promoted: test accuracy 0.")
    assert repository.champion() == 3
    assert "within the tolerance of 0.5" in models("promote", "2", "--tolerance", "0.5")
    assert "is above the" in models("promote", "3")
    assert models.json("promote", "1", "--force")["champion"] == "1"
    assert repository.champion() == 1
    assert [entry["command"] for entry in repository.journal()[3:]] == ["models promote"] * 3


def test_promoting_the_champion_changes_nothing(models: Said) -> None:
    before = (models.root / "mnist/journal.jsonl").read_bytes()
    assert models("promote", "3") == "version 3 is champion: it is champion already\n"
    assert (models.root / "mnist/journal.jsonl").read_bytes() == before


def test_a_damaged_champion_file_is_mended_by_force(models: Said) -> None:
    (models.root / "mnist/champion").write_bytes(b"\xff")
    assert "the champion cannot be compared with" in models("promote", "3", status=1)
    models("promote", "3", "--force")
    assert Repository(models.root).champion() == 3


def test_rollback_goes_back_champion_by_champion_and_then_says_so(models: Said) -> None:
    repository = Repository(models.root)
    assert models("rollback") == "version 2 is champion again, 1 back from 3\n"
    assert models.json("rollback") == {"champion": "1", "previous": "2"}
    assert models("rollback", status=1).endswith("left to go back to from 1: none\n")
    models("promote", "3")
    models("promote", "2", "--force")
    assert models("rollback", "2") == "version 1 is champion again, 2 back from 2\n"
    assert repository.champion() == 1


def test_rollback_passes_over_versions_that_are_gone(models: Said) -> None:
    subprocess.run(["rm", "-r", models.root / "mnist/2"], check=True)
    assert "champions left to go back to from 3: only 1\n" in models("rollback", "2", status=1)
    assert models("rollback") == "version 1 is champion again, 1 back from 3\n"


def test_rollback_to_a_damaged_version_leaves_the_champion(models: Said) -> None:
    (models.root / "mnist/2/model.onnx").write_bytes(b"")
    assert "nothing was promoted: version 2: " in models("rollback", status=1)
    assert Repository(models.root).champion() == 3


def test_diff_compares_on_the_same_test_images(models: Said) -> None:
    report = models.json("diff", "1", "3")
    repository = Repository(models.root)
    assert report["first_accuracy"] == repository.card(1)["test"]["accuracy"]
    assert report["second_accuracy"] == repository.card(3)["test"]["accuracy"]
    assert report["p_value"] < 1e-20
    counts = [report[key] for key in ("both_right", "both_wrong")]
    changed = report["only_first_right"] + report["only_second_right"]
    assert sum(counts) + changed == report["count"] == 10_000
    assert len(report["changes"]) == changed
    lines = models("diff", "1", "3").splitlines()
    assert lines[-1] == f"and {changed - 20} more (--json lists all)"
    assert "p = 1" in models("diff", "2", "2")


def test_diff_refuses_a_changed_model(models: Said) -> None:
    (models.root / "mnist/1/model.onnx").write_bytes(tiny_model_bytes(3))
    assert "version 1: model.onnx has SHA-256 " in models("diff", "3", "1", status=1)


def test_prune_keeps_the_newest_and_the_champion(models: Said) -> None:
    models("promote", "1", "--force")
    assert models("prune", "--keep", "1") == "removed 2; kept 1, 3\n"
    assert models("prune", "--keep", "1") == "nothing to remove; kept 1, 3\n"
    assert models.json("prune", "--keep", "5") == {"removed": [], "kept": ["1", "3"]}
    assert {path.name for path in (models.root / "mnist").iterdir()} == {
        *("1", "3", "champion", "journal.jsonl")
    }


def test_prune_removes_nothing_while_the_champion_is_unknown(models: Said) -> None:
    for content in ("", None):
        champion = models.root / "mnist/champion"
        champion.unlink() if content is None else champion.write_text(content)
        models("prune", "--keep", "1", status=1)
        assert Repository(models.root).versions() == [1, 2, 3]


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "9"],
        ["verify", "9"],
        ["promote", "9"],
        ["promote", "9", "--force"],
        ["diff", "1", "9"],
    ],
)
def test_a_version_that_is_not_there_is_one_line(models: Said, arguments: list[str]) -> None:
    said = models(*arguments, status=1)
    assert "version 9: it is not in " in said
    assert Repository(models.root).champion() == 3


def test_a_repository_that_is_not_there_is_one_line_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = Said(tmp_path / "nowhere", capsys)
    for arguments in (["list"], ["promote", "1"], ["rollback"], ["prune", "--keep", "1"]):
        assert "nowhere/mnist is not there: no model was ever" in models(*arguments, status=1)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("word", ["list", "show 1", "promote 1", "rollback", "prune --keep 1"])
def test_a_repository_that_cannot_be_looked_into_is_one_line(tmp_path: Path, word: str) -> None:
    """Without the capabilities that let root into any folder."""
    root = tiny_repository(tmp_path / "models")
    root.chmod(0)
    command = [sys.executable, "-m", "training.models", *word.split(), "--models", str(root)]
    try:
        result = subprocess.run(
            [*UNPRIVILEGED, *command], cwd=HERE, capture_output=True, text=True, check=False
        )
    finally:
        root.chmod(0o755)
    refusal = f"models: {root}/mnist: Permission denied\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", refusal)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["show"],
        ["show", "one"],
        ["show", "01"],
        ["promote", "1", "--tolerance", "-1"],
        ["promote", "1", "--tolerance", "nan"],
        ["rollback", "0"],
        ["prune"],
        ["prune", "--keep", "0"],
        ["prune", "--keep", "1", "--checkpoints", "here"],
        ["list", "--colour"],
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert re.fullmatch(r"(models( \w+)?): .+ \(see \1 --help\)\n", told)


def test_data_that_cannot_be_read_is_one_line(models: Said) -> None:
    said = models("verify", "3", "--data", str(models.root / "nowhere"), status=1)
    assert "nowhere: no such data" in said


def test_the_repository_is_named_by_the_environment_unless_a_flag_does(tmp_path: Path) -> None:
    tiny_repository(tmp_path / "one", versions=(4,), champion=4)
    tiny_repository(tmp_path / "two", versions=(5,), champion=5)
    environment = {**os.environ, "MNIST_MODELS": str(tmp_path / "one")}

    def champion(*arguments: str) -> str:
        command = [sys.executable, "-m", "training.models", "list", "--json", *arguments]
        out = subprocess.check_output(command, cwd=HERE, env=environment)
        return str(json.loads(out)["champion"])

    assert champion() == "4"
    assert champion("--models", str(tmp_path / "two")) == "5"


def test_the_command_needs_only_what_serving_needs(tmp_path: Path) -> None:
    """Run where the training libraries cannot be imported, through a promotion and a proof."""
    root = tiny_repository(tmp_path, versions=(1, 2))
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'tf2onnx', 'onnx', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from training.models import main\n"
        "for line in ('list', 'promote 2', 'rollback', 'show 1', 'diff 1 2', 'prune --keep 1'):\n"
        f"    assert main([*line.split(), '--models', {str(root)!r}]) == 0, line\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=HERE, check=True, stdout=subprocess.PIPE)


def test_a_reader_that_goes_away_ends_the_command_quietly(published: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "training.models", "list", "--models", str(published)]
    result = subprocess.run(command, cwd=HERE, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


def test_an_output_that_is_full_is_one_line(published: Path) -> None:
    command = [sys.executable, "-m", "training.models", "list", "--models", str(published)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, cwd=HERE, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (result.returncode, result.stderr) == (1, "models: No space left on device\n")


def test_a_read_only_repository_can_be_looked_at(published: Path, tmp_path: Path) -> None:
    """Mounted read-only, since root may write to a folder that only forbids it."""
    root = tiny_repository(tmp_path, versions=(1, 2))
    words = (
        "for word in list 'show 1' 'promote 2'; do $0 -m training.models $word --models $1; done"
    )
    script = f'mount --bind -o ro "$1" "$1" && {words}'
    command = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        sys.executable,
        str(root),
    ]
    result = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if "mount" in result.stderr or "unshare" in result.stderr:
        pytest.skip(f"nothing can be mounted here: {result.stderr}")
    assert "VERSION" in result.stdout
    assert result.stderr.count("\n") == 1
    assert "nothing was promoted: " in result.stderr
    assert "Read-only file system" in result.stderr
    assert Repository(root).champion() == 1
    assert Repository(root).read_model(2) == tiny_model_bytes(2)
