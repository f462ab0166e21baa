"""Reads good, damaged, half-copied and hostile files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.models.repository import (
    MODEL_BYTES_LIMIT,
    NoChampion,
    Repository,
    RepositoryError,
    parse_version,
)
from tests.tiny import tiny_model_bytes, tiny_repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tiny_repository(tmp_path / "models", versions=(1, 2, 10), champion=2))


def test_reads_versions_in_numeric_order_the_champion_and_its_model(repository: Repository) -> None:
    assert repository.versions() == [1, 2, 10]
    assert repository.champion() == 2
    assert repository.read_model(2) == tiny_model_bytes(seed=2)
    assert repository.card(10)["version"] == "10"
    assert (repository.has(10), repository.has(3)) == (True, False)
    # Entries that are not named as a version are ignored.
    for name in ("0", "03", ".staging-4", "latest", "4.tmp", "-5"):
        (repository.folder / name).mkdir()
    (repository.folder / "7").write_text("a file, no folder")
    assert repository.versions() == [1, 2, 10]


@pytest.mark.parametrize(
    "text", ["", "0", "01", "-1", "+1", " 1", "1 ", "1\n", "1.0", "٣", "9" * 19]
)
def test_a_version_is_spelt_one_way_only(text: str) -> None:
    assert parse_version(text) is None


def test_an_absent_repository_has_no_versions_no_champion_and_no_journal(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "nowhere")
    assert repository.versions() == []
    assert repository.journal() == []
    with pytest.raises(NoChampion, match=r"nowhere/mnist/champion is missing"):
        repository.champion()
    (tmp_path / "mnist").write_text("a file in the repository's place")
    with pytest.raises(RepositoryError, match=r"mnist cannot be listed: Not a directory"):
        Repository(tmp_path).versions()


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"two", b"2\n3\n", b"0\n", b"2\n\n", b"2\r\n", b"2" * 100, b"\xff\0\xb2"],
)
def test_a_damaged_champion_file_is_named_with_its_content(
    repository: Repository, content: bytes
) -> None:
    (repository.folder / "champion").write_bytes(content)
    damaged = r"champion is damaged: it holds '.*'"
    with pytest.raises(RepositoryError, match=damaged) as error:
        repository.champion()
    assert not isinstance(error.value, NoChampion)
    assert "\n" not in str(error.value)


def test_the_champion_is_read_from_its_file_even_where_that_version_is_not_there(
    repository: Repository,
) -> None:
    (repository.folder / "champion").write_text("99\n")
    assert repository.champion() == 99
    with pytest.raises(RepositoryError, match=r"^version 99: it is not in .*models/mnist$"):
        repository.read_model(99)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["champion", "2/card.json", "2/model.onnx", "journal.jsonl"])
def test_a_pipe_or_folder_in_a_files_place_is_refused_at_once(
    repository: Repository, name: str
) -> None:
    path = repository.folder / name
    read = {"champion": repository.champion, "journal.jsonl": repository.journal}
    for put in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo, os.mkdir):
        path.unlink(missing_ok=True)
        put(path)
        assert repository.stamp(2)
        with pytest.raises(RepositoryError, match=r"cannot be read: (it is not a file|Is a dir)"):
            read.get(name, lambda: repository.read_model(2))()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_bytes(tiny_model_bytes(3)), r"has SHA-256 [0-9a-f]{64}, its card"),
        (lambda path: os.truncate(path, 100), "has SHA-256"),
        (lambda path: path.unlink(), "is missing$"),
        (lambda path: os.truncate(path, MODEL_BYTES_LIMIT + 1), f"more than {MODEL_BYTES_LIMIT} b"),
    ],
)
def test_a_damaged_or_missing_model_is_not_returned(
    repository: Repository, damage: Callable[[Path], object], told: str
) -> None:
    damage(repository.path(2) / "model.onnx")
    with pytest.raises(RepositoryError, match=rf"^version 2: model.onnx .*{told}"):
        repository.read_model(2)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"3", b"\xff\xfe"),
        b'{"version": "2"}',
        b'{"version": "2", "sha256": 5}',
        b'{"version": "1", "sha256": "x"}',
        b'{"version": "2", "sha256": "x", "test": NaN}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_card_takes_one_line(repository: Repository, content: bytes) -> None:
    (repository.path(2) / "card.json").write_bytes(content)
    with pytest.raises(RepositoryError, match=r"^version 2: card.json is damaged: ") as error:
        repository.card(2)
    assert "\n" not in str(error.value)


def test_the_journal_leaves_out_a_line_torn_by_a_crash(repository: Repository) -> None:
    (repository.folder / "journal.jsonl").write_text(
        '{"version": "1"}\n{"vers\n{"version": "2"}\n7\n'
    )
    assert repository.journal() == [{"version": "1"}, {"version": "2"}]


def test_a_huge_file_is_refused_by_its_length_and_not_read(repository: Repository) -> None:
    for name in ("model.onnx", "card.json"):
        with (repository.path(2) / name).open("r+b") as file:
            file.truncate(1 << 40)
        start = time.perf_counter()
        with pytest.raises(RepositoryError, match=rf"^version 2: {name} .*more than \d+ bytes"):
            repository.read(2)
        assert time.perf_counter() - start < 1


def test_every_read_follows_a_link_that_was_swapped(tmp_path: Path) -> None:
    """As Kubernetes puts a new content in a volume's place."""
    for name, versions, champion in (("..1", (1,), 1), ("..2", (1, 2), 2)):
        tiny_repository(tmp_path / name, versions, champion)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mnist").symlink_to("../..data/mnist")
    repository = Repository(tmp_path / "models")
    assert (repository.champion(), repository.versions(), repository.has(2)) == (1, [1], False)
    (tmp_path / "..fresh").symlink_to("..2")
    (tmp_path / "..fresh").replace(tmp_path / "..data")
    assert (repository.champion(), repository.versions(), repository.has(2)) == (2, [1, 2], True)
    assert repository.read_model(2) == tiny_model_bytes(2)


def test_a_versions_stamp_changes_with_its_files(repository: Repository) -> None:
    assert repository.stamp(99) is None
    stamps = [repository.stamp(2)]
    assert repository.stamp(2) == stamps[0]
    path = repository.path(2) / "model.onnx"
    content = path.read_bytes()
    for change in (
        lambda: path.write_bytes(content[:-1]),
        lambda: path.write_bytes(content),
        path.unlink,
        lambda: path.write_bytes(content),
        (repository.path(2) / "card.json").unlink,
    ):
        time.sleep(0.02)
        change()
        stamps.append(repository.stamp(2))
    assert None not in stamps
    assert len(set(stamps)) == len(stamps)
