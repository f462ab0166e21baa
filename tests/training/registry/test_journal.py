"""The journal tells who was champion before whom, after crashes and hand edits too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.models.repository import Repository
from training.registry.journal import ROLLBACK, champions, entered


def line(version: int, previous: int | None, command: str = "train") -> dict[str, Any]:
    before = None if previous is None else str(previous)
    return {"version": str(version), "previous": before, "command": command}


def test_champions_are_listed_in_the_order_they_came() -> None:
    journal = [line(1, None), line(2, 1), line(5, 2)]
    assert champions(journal, 5) == [1, 2, 5]


def test_a_second_rollback_goes_further_back_and_not_to_and_fro() -> None:
    journal = [line(1, None), line(2, 1), line(3, 2), line(2, 3, ROLLBACK)]
    assert champions(journal, 2) == [1, 2]
    assert champions([*journal, line(1, 2, ROLLBACK)], 1) == [1]


def test_a_version_promoted_again_moves_to_the_end() -> None:
    journal = [line(1, None), line(3, 1), line(1, 3, "models promote")]
    assert champions(journal, 1) == [3, 1]


def test_a_line_whose_change_never_came_is_not_believed() -> None:
    """A crash after the journal's line and before the champion file's change."""
    crashed = [line(1, None), line(2, 1)]
    assert champions(crashed, 1) == [1]
    assert champions([*crashed, line(3, 1)], 3) == [1, 3]


def test_a_champion_set_by_hand_is_part_of_the_history() -> None:
    journal = [line(1, None), line(2, 1), line(4, 7)]
    assert champions(journal, 4) == [1, 2, 7, 4]
    assert champions(journal[:2], 9) == [1, 2, 9]


def test_a_repository_without_a_journal_has_one_champion() -> None:
    assert champions([], 3) == [3]


@pytest.mark.parametrize("junk", [{}, {"version": 0}, {"version": "x", "previous": ["1"]}])
def test_lines_that_make_no_sense_are_passed_over(junk: dict[str, Any]) -> None:
    assert champions([line(1, None), junk, line(2, 1)], 2) == [1, 2]


def test_an_entry_is_taken_out_again_where_its_change_fails(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with entered(path, line(1, None)):
        pass
    before = path.read_bytes()
    with pytest.raises(FileNotFoundError), entered(path, line(2, 1)):
        (tmp_path / "champion.new").rename(tmp_path / "champion")
    assert path.read_bytes() == before


def test_an_entry_after_a_torn_line_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    path = tmp_path / "mnist" / "journal.jsonl"
    path.write_text(json.dumps(line(1, None)) + '\n{"version": "2", "prev')
    with entered(path, line(3, 1)):
        pass
    assert Repository(tmp_path).journal() == [line(1, None), line(3, 1)]
