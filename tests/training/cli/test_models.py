"""The ``models`` command as its user meets it: what it needs, and how it fails."""

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
MODELS = [sys.executable, "-m", "training.cli.models"]


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    line, env = list(map(str, command)), {**os.environ, **environment}
    return subprocess.run(line, cwd=HERE, env=env, capture_output=True, text=True, check=False)


def test_a_missing_repository_is_one_line_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = Said(tmp_path / "nowhere", capsys)
    for command in ("list", "promote 1", "rollback", "prune --keep 1"):
        said = models(*command.split(), status=1)
        assert "nowhere/mnist does not exist; name another repository with --models DIR" in said
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("closed", "command", "reason"),
    [
        ("", "list", "{root}/mnist: Permission denied"),
        ("", "promote 1", "{root}/mnist: Permission denied"),
        ("mnist", "prune --keep 1", "{root}/mnist cannot be used: Permission denied"),
        ("mnist/1/card.json", "show 1", "version 1: card.json cannot be read: Permission denied"),
    ],
)
def test_files_without_permission_are_one_line_with_advice(
    tmp_path: Path, closed: str, command: str, reason: str
) -> None:
    """Without the capabilities that let root into any folder."""
    root = tiny_repository(tmp_path / "models")
    (root / closed).chmod(0)
    try:
        result = run(*UNPRIVILEGED, *MODELS, *command.split(), "--models", root)
    finally:
        (root / closed).chmod(0o755)
    advice = "run this as the owner of the files, or change their permissions"
    assert result.stderr == f"models: {reason.format(root=root)}; {advice}\n"
    assert (result.returncode, result.stdout) == (1, "")


@pytest.mark.parametrize(
    "arguments",
    [
        *("", "dance", "show", "show one", "show 01", "rollback 2", "list --colour", "diff 1"),
        *("prune", "prune --keep 0", "challenge", "challenge 1 --end", "challenge 1 --canary 2"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert re.fullmatch(r"(models( \w+)?): .+ \(see \1 --help\)\n", capsys.readouterr().err)


def test_flags_before_and_after_the_subcommand_win_over_the_environment(tmp_path: Path) -> None:
    tiny_repository(tmp_path / "one", versions=(4,), champion=4)
    two = str(tiny_repository(tmp_path / "two", versions=(5,), champion=5))
    for line, champion in {
        "list --json": "4",
        "--json list": "4",
        f"list --json --models {two}": "5",
        f"--models {two} list --json": "5",
    }.items():
        report = run(*MODELS, *line.split(), MNIST_MODELS=str(tmp_path / "one")).stdout
        assert json.loads(report)["champion"] == champion


def test_the_command_needs_only_what_serving_needs(tmp_path: Path) -> None:
    """Run without the training libraries, through a promotion and a check of a model."""
    root = tiny_repository(tmp_path, versions=(1, 2))
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'tf2onnx', 'onnx', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from training.cli.models import main\n"
        "for line in ('list', 'promote 2 --force', 'rollback', 'show 1', 'diff 1 2',\n"
        "             'prune --keep 1'):\n"
        f"    assert main([*line.split(), '--models', {str(root)!r}]) == 0, line\n"
    )
    result = run(sys.executable, "-c", code)
    assert (result.returncode, result.stderr) == (0, "")


def test_without_onnxruntime_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from training.cli.models import main; sys.exit(main(['list']))"
    )
    result = run(sys.executable, "-c", code)
    assert (result.returncode, result.stdout) == (1, "")
    advice = re.escape("is not installed; run: pip install 'mnist-serve[cpu]'")
    assert re.fullmatch(f"models: .*{advice}.*\n", result.stderr)


@pytest.mark.parametrize(
    ("output", "status", "message"),
    [
        (">/dev/full", 1, "models: standard output: No space left on device\n"),
        (">&-", 1, "models: standard output: it is closed\n"),
        ("| true", 0, ""),
    ],
)
def test_an_output_that_fails_is_one_line(
    published: Path, output: str, status: int, message: str
) -> None:
    """A reader that has gone, as of ``| head``, needs no message."""
    result = run("sh", "-c", f'"$@" {output}', "sh", *MODELS, "list", "--models", published)
    assert (result.returncode, result.stderr) == (status, message)


def test_names_that_the_output_cannot_encode_are_escaped(tmp_path: Path) -> None:
    root = tiny_repository(tmp_path / "né\udcff", versions=(1, 2))
    result = run(*MODELS, *("promote", "2", "--force", "--models", root), PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("/n\\xe9\\udcff'\n")


def test_a_read_only_repository_can_be_looked_at(tmp_path: Path) -> None:
    """Mounted read-only, since root may write to a folder that only forbids it."""
    root = tiny_repository(tmp_path, versions=(1, 2))
    words = "list 'show 1' 'promote 2 --force'"
    each = f"for word in {words}; do $0 -m training.cli.models $word --models $1; done"
    script = f'mount --bind -o ro "$1" "$1" && {each}'
    unshare = ("unshare", "--map-root-user", "--mount")
    result = run(*unshare, "sh", "-c", script, sys.executable, root)
    if "mount" in result.stderr or "unshare" in result.stderr:
        pytest.skip(f"nothing can be mounted here: {result.stderr}")
    assert "VERSION" in result.stdout
    assert re.fullmatch(r".*nothing was promoted: .*Read-only file system.*\n", result.stderr)
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
    result = run(sys.executable, "-c", code, *words, "--models", tmp_path)
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr.count("\n") == 1
