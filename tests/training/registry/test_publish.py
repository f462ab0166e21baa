"""A repository stays readable whatever happens to the processes that write to it.

The signals, limits, file systems and races here are real.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from service.models.repository import Repository
from tests.tiny import tiny_model_bytes
from tests.training.releasing import release_tiny
from training.registry.publish import PublishError, locked, publish, staging

HERE = Path(__file__).resolve().parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with version 1, the champion."""
    root = tmp_path / "models"
    release_tiny(root, seed=1)
    return root


def program(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tests.training.releasing", *map(str, arguments)]


def output(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=HERE, check=False, capture_output=True, text=True)


def assert_sound(repository: Repository) -> None:
    """Every version is whole, and the champion is one of them."""
    versions = repository.versions()
    assert repository.champion() in versions
    for version in versions:
        assert repository.read_model(version)
        assert repository.card(version)["version"] == str(version)
        assert (repository.path(version) / "curve.png").read_bytes() == b"a picture"


def hidden(repository: Repository) -> list[str]:
    return [path.name for path in repository.folder.iterdir() if path.name.startswith(".")]


def test_a_version_has_all_its_files_and_a_card_with_the_models_hash(root: Path) -> None:
    repository = Repository(root)
    version = release_tiny(root, seed=2)
    assert version == 2
    assert repository.read_model(2) == tiny_model_bytes(2)
    names = {path.name for path in repository.path(2).iterdir()}
    assert names == {"model.onnx", "card.json", "curve.png"}
    card, reason = (
        repository.card(2),
        "not worse than champion 1: of 10 test images only it reads 0, ",
    )
    assert card["size_bytes"] == len(tiny_model_bytes(2))
    assert card["promotion"]["promoted"]
    assert card["promotion"]["reason"].startswith(reason)
    assert card["promotion"]["tests"][0]["p_value"] == 0
    assert (repository.folder / "champion").read_bytes() == b"2\n"
    assert hidden(repository) == []


def test_another_user_may_read_what_was_published(root: Path) -> None:
    """The service often runs as another user than the training did."""
    umask = os.umask(0o022)
    try:
        version = Repository(root).path(release_tiny(root, seed=2))
    finally:
        os.umask(umask)
    assert version.stat().st_mode & 0o777 == 0o755
    for path in [*version.iterdir(), root / "mnist/champion", root / "mnist/journal.jsonl"]:
        assert path.stat().st_mode & 0o777 == 0o644


def test_a_taken_number_is_left_alone(root: Path) -> None:
    """Whatever has it: a file, an empty folder, a dangling link."""
    (root / "mnist/2").write_text("mine")
    (root / "mnist/3").mkdir()
    (root / "mnist/4").symlink_to("nowhere")
    assert release_tiny(root, seed=2) == 5
    assert (root / "mnist/2").read_text() == "mine"
    assert list((root / "mnist/3").iterdir()) == []
    assert (root / "mnist/4").is_symlink()


def test_the_number_of_a_removed_champion_is_not_used_again(root: Path) -> None:
    shutil.rmtree(root / "mnist" / str(release_tiny(root, seed=2)))
    assert release_tiny(root, seed=3) == 3


def interrupted(path: Path) -> None:
    path.write_bytes(b"half a model")
    raise ArithmeticError


def test_a_failure_while_staging_leaves_nothing_behind(root: Path) -> None:
    with pytest.raises(ArithmeticError), staging(root) as folder:
        interrupted(folder / "model.onnx")
    assert Repository(root).versions() == [1]
    assert hidden(Repository(root)) == []


def test_a_card_that_is_no_json_publishes_nothing(root: Path) -> None:
    with staging(root) as folder:
        (folder / "model.onnx").write_bytes(b"a model")
        with pytest.raises(ValueError, match="not JSON compliant"):
            publish(folder, root, {"loss": float("nan")})
    assert Repository(root).versions() == [1]


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in its place")
    with pytest.raises(PublishError, match="models/mnist cannot be used: Not a directory"):
        release_tiny(tmp_path / "models", seed=1)


def test_contents_reach_the_disk_before_the_names_that_lead_to_them(root: Path) -> None:
    """After a power cut between two system calls, every name has its content."""
    calls: list[tuple[str, str]] = []

    def watch(frame: FrameType, event: str, called: Any) -> None:
        name = called.__name__ if event == "c_call" else ""
        if name == "fsync":
            variables = frame.f_locals
            opened = variables["file"].fileno() if "file" in variables else variables["descriptor"]
            calls.append((name, Path(f"/proc/self/fd/{opened}").readlink().name))
        elif name in {"rename", "replace"} and "target" in frame.f_locals:
            calls.append((name, Path(frame.f_locals["target"]).name))

    sys.setprofile(watch)
    try:
        release_tiny(root, seed=2)
    finally:
        sys.setprofile(None)
    staged = [name for name, _ in calls].index("rename")
    *files, folder = calls[:staged]
    assert {name for _, name in files} == {"model.onnx", "card.json", "curve.png"}
    assert folder[1].startswith(".staging-")
    assert calls.pop(staged + 3)[1].startswith(".staging-champion-")
    assert calls[staged:] == [
        *(("rename", "2"), ("fsync", "mnist"), ("fsync", "journal.jsonl")),
        *(("replace", "champion"), ("fsync", "mnist")),
    ]


@pytest.mark.campaign
@pytest.mark.parametrize("word", ["release", "rollback", "prune"])
def test_a_kill_at_any_step_leaves_a_sound_repository(root: Path, word: str) -> None:
    """SIGKILL before every line of code that writes: readers see the old state or the new."""
    repository = Repository(root)
    before = 1 if word == "release" else release_tiny(root, seed=2)
    pristine = root.with_name("pristine")
    shutil.copytree(root, pristine)
    champions: list[int] = []
    published: list[bool] = []
    command, pipe = program("kill", root, word), subprocess.PIPE
    with subprocess.Popen(command, cwd=HERE, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        for line in process.stdout:
            report = json.loads(line)
            assert_sound(repository)
            assert report["status"] in {None, 0}
            champions.append(repository.champion())
            published.append(repository.versions() != Repository(pristine).versions())
            if not report["killed"]:
                break
            if report["step"] % 5 == 0:
                recover(root, champions[-1])
            # Each kill needs the same repository: a sweep would shift the steps.
            shutil.rmtree(root)
            shutil.copytree(pristine, root)
            process.stdin.write("\n")
            process.stdin.flush()
    assert process.returncode == 0
    assert len(champions) > 20
    # The new state, once there, stays: the steps have one order and one point of no return.
    assert champions[0] == before
    assert champions == sorted(champions, reverse=word == "rollback")
    assert published == sorted(published)
    assert {"release": 2, "rollback": 1, "prune": 2}[word] == champions[-1]
    assert published[-1] == (word != "rollback")


def recover(root: Path, champion: int) -> None:
    """Checks that the next release works and removes what the killed one left."""
    repository = Repository(root)
    version = release_tiny(root, seed=9)
    assert repository.champion() == version
    assert hidden(repository) == []
    assert repository.journal()[-1]["previous"] == str(champion)
    assert_sound(repository)


@pytest.mark.slow
def test_processes_that_release_at_once_get_different_versions(root: Path) -> None:
    running = [
        subprocess.Popen(program("many", root, 5), cwd=HERE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    results = [json.loads(process.communicate()[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    numbers = [version for result in results for version in result]
    assert sorted(numbers) == list(range(2, 17))
    repository = Repository(root)
    assert repository.versions() == list(range(1, 17))
    assert_sound(repository)
    assert hidden(repository) == []


def test_a_staged_version_of_a_living_process_is_not_swept_away(root: Path) -> None:
    with staging(root) as folder:
        (folder / "model.onnx").write_bytes(tiny_model_bytes(5))
        subprocess.run(program("many", root, 1), cwd=HERE, check=True)
        assert (folder / "model.onnx").read_bytes() == tiny_model_bytes(5)
        with locked(root):
            assert publish(folder, root, {}) == 3


@pytest.mark.parametrize("limit_bytes", [0, 100, 20_000, 32_000])
def test_a_file_that_cannot_grow_leaves_the_old_champion(root: Path, limit_bytes: int) -> None:
    """A limit on file sizes fails writes as a full disk does, for any user."""
    journal = root / "mnist/journal.jsonl"
    journal.write_text(journal.read_text() * 400)  # longer than every limit here
    repository, told = Repository(root), journal.read_bytes()
    result = output(*program("full", root, limit_bytes))
    text = json.loads(result.stdout)
    start = r"(nothing was published|version 2 was published, but .*): "
    assert re.fullmatch(f"{start}.*File too large.*", text)
    assert (2 in repository.versions()) == text.startswith("version 2")
    assert (2 in repository.versions()) == (limit_bytes > len(tiny_model_bytes(7)))
    assert repository.champion() == 1
    assert journal.read_bytes() == told
    assert_sound(repository)
    assert hidden(repository) == []


def test_a_full_disk_leaves_the_old_champion(tmp_path: Path) -> None:
    """On a real small file system with one more free page each time, from none to enough."""
    unshare = ("unshare", "--map-root-user", "--mount")
    if output(*unshare, "mount", "-t", "tmpfs", "none", str(tmp_path)).returncode:
        pytest.skip("no file system can be mounted here")
    mount = 'mount -t tmpfs -o size=512k none "$0" && exec "$@"'
    result = output(*unshare, "sh", "-c", mount, str(tmp_path), *program("disk", tmp_path))
    assert result.stderr == ""
    *failures, success = map(json.loads, result.stdout.splitlines())
    assert len(failures) > 9  # the model alone takes 8 pages
    assert (success["error"], success["champion"]) == (None, 2)
    for report in failures:
        assert "No space left on device" in report["error"]
        assert (report["champion"], report["journal"]) == (1, 1)
        assert report["unreadable"] == report["hidden"] == []


def test_a_missing_champion_does_not_stop_a_release(root: Path) -> None:
    (root / "mnist/champion").unlink()
    assert release_tiny(root, seed=2) == 2
    assert Repository(root).champion() == 2
