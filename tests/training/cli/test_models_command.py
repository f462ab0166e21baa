"""The ``models`` command as its user meets it: what it needs, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.models.repository import Repository
from tests.tiny import tiny_model_bytes, tiny_repository
from tests.training.conftest import Said
from training.cli.models import main

HERE = Path(__file__).parents[3]
UNPRIVILEGED = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.getuid() == 0 else []


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
    command = [sys.executable, "-m", "training.cli.models", *word.split(), "--models", str(root)]
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


def test_the_repository_is_named_by_the_environment_unless_a_flag_does(tmp_path: Path) -> None:
    tiny_repository(tmp_path / "one", versions=(4,), champion=4)
    tiny_repository(tmp_path / "two", versions=(5,), champion=5)
    environment = {**os.environ, "MNIST_MODELS": str(tmp_path / "one")}

    def champion(*arguments: str) -> str:
        command = [sys.executable, "-m", "training.cli.models", "list", "--json", *arguments]
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
        "from training.cli.models import main\n"
        "for line in ('list', 'promote 2', 'rollback', 'show 1', 'diff 1 2', 'prune --keep 1'):\n"
        f"    assert main([*line.split(), '--models', {str(root)!r}]) == 0, line\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=HERE, check=True, stdout=subprocess.PIPE)


def test_a_reader_that_goes_away_ends_the_command_quietly(published: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "training.cli.models", "list", "--models", str(published)]
    result = subprocess.run(command, cwd=HERE, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


def test_an_output_that_is_full_is_one_line(published: Path) -> None:
    command = [sys.executable, "-m", "training.cli.models", "list", "--models", str(published)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, cwd=HERE, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (result.returncode, result.stderr) == (1, "models: No space left on device\n")


def test_a_read_only_repository_can_be_looked_at(published: Path, tmp_path: Path) -> None:
    """Mounted read-only, since root may write to a folder that only forbids it."""
    root = tiny_repository(tmp_path, versions=(1, 2))
    words = (
        "for word in list 'show 1' 'promote 2'; "
        "do $0 -m training.cli.models $word --models $1; done"
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


@pytest.mark.parametrize("module", ["training.cli.models", "training"])
def test_ctrl_c_while_libraries_load_is_one_line(module: str, tmp_path: Path) -> None:
    """The signal comes from within an import that both commands need."""
    code = (
        "import os, runpy, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"runpy.run_module({module!r}, run_name='__main__')\n"
    )
    words = ["list"] if module == "training.cli.models" else []
    result = subprocess.run(
        [sys.executable, "-c", code, *words, "--models", str(tmp_path)],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr.count("\n") == 1
