"""The ``models`` command lists, checks, promotes, rolls back, compares and prunes real versions."""

from __future__ import annotations

import json
import shutil

import pytest

from service.models.repository import Repository
from tests.training.conftest import Said


def test_list_shows_each_version_and_marks_the_champion(models: Said) -> None:
    heading, *lines = models("list").splitlines()
    assert heading.split() == [
        *("VERSION", "CHAMPION", "CREATED", "ARCHITECTURE"),
        *("ACCURACY", "SIZE", "LATENCY"),
    ]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert ["*" in line for line in lines] == [False, False, True]
    assert "31 KiB  0.012 ms" in lines[2]
    report = models.json("list")
    assert report["champion"] == "3"
    best = report["versions"][2]
    assert best["accuracy"] == Repository(models.root).card(3)["test"]["accuracy"]
    assert f"{best['accuracy']:.4f}" in lines[2]


def test_list_shows_damaged_versions_and_the_others(models: Said) -> None:
    (models.root / "mnist/2/card.json").write_text("{")
    odd = '{"version": "1", "sha256": "", "test": 3, "verification": [], "data": "none"}'
    (models.root / "mnist/1/card.json").write_text(odd)
    lines = models("list").splitlines()
    assert lines[1].split() == ["1", *"-----"]
    assert "version 2: card.json is damaged" in lines[2]
    assert "*" in lines[3]


def test_list_of_a_damaged_champion_file_is_one_line(models: Said) -> None:
    (models.root / "mnist/champion").write_text("four")
    assert "champion is damaged: it holds 'four'" in models("list", status=1)


def test_list_of_an_empty_repository_says_how_to_publish(models: Said) -> None:
    shutil.rmtree(models.root)
    (models.root / "mnist").mkdir(parents=True)
    said = models("list")
    assert said == "no versions; train or models import FILE.onnx publishes one\n"
    assert "`models promote N` makes version N champion" in models("rollback", status=1)


def test_show_prints_every_figure_of_a_card(models: Said) -> None:
    lines = models("show", "2").splitlines()
    assert any(line.split() == ["architecture", "linear"] for line in lines)
    assert any(line.split()[:1] == ["test.accuracy"] for line in lines)
    assert models.json("show", "2") == Repository(models.root).card(2)


def test_verify_compares_the_accuracy_with_the_card(models: Said) -> None:
    report, path = models.json("verify", "1"), models.root / "mnist/1/card.json"
    card = json.loads(path.read_text())
    assert report["passed"]
    assert report["test"] == {**card["test"], "as_in_card": True}
    assert models("verify", "1").endswith(
        "version 1 passed every check, also of input, output and batches\n"
    )
    card["test"]["accuracy"] += 0.0001
    path.write_text(json.dumps(card))
    assert models("verify", "1", status=1).startswith("models: version 1: test accuracy is 0.")
    card["data"]["files"] = {"digits.npz": "another data set"}
    path.write_text(json.dumps(card))
    assert "its card has other test images (see --data)" in models("verify", "1")


def test_a_changed_model_fails_verify_and_diff(models: Said) -> None:
    path = models.root / "mnist/1/model.onnx"
    content = bytearray(path.read_bytes())
    content[20_000] ^= 1
    path.write_bytes(content)
    for command in ("verify 1", "diff 3 1"):
        assert "version 1: model.onnx has SHA-256 " in models(*command.split(), status=1)


def test_promote_passes_the_gate_or_is_forced_and_says_what_to_type_next(models: Said) -> None:
    repository = Repository(models.root)
    said = models("promote", "2", status=1)
    assert said.startswith(
        "models: version 2 was not promoted: not shown not to be worse than champion 3: "
    )
    force = f"models promote 2 --force --models {models.root}"
    assert said.endswith(f"; the champion stays. To promote it anyway: {force}\n")
    assert repository.champion() == 3

    what, undo = models("promote", "2", "--force").splitlines()
    assert "forced, although it is not shown not to be worse than champion 3: " in what
    assert "margin 0.2 percentage points" in what
    assert what.endswith("; a running service takes it up within 2 s")
    assert undo == f"to undo this: models rollback --models {models.root}"
    assert "not worse than champion 2: " in models("promote", "3")
    report = models.json("promote", "1", "--force")
    assert (report["champion"], report["previous"], repository.champion()) == ("1", "3", 1)
    assert [entry["command"] for entry in repository.journal()[3:]] == ["models promote"] * 3


def test_promoting_the_champion_changes_nothing(models: Said) -> None:
    before = Repository(models.root).journal()
    assert models("promote", "3") == "version 3 is champion: it already was\n"
    assert Repository(models.root).journal() == before


def test_force_repairs_a_damaged_champion_file(models: Said) -> None:
    (models.root / "mnist/champion").write_bytes(b"\xff")
    assert "the champion cannot be compared with" in models("promote", "3", status=1)
    assert len(models("promote", "3", "--force").splitlines()) == 1  # no champion to go back to
    assert Repository(models.root).champion() == 3


def test_rollback_goes_back_champion_by_champion_until_none_is_left(models: Said) -> None:
    repository = Repository(models.root)
    what, undo = models("rollback").splitlines()
    assert what.startswith("version 2 is champion again: back from 3; a running service")
    assert undo == f"to undo this: models promote 3 --force --models {models.root}"
    assert models.json("rollback") == {"champion": "1", "previous": "2", "reason": "back from 2"}
    assert models("rollback", status=1).endswith("no champion to go back to from version 1\n")
    assert repository.champion() == 1


def test_rollback_skips_removed_versions(models: Said) -> None:
    shutil.rmtree(models.root / "mnist/2")
    assert models("rollback").startswith("version 1 is champion again: back from 3; ")


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
    changed = report["only_first_right"] + report["only_second_right"]
    assert report["both_right"] + report["both_wrong"] + changed == report["count"] == 10_000
    assert len(report["changes"]) == changed
    assert "p = 1" in models("diff", "2", "2")


def test_prune_keeps_the_newest_and_the_champion(models: Said) -> None:
    models("promote", "1", "--force")
    assert models("prune", "--keep", "1") == "removed 2; kept 1, 3\n"
    assert models("prune", "--keep", "1") == "nothing to remove; kept 1, 3\n"
    assert models.json("prune", "--keep", "5") == {"removed": [], "kept": ["1", "3"]}
    names = {path.name for path in (models.root / "mnist").iterdir()}
    assert names == {"1", "3", "champion", "journal.jsonl"}


def test_prune_removes_nothing_while_the_champion_is_unknown(models: Said) -> None:
    champion = models.root / "mnist/champion"
    for hide in (lambda: champion.write_text(""), champion.unlink):
        hide()
        models("prune", "--keep", "1", status=1)
        assert Repository(models.root).versions() == [1, 2, 3]


@pytest.mark.parametrize("command", ["show 9", "verify 9", "promote 9 --force", "diff 1 9"])
def test_a_missing_version_is_one_line(models: Said, command: str) -> None:
    assert "version 9: it is not in " in models(*command.split(), status=1)
    assert Repository(models.root).champion() == 3


def test_unreadable_data_is_one_line(models: Said) -> None:
    said = models("verify", "3", "--data", str(models.root / "nowhere"), status=1)
    assert "nowhere: no such data" in said
